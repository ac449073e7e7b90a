package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"mailfail/store/fleet"
	"mailfail/store/sqlite"
)

// Pushed reports the result of a push: the number of rows sent, and the version that the
// server now has.
type Pushed struct {
	Rows    int64
	Version int64
}

// PushOptions control how rows are sent.
type PushOptions struct {
	Host string // name of this host, for readers of the table origins

	// Hide changes a row before it leaves this host; false keeps it here.
	Hide func(t *fleet.Table, row fleet.Row) bool

	BodyRows  int // rows of a request, 0 for the usual number
	BodyBytes int // likewise
}

const (
	usualBodyRows  = 50_000
	usualBodyBytes = 16 << 20
)

// Send sends the rows of a database that a server does not have yet. Numbers stay right if
// a push is interrupted or repeated: the key identifies a row, and its newest version is
// valid.
func Send(ctx context.Context, c *Client, db *sqlite.DB, opt PushOptions) (n Pushed, err error) {
	origin, err := db.Origin(ctx)
	if err != nil {
		return n, err
	}
	version, err := c.versionOf(ctx, origin)
	if err != nil {
		return n, errors.Join(err, db.AwaitPush(context.WithoutCancel(ctx), c.String()))
	}
	p, err := db.BeginPush(ctx, sqlite.PushedTo{Target: c.String(), Version: version})
	if err != nil {
		return n, err
	}
	defer p.Close()
	s := &sending{client: c, push: p, opt: opt}
	for _, t := range fleet.Tables {
		if err := s.send(ctx, t); err != nil {
			return n, err
		}
	}
	// Last: a reader that finds the row of the origin finds all rows of that version.
	if err := s.sendOrigin(ctx); err != nil {
		return n, err
	}
	return Pushed{s.rows, p.Version}, p.Done(ctx)
}

// versionOf returns the version up to which a server has the rows of an origin.
func (c *Client) versionOf(ctx context.Context, origin string) (version int64, err error) {
	query := fmt.Sprintf("SELECT max(version) FROM %s WHERE origin = %s FORMAT RowBinary",
		c.table(fleet.Origins), quote(origin))
	err = c.eachRow(ctx, query, []fleet.Type{fleet.Int}, func(row fleet.Row) error {
		version = row[0].Int
		return nil
	})
	return version, err
}

// table returns the name of a table as an SQL identifier.
func (c *Client) table(t *fleet.Table) string { return quoteName(c.database) + "." + quoteName(t.Name) }

// eachRow calls each with the rows of the answer to a query FORMAT RowBinary. A row is
// valid until each returns.
func (c *Client) eachRow(ctx context.Context, query string, types []fleet.Type,
	each func(fleet.Row) error) error {
	answer, err := c.Query(ctx, query)
	if err != nil {
		return err
	}
	defer answer.Close()
	r := newRowReader(answer, types)
	for {
		row, err := r.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = each(row)
		}
		if err != nil {
			return err
		}
	}
}

// sending sends the rows of a push.
type sending struct {
	client *Client
	push   *sqlite.Push
	opt    PushOptions
	rows   int64
	body   []byte
	n      int // rows of body
}

func (s *sending) send(ctx context.Context, t *fleet.Table) error {
	err := s.push.EachRow(ctx, t, func(row fleet.Row, deleted bool) error {
		if !deleted && s.opt.Hide != nil && !s.opt.Hide(t, row) {
			return nil
		}
		if t == fleet.Messages {
			row[len(row)-1].Int = sqlite.IDHash(row[5].Text)
		}
		s.add(t, row, deleted)
		if s.n < or(s.opt.BodyRows, usualBodyRows) && len(s.body) < or(s.opt.BodyBytes, usualBodyBytes) {
			return nil
		}
		return s.flush(ctx, t)
	})
	if err == nil {
		err = s.flush(ctx, t)
	}
	return err
}

func or(n, usual int) int {
	if n > 0 {
		return n
	}
	return usual
}

func (s *sending) add(t *fleet.Table, row fleet.Row, deleted bool) {
	origin, version := fleet.Value{Text: s.push.Origin}, fleet.Value{Int: s.push.Version}
	s.body = appendValue(s.body, fleet.Text, &origin)
	s.body = appendValue(s.body, fleet.Int, &version)
	if deleted {
		s.body = append(s.body, 1)
	} else {
		s.body = append(s.body, 0)
	}
	for i, c := range t.Columns {
		s.body = appendValue(s.body, c.Type, &row[i])
	}
	s.n++
}

// flush sends the rows that were added.
func (s *sending) flush(ctx context.Context, t *fleet.Table) error {
	if s.n == 0 {
		return nil
	}
	var names []string
	for _, c := range t.Columns {
		names = append(names, quoteName(c.Name))
	}
	statement := fmt.Sprintf("INSERT INTO %s (origin, version, deleted, %s) FORMAT RowBinary", s.client.table(t),
		strings.Join(names, ", "))
	if err := s.client.Insert(ctx, statement, s.body); err != nil {
		return err
	}
	s.rows += int64(s.n)
	s.body, s.n = s.body[:0], 0
	return nil
}

func (s *sending) sendOrigin(ctx context.Context) error {
	from, err := s.push.DeliveriesFrom(ctx)
	if err != nil {
		return err
	}
	rows := s.rows
	s.add(fleet.Origins, fleet.Row{{Text: s.opt.Host}, {Int: time.Now().UnixMicro()}, {Int: s.push.Epoch()},
		{Int: from}}, false)
	err = s.flush(ctx, fleet.Origins)
	s.rows = rows
	return err
}
