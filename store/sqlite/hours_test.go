package sqlite

import (
	"fmt"
	"math/rand"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// hourly returns a database with mail of four days, the last of which is not over.
func hourly(t *testing.T, domains int) (*DB, *Writer) {
	t.Helper()
	before := fewestCounts
	t.Cleanup(func() { fewestCounts = before })
	fewestCounts = 5_000
	db, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	rng := rand.New(rand.NewSource(1))
	begin(t, w)
	for range 24_000 {
		relay, mta := fmt.Sprintf("mx.d%d.test", rng.Intn(3)), rng.Intn(2)
		id, err := w.Series(&store.SeriesKey{
			Format: []string{"postfix", "exim"}[mta], Host: fmt.Appendf(nil, "out%d", rng.Intn(2)), Instance: fmt.Appendf(nil, "i%d", mta),
			Sender: fmt.Appendf(nil, "s%d.test", rng.Intn(3)), Domain: fmt.Appendf(nil, "d%d.test", rng.Intn(domains)), Relay: []byte(relay), Provider: registry.Provider(relay),
			Direction: registry.Direction(rng.Intn(2)), Own: rng.Intn(9) == 0,
		})
		if err != nil {
			t.Fatal(err)
		}
		at := monthBegin.UnixMicro() + int64(rng.Float64()*4*24*3600e6)
		w.Count(id, at, store.Counts{Delivered: 1 + rng.Int63n(2), Recipients: rng.Int63n(3), Accepted: rng.Int63n(2), Heard: rng.Int63n(2), Handed: rng.Int63n(2)})
		if rng.Intn(5) == 0 {
			w.Suspend(id, rng.Int63n(2), at)
		}
	}
	commit(t, w)
	return db, w
}

// A timeline is the same with sums by hour and without.
func TestTimelineOfHours(t *testing.T) {
	db, w := hourly(t, 3)
	dims := []store.Dimension{store.ByHost, store.ByMTA, store.ByDirection, store.ByInstance, store.ByReason, store.ByCode, store.ByProvider,
		store.BySender, store.ByDomain, store.ByRelay}
	by := [][]store.Dimension{nil}
	for i := range dims {
		by = append(by, dims[i:i+1])
		for j := range dims[:i] {
			by = append(by, []store.Dimension{dims[j], dims[i]})
		}
	}
	filters := []store.Filter{{}, {MTAs: []string{"exim"}}, {Directions: []string{"own", "local"}}, {Hosts: []string{"out1"}}, {Domains: []string{"d1.test"}},
		{Senders: []string{"s1.test"}, Hosts: []string{"out0"}}, {Providers: []string{"d2.test"}}}
	at := func(hours float64) time.Time { return monthBegin.Add(time.Duration(hours * float64(time.Hour))) }
	windows := []store.Window{{}, {Since: at(3), Until: at(50)}, {Since: at(-5)}, {Since: at(10), Until: at(70.5)}, {Since: at(7.25), Until: at(40)}, {Until: at(30)},
		{Since: at(25), Until: at(25.5)}}
	every := 3
	if testing.Short() {
		every = 20
	}
	ask := func() (answers []*store.Timeline) {
		for i, by := range by {
			for j, f := range filters {
				if (i+j)%every > 0 {
					continue
				}
				step := []time.Duration{time.Hour, 2 * time.Hour, 24 * time.Hour, 90 * time.Minute, time.Minute}[i%5]
				line, err := db.Timeline(t.Context(), windows[(i+2*j)%len(windows)], f, by, step)
				if err != nil {
					t.Fatal(err)
				}
				answers = append(answers, line)
			}
		}
		return answers
	}
	check := func(what string, want []*store.Timeline) {
		t.Helper()
		for i, got := range ask() {
			if !reflect.DeepEqual(got, want[i]) {
				t.Errorf("%s: %v by %v and %s is\n%+v\nwant\n%+v", what, got.Window, got.By, got.Step, got.Slices, want[i].Slices)
			}
		}
	}
	tidy := func() {
		t.Helper()
		if err := w.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	minutes := ask()
	tidy()
	const ofClasses = "SELECT count(DISTINCT first / 32) FROM segments WHERE kind = 8 AND length(data) > 0"
	if n := one(t, db, ofClasses); n != 3*hourClasses {
		t.Errorf("there are sums of %d classes, want those of %d on three days", n, hourClasses)
	}
	check("sums", minutes)
	if _, err := w.conn.ExecContext(t.Context(), "DELETE FROM segments WHERE kind = ? AND first BETWEEN ? AND ?", segmentHours,
		hoursID(monthBegin.Unix()/86400+1, hoursOfDomain, 0), hoursID(monthBegin.Unix()/86400+1, hoursDone, 0)-1); err != nil {
		t.Fatal(err)
	}
	check("sums of a day that lacks some", minutes)

	begin(t, w) // another line of a day that is summed up
	id, err := w.Series(&store.SeriesKey{Format: "postfix", Host: []byte("out1"), Domain: []byte("d1.test")})
	if err != nil {
		t.Fatal(err)
	}
	w.Count(id, at(30).UnixMicro(), store.Counts{Delivered: 1, Recipients: 1})
	commit(t, w)
	if n := one(t, db, ofClasses); n != 2*hourClasses {
		t.Errorf("there are sums of %d classes, want those of two days", n)
	}
	late := ask()
	tidy()
	check("sums with a late line", late)
}

// Sums by hour of days that are over are read, not the counts: some blocks a day, whatever is
// asked for by or filtered, unless it takes two of sender, domain and relay.
func TestRowsReadPerTimeline(t *testing.T) {
	db, w := hourly(t, 3)
	if err := w.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	const days, hours = 24 + 2*24 + 20, 2 * 4 * 24 // the last day has no sums; each hour has an id and a block
	for _, test := range []struct {
		filter store.Filter
		by     []store.Dimension
		most   int64
	}{
		{store.Filter{}, nil, days},
		{store.Filter{}, []store.Dimension{store.ByHost, store.ByReason}, days},
		{store.Filter{}, []store.Dimension{store.ByProvider, store.ByHost}, days},
		{store.Filter{}, []store.Dimension{store.BySender, store.ByDirection}, days},
		{store.Filter{Domains: []string{"d1.test"}}, []store.Dimension{store.ByDomain, store.ByInstance}, days},
		{store.Filter{Providers: []string{"d2.test"}}, []store.Dimension{store.ByRelay, store.ByMTA}, days},
		{store.Filter{}, []store.Dimension{store.ByDomain, store.ByRelay}, hours + 10},
		{store.Filter{Senders: []string{"s1.test"}}, []store.Dimension{store.ByDomain}, hours + 10},
	} {
		for step, most := range map[time.Duration]int64{time.Hour: test.most, 6 * time.Hour: test.most, time.Minute: hours + 10} {
			err := db.transaction(t.Context(), func(tx *tx) (err error) {
				line := &timeline{tx: tx, filter: filter{Filter: test.filter}, by: test.by, step: int64(step / time.Minute), cells: map[uint64]int32{}}
				if line.cat, err = tx.catalog(); err != nil {
					return err
				}
				line.prepare()
				before := tx.rows
				if err = line.counts(); tx.rows-before > most {
					t.Errorf("%+v, %v by %s: %d rows were read, want no more than %d", test.filter, test.by, step, tx.rows-before, most)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Of a class whose sums would be nearly as many as the counts there are none, nor on a day
// with few counts, and the day is not added up again for that.
func TestHoursThatDoNotPay(t *testing.T) {
	db, w := hourly(t, 3000)
	for range 2 {
		if err := w.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	few, v := hourly(t, 3)
	fewestCounts = 7_000
	if err := v.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := one(t, few, fmt.Sprintf("SELECT count(*) FROM segments WHERE kind = 8 AND first / 32 %% %d NOT IN (%d, %d)", hourClasses+1, hoursOfHost, hoursDone)); n != 0 {
		t.Errorf("%d blocks of a day with few counts, want none", n)
	}
	if n := one(t, db, fmt.Sprintf("SELECT count(*) FROM segments WHERE kind = 8 AND first / 32 %% %d = %d", hourClasses+1, hoursOfDomain)); n != 0 {
		t.Errorf("%d blocks of domains, want none", n)
	}
	if n := one(t, db, fmt.Sprintf("SELECT count(DISTINCT first / 32) FROM segments WHERE kind = 8 AND first / 32 %% %d IN (%d, %d)", hourClasses+1, hoursOfSender, hoursOfRelay)); n != 6 {
		t.Errorf("sums of %d senders and relays, want those of three days", n)
	}
	begin(t, w)
	defer w.Rollback()
	if days, err := w.daysToAdd(); err != nil || len(days) > 0 {
		t.Errorf("days %v are to be added up again; %v", days, err)
	}
}
