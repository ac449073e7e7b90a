package sqlite

import (
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// A month is measured at a hundredth of its size, unless another is asked for:
// -month 1 is one million failing attempts and 43 million rows of counts. Places and
// causes are drawn nearly evenly, so that no two recipients in trouble have them in
// common; with -month-zipf some are frequent and most are rare, as on a real site.
var (
	monthScale = flag.Float64("month", 0.01, "size of the month that is measured")
	monthZipf  = flag.Bool("month-zipf", false, "few places and causes of the month are frequent, most are rare")
	monthPath  = flag.String("month-db", "", "keep the database of the month there, or use the one that is there")
)

const monthDays = 30

var monthBegin = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)

// month returns a database of thirty days of a large site: many domains, each
// sender and relay with many of them.
func month(tb testing.TB) *DB {
	tb.Helper()
	path := *monthPath
	if path == "" {
		path = filepath.Join(tb.TempDir(), "month.db")
	}
	_, missing := os.Stat(path)
	db, err := Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	if missing != nil {
		fillMonth(tb, db, *monthScale, *monthScale)
	}
	return db
}

// fillMonth writes a month, parts of whose failures and counts are asked for.
func fillMonth(tb testing.TB, db *DB, failures, counts float64) {
	tb.Helper()
	check := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	w, err := db.writer()
	check(err)
	defer w.Close()
	rng := rand.New(rand.NewSource(1))
	m := &monthWriter{Writer: w, rng: rng, series: make([]int64, max(100, int(171_000*min(1, counts*10))))}
	if *monthZipf {
		m.frequent, m.causes = rand.NewZipf(rng, 1.2, 10, uint64(len(m.series)-1)), rand.NewZipf(rng, 1.5, 2, 399)
	}
	for day := range monthDays {
		_, err := w.Begin(tb.Context())
		check(err)
		for hour := range 24 {
			at := monthBegin.Add(time.Duration(day*24+hour) * time.Hour).UnixMicro()
			for range int(42_700_000 * counts / (monthDays * 24)) {
				series, err := m.some()
				check(err)
				w.Count(series, at+rng.Int63n(3_600_000_000), store.Counts{Delivered: 1, Recipients: 1, Messages: rng.Int63n(2)})
			}
			for range int(576_000 * failures / (monthDays * 24)) {
				check(m.recipient(at + rng.Int63n(3_600_000_000)))
			}
			w.CountLines(at, store.Lines{Read: 1000, Understood: 1000})
		}
		check(w.Commit())
	}
	check(w.Tidy(tb.Context()))
}

type monthWriter struct {
	*Writer
	rng    *rand.Rand
	series []int64

	frequent, causes *rand.Zipf // numbers of series and causes; nil: nearly even
}

// some returns a series; a few are frequent.
func (m *monthWriter) some() (int64, error) {
	n := min(m.rng.Intn(len(m.series)), m.rng.Intn(len(m.series)))
	if m.frequent != nil {
		n = int(m.frequent.Uint64())
	}
	if m.series[n] != 0 {
		return m.series[n], nil
	}
	relay := fmt.Sprintf("mx%d.relay%d.example", n%3, n%1700)
	id, err := m.Writer.Series(&store.SeriesKey{
		Format:   "postfix",
		Host:     []byte(fmt.Sprintf("out%d", n%4)),
		Sender:   []byte(fmt.Sprintf("sender%d.example", n/7%800)),
		Domain:   []byte(fmt.Sprintf("domain%d.example", n%5000)),
		Relay:    []byte(relay),
		Provider: registry.Provider(relay),
	})
	m.series[n] = id
	return id, err
}

// recipient writes a recipient with its failing attempts.
func (m *monthWriter) recipient(at int64) error {
	series, err := m.some()
	if err != nil {
		return err
	}
	nCause := m.rng.Intn(400)
	if m.causes != nil {
		nCause = int(m.causes.Uint64())
	}
	cause := causeOfMonth(nCause)
	id, err := m.Cause(&cause)
	if err != nil {
		return err
	}
	n := m.nextMessage()
	message, err := m.AddMessage(&store.Message{Format: "postfix", Host: "out1", QueueID: fmt.Sprintf("4X%09d", n), MessageID: fmt.Sprintf("<%d@sender.example>", n),
		Sender: fmt.Sprintf("user%d@sender%d.example", n%90, n%800), HasSender: true, Client: "app.example", ClientIP: "192.0.2.1", FirstSeen: at})
	if err != nil {
		return err
	}
	state := []registry.State{registry.StateBounced, registry.StateDelivered, registry.StateExpired}[m.rng.Intn(3)]
	tries := m.rng.Intn(3) + 1
	end := at + int64(tries)*900_000_000
	address := fmt.Sprintf("person%d@domain%d.example", m.rng.Intn(200_000), n%5000)
	recipient := m.AddRecipient(&store.Recipient{Message: message, Series: series, Address: address, State: state, FirstSeen: at, LastSeen: end, FinalAt: end, Cause: id, Troubled: true})
	for i := range tries {
		if err := m.AddAttempt(&store.Attempt{Format: "postfix", Time: at + int64(i)*900_000_000, Recipient: recipient, Series: series, Outcome: uint8(registry.OutcomeDeferred) + uint8(n%2),
			Cause: id, Service: []byte("smtp"), IP: fmt.Sprintf("192.0.2.%d", n%250), Delay: time.Second, Text: cause.Signature + fmt.Sprint(n%50), First: i == 0}); err != nil {
			return err
		}
	}
	return nil
}

func (m *monthWriter) nextMessage() int64 { return m.lastID["message_rows"] + 1 }

func causeOfMonth(n int) store.Cause {
	c := store.Cause{
		Failure: registry.Failure{
			Provider:  fmt.Sprintf("relay%d.example", n%50),
			Reply:     uint16(450 + n%100),
			Stage:     registry.StageRcpt,
			Source:    registry.SourceRemote,
			Signature: fmt.Sprintf("signature %d of a reply", n),
		},
	}
	c.Reason = registry.Reasons()[n%10].Reason
	return c
}

// BenchmarkMonth measures what people ask for, as a command does: the database is
// opened for each question.
func BenchmarkMonth(b *testing.B) {
	path := month(b).path
	end := monthBegin.AddDate(0, 0, monthDays)
	day := store.Window{Since: end.AddDate(0, 0, -1), Until: end}
	hours := store.Window{Since: end.Add(-6 * time.Hour), Until: end.Add(-4 * time.Hour)}
	numbers := func(w store.Window, f store.Filter, by ...store.Dimension) func(*DB) error {
		return func(db *DB) error {
			_, err := db.Numbers(b.Context(), w, f, by)
			return err
		}
	}
	questions := []struct {
		name string
		ask  func(db *DB) error
	}{
		{"report", numbers(store.Window{}, store.Filter{})},
		{"by-provider", numbers(store.Window{}, store.Filter{}, store.ByProvider)},
		{"by-reason", numbers(store.Window{}, store.Filter{}, store.ByReason)},
		{"domain", numbers(store.Window{}, store.Filter{Domains: []string{"domain7.example"}})},
		{"code", numbers(store.Window{}, store.Filter{Codes: []string{"452"}})},
		{"day", numbers(day, store.Filter{})},
		{"two-hours", numbers(hours, store.Filter{})},
		{"events-two-hours", func(db *DB) error {
			_, err := db.Events(b.Context(), hours, store.Filter{}, []string{"deferred", "failed"}, 50, func(*store.Event) error { return nil })
			return err
		}},
		{"trace-address", func(db *DB) error {
			_, _, err := db.Trace(b.Context(), "person77@domain77.example")
			return err
		}},
		{"trace-queue-id", func(db *DB) error {
			_, _, err := db.Trace(b.Context(), "4X000000077")
			return err
		}},
		{"timeline-hours", func(db *DB) error {
			_, err := db.Timeline(b.Context(), store.Window{}, store.Filter{}, []store.Dimension{store.ByProvider, store.ByHost}, time.Hour)
			return err
		}},
		{"flow-fortnight", func(db *DB) error {
			return db.Flow(b.Context(), []store.Window{{Since: end.AddDate(0, 0, -15), Until: end}}, store.Filter{}, &flowTotals{})
		}},
		{"timeline-days", func(db *DB) error {
			_, err := db.Timeline(b.Context(), store.Window{}, store.Filter{}, []store.Dimension{store.ByProvider, store.ByHost}, 24*time.Hour)
			return err
		}},
	}
	for _, q := range questions {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				db, err := OpenReadOnly(path)
				if err != nil {
					b.Fatal(err)
				}
				if err := q.ask(db); err != nil {
					b.Fatal(err)
				}
				db.Close()
			}
		})
	}
}

// flowTotals adds up a flow.
type flowTotals struct {
	places, causes, failures int
	recipients               int64
}

func (f *flowTotals) AddPlace(*store.FlowPlace)     { f.places++ }
func (f *flowTotals) AddCause(*store.FlowCause)     { f.causes++ }
func (f *flowTotals) AddFailure(*store.FlowFailure) { f.failures++ }

func (f *flowTotals) AddCounts(rows *store.FlowRows) {
	for _, n := range rows.Recipients {
		f.recipients += n
	}
}

// Where there is no room for a row of a group, its points are found one by one.
func TestTimelineWithoutRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database")
	}
	db := month(t)
	w := store.Window{Since: monthBegin.AddDate(0, 0, 3), Until: monthBegin.AddDate(0, 0, 5)}
	var want *store.Timeline
	defer func(most int64) { mostInRows = most }(mostInRows)
	for _, most := range []int64{mostInRows, 48, 48 * 20, 0} { // of 48 steps
		mostInRows = most
		got, err := db.Timeline(t.Context(), w, store.Filter{}, []store.Dimension{store.ByHost, store.ByReason}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if len(got.Slices) == 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("room for %d points: the timeline differs", most)
		}
	}
}
