package sqlite

import "strings"

// sink runs statements on a connection in the background, in the order in which they were
// given, so that SQLite works while the next lines are read. No other code may use the
// connection between exec and wait.
type sink struct {
	runner *runner

	numbers map[string]int  // of statements
	recent  [64]recentQuery // by the length of their text
	rows    []*rows
	values  []byte // of a statement
	bundle  *bundle
	bundles chan *bundle
	free    chan *bundle
	ended   chan struct{}
	reading int // queries whose rows are being read: until they end, bundles grow

	statements, inserted, waits int64 // since the beginning; see TestStatements
}

// recentQuery is a statement that was used recently.
type recentQuery struct {
	query  string
	number int
}

// A bundle is passed to the runner when it has so many statements, or bytes.
const (
	bundleOps   = 512
	bundleBytes = 64 << 10
)

func newSink(conn any) (*sink, error) {
	const bundles = 8
	r, err := newRunner(conn)
	if err != nil {
		return nil, err
	}
	s := &sink{runner: r, numbers: map[string]int{}, bundle: &bundle{},
		bundles: make(chan *bundle, bundles), free: make(chan *bundle, bundles), ended: make(chan struct{})}
	for range bundles {
		s.free <- &bundle{}
	}
	go s.run()
	return s, nil
}

// insert queues a row for a query INSERT INTO … VALUES (?,…). The sink inserts it before it
// runs any statement that exec queues later, but does not keep the order of rows of
// different tables.
func (s *sink) insert(query string, args ...any) {
	s.inserted++
	r := s.rowsOf(query)
	r.ends[r.n] = len(r.packed)
	r.packed = appendValues(r.packed, args)
	if r.n++; r.n < rowsAtOnce {
		return
	}
	s.give(r.many, rowsAtOnce*len(args), r.packed)
	r.n, r.packed = 0, r.packed[:0]
}

// rowsAtOnce is how many rows one statement inserts.
const rowsAtOnce = 16

// rows holds the rows of one query that wait to be inserted together.
type rows struct {
	query     string
	one, many int // numbers of statements
	packed    []byte
	n         int
	ends      [rowsAtOnce]int // where each begins
}

// rowsOf returns the rows of a query. There are few different queries.
func (s *sink) rowsOf(query string) *rows {
	for _, r := range s.rows {
		if r.query == query {
			return r
		}
	}
	at := strings.LastIndex(query, "(")
	many := query + strings.Repeat(","+query[at:], rowsAtOnce-1)
	r := &rows{query: query, one: s.number(query), many: s.number(many)}
	s.rows = append(s.rows, r)
	return r
}

// insertRest inserts the rows that wait.
func (s *sink) insertRest() {
	for _, r := range s.rows {
		for i := range r.n {
			end := len(r.packed)
			if i+1 < r.n {
				end = r.ends[i+1]
			}
			s.give(r.one, strings.Count(r.query, "?"), r.packed[r.ends[i]:end])
		}
		r.n, r.packed = 0, r.packed[:0]
	}
}

// exec queues a statement. wait returns its error.
func (s *sink) exec(query string, args ...any) {
	s.insertRest()
	s.values = appendValues(s.values[:0], args)
	s.give(s.number(query), len(args), s.values)
}

// give adds a statement with packed values to the bundle.
func (s *sink) give(number, args int, values []byte) {
	s.statements++
	s.bundle.add(number, args, values)
	if (s.bundle.ops >= bundleOps || len(s.bundle.packed) >= bundleBytes) && s.reading == 0 {
		s.pass(nil)
	}
}

// number returns the number of a statement. Most statements are constants, which are
// compared without reading their text.
func (s *sink) number(query string) int {
	r := &s.recent[len(query)%len(s.recent)]
	if r.query == query {
		return r.number
	}
	n, ok := s.numbers[query]
	if !ok {
		n = len(s.numbers)
		s.numbers[query] = n
		s.bundle.queries = append(s.bundle.queries, query)
	}
	*r = recentQuery{query, n}
	return n
}

func (s *sink) pass(reply chan error) {
	s.bundle.reply = reply
	s.bundles <- s.bundle
	s.bundle = <-s.free
}

// wait waits until all statements have run, and returns the first error. The statements
// after that error do not run.
func (s *sink) wait() error {
	s.insertRest()
	s.waits++
	reply := make(chan error)
	s.pass(reply)
	return <-reply
}

// close runs the remaining statements and ends the sink.
func (s *sink) close() {
	_ = s.wait()
	close(s.bundles)
	<-s.ended
	s.runner.close()
}

func (s *sink) run() {
	defer close(s.ended)
	var failed error
	for b := range s.bundles {
		s.runner.add(b.queries)
		if failed == nil {
			failed = s.runner.run(b)
		}
		if b.reply != nil {
			b.reply <- failed
			failed = nil
		}
		if cap(b.packed) > 4*bundleBytes { // a large statement made it grow
			b.packed = nil
		}
		clear(b.queries)
		b.queries, b.packed, b.ops, b.reply = b.queries[:0], b.packed[:0], 0, nil
		s.free <- b
	}
}
