package store

import (
	"context"
	"database/sql"
)

// Formats of which one reports what the other does, and better.
const (
	trackingFormat     = "exchange-tracking"
	sendFormat         = "exchange-smtpsend"
	connectivityFormat = "exchange-connectivity"
)

// leaveOut returns f without the attempts of send logs, when message tracking
// logs report the same mail: when both are asked for, and there are numbers of
// the better one in the window.
func (t *tx) leaveOut(w Window, f Filter) (Filter, error) {
	twice, err := t.isBetter(w, &f, trackingFormat)
	if twice {
		f.without = sendFormat
	}
	return f, err
}

// isBetter reports whether logs of a format report in a window what send logs
// report too.
func (t *tx) isBetter(w Window, f *Filter, format string) (bool, error) {
	hosts, err := t.hosts(f, sendFormat)
	if err != nil || hosts == nil {
		return false, err
	}
	return t.hasNumbers(w, f, format)
}

// hasNumbers reports whether there are numbers in a window of those logs of a
// format that f asks for. It reads no dictionary, as that may be all of the work.
func (t *tx) hasNumbers(w Window, f *Filter, format string) (found bool, err error) {
	hosts, err := t.hosts(f, format)
	tables := []string{"counts", "recipients"}
	if format == connectivityFormat {
		tables = []string{"connections"}
	}
	for _, table := range tables {
		if err != nil || hosts == nil || found {
			break
		}
		where, args := w.where("minute", minuteMicros)
		if table == "recipients" {
			since, until := w.micros()
			where, args = "last_seen >= ? AND first_seen < ?", []any{since, until}
		}
		_, err = t.one("SELECT EXISTS (SELECT 1 FROM "+table+" AS r CROSS JOIN series AS s ON s.id = r.series WHERE "+where+
			" AND s.format = (SELECT id FROM names WHERE text = ?) AND s.host IN (SELECT value FROM json_each(?)))", append(args, format, list(hosts)), &found)
	}
	return found, err
}

// hosts returns the hosts with logs of a format, as far as its server and they
// are asked for. Where there is no such log, no more than a name is looked for.
func (t *tx) hosts(f *Filter, format string) (ids []int64, err error) {
	if !f.matchFormat(format) {
		return nil, nil
	}
	err = t.each(`SELECT DISTINCT h.id, h.text FROM names AS n CROSS JOIN series AS s ON s.format = n.id CROSS JOIN names AS h ON h.id = s.host
		WHERE n.text = ?`, []any{format}, func(r *sql.Rows) error {
		var id int64
		var name string
		err := r.Scan(&id, &name)
		if matchName(f.Hosts, name) {
			ids = append(ids, id)
		}
		return err
	})
	return ids, err
}

// Repeats tells of failures that are shown as they come which ones another log
// reports too, as what is asked of the database leaves them out.
type Repeats struct {
	asked   Filter
	tracked bool
}

// Repeats returns what is known from the numbers of a window of those who look
// through a filter.
func (q *Query) Repeats(ctx context.Context, w Window, f Filter) (*Repeats, error) {
	r := &Repeats{asked: Filter{MTAs: f.MTAs, Hosts: f.Hosts}} // it may be asked for alone
	err := q.read(ctx, func(t *tx) (err error) {
		r.tracked, err = t.hasNumbers(w, &f, trackingFormat)
		return err
	})
	return r, err
}

// Has reports whether e is to be left out. From the first failure of a tracking
// log on, those of send logs are.
func (r *Repeats) Has(e *Event) bool {
	if e.Format == trackingFormat && !r.tracked {
		r.tracked = r.asked.Match(e)
	}
	return e.Format == sendFormat && r.tracked
}
