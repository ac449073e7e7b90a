package sqlite

import (
	"context"
	"database/sql/driver"

	"mailfail/registry"
)

// sink runs statements on a connection in the background, in the order in
// which they were given, so that SQLite works while the next lines are read.
// Nobody else may use the connection between exec and wait.
type sink struct {
	conn   driver.Conn
	stmts  map[string]driver.StmtQueryContext
	recent [64]recentStmt // by the length of their text
	block  *bundle
	blocks chan *bundle
	free   chan *bundle
	ended  chan struct{}

	statements, waits int64 // since the beginning; see TestStatements
}

// bundle is a number of statements. One with a reply is the last before a wait.
type bundle struct {
	ops   []op
	args  []driver.NamedValue
	reply chan error
}

type op struct {
	query string
	args  int // number of them
}

// recentStmt is a prepared statement that was run not long ago.
type recentStmt struct {
	query string
	stmt  driver.StmtQueryContext
}

const blockSize = 512

func newSink(conn driver.Conn) *sink {
	const blocks = 8
	s := &sink{conn: conn, stmts: map[string]driver.StmtQueryContext{}, block: &bundle{},
		blocks: make(chan *bundle, blocks), free: make(chan *bundle, blocks), ended: make(chan struct{})}
	for range blocks {
		s.free <- &bundle{}
	}
	go s.run()
	return s
}

// exec gives the sink a statement. Its errors are told by wait. Byte slices in
// args must stay as they are until then.
func (s *sink) exec(query string, args ...any) {
	s.statements++
	b := s.block
	b.ops = append(b.ops, op{query, len(args)})
	for i, a := range args {
		b.args = append(b.args, driver.NamedValue{Ordinal: i + 1, Value: value(a)})
	}
	if len(b.ops) == blockSize {
		s.pass(nil)
	}
}

func (s *sink) pass(reply chan error) {
	s.block.reply = reply
	s.blocks <- s.block
	s.block = <-s.free
}

// wait returns when all statements were run, with the first error: those after
// it were not.
func (s *sink) wait() error {
	s.waits++
	reply := make(chan error)
	s.pass(reply)
	return <-reply
}

// close waits for what is left and ends the sink.
func (s *sink) close() {
	_ = s.wait()
	close(s.blocks)
	<-s.ended
	for _, stmt := range s.stmts {
		stmt.(driver.Stmt).Close()
	}
}

func (s *sink) run() {
	defer close(s.ended)
	var failed error
	for b := range s.blocks {
		args := b.args
		for _, o := range b.ops {
			if failed == nil {
				failed = s.step(o.query, args[:o.args:o.args])
			}
			args = args[o.args:]
		}
		if b.reply != nil {
			b.reply <- failed
			failed = nil
		}
		clear(b.args)
		b.ops, b.args, b.reply = b.ops[:0], b.args[:0], nil
		s.free <- b
	}
}

// step runs a statement as if it was a query: the driver then binds all values in one
// call of C, where for others it makes one for each value.
func (s *sink) step(query string, args []driver.NamedValue) error {
	stmt, err := s.prepared(query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(context.Background(), args)
	if err != nil {
		return err
	}
	return rows.Close()
}

// prepared returns a statement ready to run. Most are constants, which are compared
// without looking at their text.
func (s *sink) prepared(query string) (driver.StmtQueryContext, error) {
	r := &s.recent[len(query)%len(s.recent)]
	if r.query == query {
		return r.stmt, nil
	}
	stmt := s.stmts[query]
	if stmt == nil {
		prepared, err := s.conn.Prepare(query)
		if err != nil {
			return nil, err
		}
		stmt = prepared.(driver.StmtQueryContext)
		s.stmts[query] = stmt
	}
	*r = recentStmt{query, stmt}
	return stmt, nil
}

// value turns our types into those that a driver takes.
func value(v any) driver.Value {
	switch v := v.(type) {
	case int:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case int32:
		return int64(v)
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case registry.State:
		return int64(v)
	case registry.Stage:
		return int64(v)
	case registry.Source:
		return int64(v)
	}
	return v
}
