package sqlite

import (
	"fmt"
	"math/rand"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// What is counted in days of any zone is the same with sums of days of UTC and
// without, whatever the windows are.
func TestCountsOfCover(t *testing.T) {
	db, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	rng := rand.New(rand.NewSource(1))
	count := func(n int, days float64) {
		begin(t, w)
		for range n {
			id, err := w.Series(&store.SeriesKey{Format: []string{"postfix", "exim", "sendmail"}[rng.Intn(3)], Host: fmt.Appendf(nil, "out%d", rng.Intn(2)), Sender: fmt.Appendf(nil, "s%d.test", rng.Intn(3)),
				Domain: fmt.Appendf(nil, "d%d.test", rng.Intn(3)), Relay: fmt.Appendf(nil, "mx%d.d.test", rng.Intn(3)), Direction: registry.Direction(rng.Intn(2)), Own: rng.Intn(9) == 0})
			if err != nil {
				t.Fatal(err)
			}
			at := monthBegin.UnixMicro() + int64(rng.Float64()*days*24*3600e6)
			w.Count(id, at, store.Counts{Delivered: 1, Recipients: rng.Int63n(3), Accepted: rng.Int63n(2), Heard: 1})
			if rng.Intn(5) == 0 {
				w.Suspend(id, 1+rng.Int63n(2), at)
			}
		}
		commit(t, w)
	}
	count(4000, 6)
	type question struct {
		since, until time.Duration // zero: open
		step         time.Duration
	}
	var questions []question
	const hour, day = time.Hour, 24 * time.Hour
	for _, shift := range []time.Duration{0, hour, -2 * hour, 330 * time.Minute, -8 * hour, 12 * hour, 13*hour + 7*time.Minute} {
		for days := range 4 {
			questions = append(questions, question{day + shift, time.Duration(days+2)*day + shift, day}, question{day + shift, time.Duration(days)*day + 3*day/2, 2 * day})
		}
		questions = append(questions, question{shift, 0, day}, question{0, 3*day + shift, day}, question{2*day + shift, 2*day + shift + 3*hour, day}, question{day + shift, 3 * day, hour})
	}
	i, every := 0, 3
	if testing.Short() {
		every = 15
	}
	questions = slices.DeleteFunc(questions, func(question) bool { i++; return i%every > 0 })
	ask := func() (answers []string) {
		for i, q := range questions {
			var window store.Window
			if q.since != 0 {
				window.Since = monthBegin.Add(q.since)
			}
			if q.until != 0 {
				window.Until = monthBegin.Add(q.until)
			}
			sums, err := db.Sums(t.Context(), window, store.Filter{Domains: []string{"d1.test"}})
			if err != nil {
				t.Fatal(err)
			}
			line, err := db.Timeline(t.Context(), window, store.Filter{}, []store.Dimension{store.BySender}, q.step)
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, fmt.Sprintf("%+v\n%+v\n%s", *sums, line.Slices, totalAnswer(t, db, i, window, q.step)))
		}
		return answers
	}
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := w.conn.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, want []string) {
		t.Helper()
		for i, answer := range ask() {
			if answer != want[i] {
				t.Fatalf("%s: they tell\n%s\nminutes\n%s", what, answer, want[i])
			}
		}
	}
	tidy := func() {
		t.Helper()
		if err := w.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		var days, totals int
		if err := db.SQL().QueryRow("SELECT count(*), sum("+withTotals+") FROM days").Scan(&days, &totals); err != nil || days != 5 || totals != days {
			t.Errorf("there are sums of %d days, totals of %d, want those of five; %v", days, totals, err)
		}
	}
	minutes := ask()
	tidy()
	check("sums and totals", minutes)
	exec("DELETE FROM segments WHERE kind = ?", segmentTotals)
	check("sums alone", minutes)
	tidy()
	check("sums, and totals that were made of them", minutes)

	count(300, 2) // of days that have sums
	late := ask()
	tidy()
	check("sums and totals of days with late lines", late)
}

// totalAnswer asks what totals of days may tell, of question i one thing.
func totalAnswer(t *testing.T, db *DB, i int, w store.Window, step time.Duration) string {
	t.Helper()
	filters := []store.Filter{{}, {MTAs: []string{"exim"}}, {Directions: []string{"local"}}, {Directions: []string{"own", "outgoing"}}}
	groups := [][]store.Dimension{nil, {store.ByRelay}, {store.ByMTA}, {store.ByDomain, store.ByHost}, {store.ByCode}}
	f, by := filters[i%len(filters)], groups[i%len(groups)]
	n, err := db.Numbers(t.Context(), w, f, by)
	if err != nil {
		t.Fatal(err)
	}
	line, err := db.Timeline(t.Context(), w, f, by, step)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%+v %v %+v\n%+v", f, by, *n, line.Slices)
}

// Each day is added up in a transaction of its own: what was done before an
// interruption stays, and the rest is done the next time.
func TestTidyDayByDay(t *testing.T) {
	db, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	begin(t, w)
	id, err := w.Series(&store.SeriesKey{Format: "postfix", Host: []byte("out")})
	if err != nil {
		t.Fatal(err)
	}
	for day := range int64(4) {
		w.Count(id, monthBegin.UnixMicro()+day*24*3600e6, store.Counts{Delivered: 1, Recipients: 1})
	}
	commit(t, w)
	days := func() (n int) {
		if err := db.SQL().QueryRow("SELECT count(*) FROM days").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	var to *addends
	begin(t, w)
	more, err := w.tidySome(&to)
	if commit(t, w); err != nil || !more || days() != 1 {
		t.Errorf("after a part there are sums of %d days, more to do: %t; %v; want one, more", days(), more, err)
	}
	if err := w.Tidy(t.Context()); err != nil || days() != 3 {
		t.Errorf("after the rest there are sums of %d days, want three; %v", days(), err)
	}
}

// A day that is not UTC's is read as the sum of the day that is most of it, and by
// the hours in which they differ.
func TestCover(t *testing.T) {
	for _, tt := range []struct {
		since, until int64 // hours
		want         string
	}{
		{24, 48, "days [1], read []"},
		{23, 47, "days [1], read [{1380 1440 -1 true} {2820 2880 0 false}]"},
		{34, 58, "days [1], read [{1440 2040 0 false} {2880 3480 -1 true}]"},
		{36, 60, "days [], read [{2160 3600 -1 true}]"},
		{5, 70, "days [0 1 2], read [{0 300 0 false} {4200 4320 0 false}]"},
	} {
		var c cover
		for day := tt.since / 24; day*24 < tt.until; day++ {
			c.add(day, true, []piece{{max(tt.since, day*24) * 60, min(tt.until, day*24+24) * 60, 0}})
		}
		if got := fmt.Sprintf("days %v, read %v", c.days, c.stretches); got != tt.want {
			t.Errorf("hours %d to %d: %s, want %s", tt.since, tt.until, got, tt.want)
		}
	}
}
