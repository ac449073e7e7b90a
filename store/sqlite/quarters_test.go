package sqlite

import (
	"fmt"
	"maps"
	"math/rand"
	"path/filepath"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// daySummary adds up what an investigation takes of the days before: recipients
// by place, and mail by quarters of an hour.
type daySummary struct {
	windows []store.Window
	places  []store.FlowPlace
	mails   []store.FlowMail
	sums    map[string]int64
	told    int // sums that were told as such
}

func (d *daySummary) AddPlace(p *store.FlowPlace)   { d.places = append(d.places, *p) }
func (d *daySummary) AddCause(*store.FlowCause)     {}
func (d *daySummary) AddFailure(*store.FlowFailure) {}
func (d *daySummary) AddMail(m *store.FlowMail)     { d.mails = append(d.mails, *m) }

func (d *daySummary) add(key string, n int64) {
	if d.sums[key] += n; d.sums[key] == 0 {
		delete(d.sums, key)
	}
}

func (d *daySummary) AddSums(places []int32, recipients []int64) {
	d.told++
	for i, p := range places {
		d.add(fmt.Sprint("before ", d.places[p]), recipients[i])
	}
}

// quarter counts mail in the quarters of a window that the last one has too.
func (d *daySummary) quarter(minute int64, m store.FlowMail, recipients, accepted int64) {
	const quarter = 15 * time.Minute
	at, last := time.Unix(minute*60, 0), d.windows[len(d.windows)-1]
	length := (last.Until.Sub(last.Since) + quarter - 1) / quarter * quarter
	for i, w := range d.windows {
		if !at.Before(w.Since) && at.Before(w.Until) && at.Sub(w.Since) < length {
			d.add(fmt.Sprint(i, m, at.Truncate(quarter).Unix(), " tried"), recipients)
			d.add(fmt.Sprint(i, m, at.Truncate(quarter).Unix(), " came"), accepted)
		}
	}
}

func (d *daySummary) AddQuarters(q *store.FlowQuarters) {
	for i, m := range q.Mail {
		d.quarter(q.Minute, d.mails[m], q.Recipients[i], q.Accepted[i])
	}
}

func (d *daySummary) AddCounts(rows *store.FlowRows) {
	at := func(column []int64, i int) int64 {
		if column == nil {
			return 0
		}
		return column[i]
	}
	for i, p := range rows.Place {
		minute, n := time.Unix(rows.Minute[i]*60, 0), at(rows.Recipients, i)
		for w := range d.windows {
			if !minute.Before(d.windows[w].Since) && minute.Before(d.windows[w].Until) {
				d.add(map[bool]string{true: "last ", false: "before "}[w == len(d.windows)-1]+fmt.Sprint(d.places[p]), n)
			}
		}
		d.quarter(rows.Minute[i], store.FlowMail{Host: d.places[p].Host, Sender: d.places[p].Sender}, n, at(rows.Accepted, i))
	}
}

// dayDeferrer does without the minutes of the last window until it asks for them.
type dayDeferrer struct {
	*daySummary
	deferred map[string]int64 // recipients of AddLast by place
	timed    map[string]int64 // the same by the minutes that were asked for
	putOff   map[string]int64 // rows of places with suspensions, of deferred parts
	more     func(each func(*store.FlowRows)) error
}

func newDayDeferrer(windows []store.Window) *dayDeferrer {
	return &dayDeferrer{daySummary: &daySummary{windows: windows, sums: map[string]int64{}}, deferred: map[string]int64{}, timed: map[string]int64{}, putOff: map[string]int64{}}
}

func (d *dayDeferrer) AddLast(places []int32, recipients []int64, more func(each func(*store.FlowRows)) error) {
	d.more = more
	for i, p := range places {
		d.add("last "+fmt.Sprint(d.places[p]), recipients[i])
		d.deferred[fmt.Sprint(d.places[p])] += recipients[i]
	}
}

func (d *dayDeferrer) AddSuspended(rows *store.FlowRows) {
	for key, n := range suspensions(d.places, rows) {
		d.putOff[key] += n
	}
}

// suspensions returns what rows say of suspended, delivered and other recipients.
func suspensions(places []store.FlowPlace, rows *store.FlowRows) map[string]int64 {
	sums := map[string]int64{}
	for i, p := range rows.Place {
		for name, column := range map[string][]int64{"suspended": rows.Suspended, "recipients": rows.Recipients, "delivered": rows.Delivered} {
			if column != nil && column[i] != 0 {
				sums[fmt.Sprint(places[p], rows.Minute[i], name)] += column[i]
			}
		}
	}
	return sums
}

// check compares what was told with the minutes.
func (d *dayDeferrer) check(t *testing.T) {
	t.Helper()
	if d.more == nil {
		return
	}
	of, all := map[string]map[string]int64{}, map[string]bool{}
	if err := d.more(func(rows *store.FlowRows) {
		for i, p := range rows.Place {
			place := fmt.Sprint(d.places[p])
			if rows.Recipients != nil && rows.Recipients[i] != 0 {
				d.timed[place] += rows.Recipients[i]
			}
			if rows.Suspended != nil && rows.Suspended[i] != 0 {
				all[place] = true
			}
			one := store.FlowRows{Place: rows.Place[i : i+1], Minute: rows.Minute[i : i+1]}
			for _, c := range []struct {
				to   *[]int64
				from []int64
			}{{&one.Suspended, rows.Suspended}, {&one.Recipients, rows.Recipients}, {&one.Delivered, rows.Delivered}} {
				if c.from != nil {
					*c.to = c.from[i : i+1]
				}
			}
			if of[place] == nil {
				of[place] = map[string]int64{}
			}
			for key, n := range suspensions(d.places, &one) {
				of[place][key] += n
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(d.deferred, d.timed) {
		t.Errorf("%v: sums of the last window\n%v\nits minutes\n%v", d.windows, d.deferred, d.timed)
	}
	want := map[string]int64{}
	for place := range all {
		maps.Copy(want, of[place])
	}
	if !maps.Equal(d.putOff, want) {
		t.Errorf("%v: suspended\n%v\nthe minutes say\n%v", d.windows, d.putOff, want)
	}
}

// plainSink hides that a sink takes sums.
type plainSink struct{ store.FlowSink }

// What is told by sums of days and quarters is what the minutes add up to, whatever
// the windows are and whatever was counted after the sums were made.
func TestFlowOfSums(t *testing.T) {
	db, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	rng := rand.New(rand.NewSource(1))
	count := func(n int, days float64) {
		begin(t, w)
		for range n {
			k := &store.SeriesKey{Format: []string{"postfix", "exim"}[rng.Intn(2)], Host: fmt.Appendf(nil, "out%d", rng.Intn(2)), Sender: fmt.Appendf(nil, "s%d.test", rng.Intn(3)),
				Own: rng.Intn(9) == 0}
			c := store.Counts{Accepted: 1}
			if rng.Intn(4) > 0 {
				k.Domain, k.Relay = fmt.Appendf(nil, "d%d.test", rng.Intn(3)), []byte("mx.d.test")
				k.Direction = registry.Direction(rng.Intn(2))
				c = store.Counts{Delivered: 1, Recipients: 1 + rng.Int63n(3), Messages: 1}
			}
			id, err := w.Series(k)
			if err != nil {
				t.Fatal(err)
			}
			at := monthBegin.UnixMicro() + int64(rng.Float64()*days*24*3600e6)
			if w.Count(id, at, c); rng.Intn(50) == 0 && k.Domain != nil {
				w.Suspend(id, 0, at)
			}
		}
		commit(t, w)
	}
	at := func(day int, hour float64) time.Time {
		return monthBegin.AddDate(0, 0, day).Add(time.Duration(hour * float64(time.Hour)))
	}
	daily := func(n int, hour, length float64) (list []store.Window) {
		for day := range n {
			list = append(list, store.Window{Since: at(day, hour), Until: at(day+1, hour)})
		}
		return append(list, store.Window{Since: at(n, hour), Until: at(n, hour+length)})
	}
	check := func(most bool) {
		t.Helper()
		for i, windows := range [][]store.Window{
			daily(5, 0, 24), daily(4, 18, 24), daily(4, 18, 2), daily(4, 5.25, 1.5), daily(3, 23, 24), daily(5, 11.75, 0.4), daily(4, 5.1, 3),
			{{Since: at(0, 13), Until: at(2, 1)}, {Since: at(3, 2), Until: at(3, 9)}, {Since: at(4, 0), Until: at(4, 7)}},
			daily(0, 5, 9), daily(4, 0, 24), daily(3, 2.25, 24),
		} {
			for j, f := range []store.Filter{{}, {Hosts: []string{"out1"}}, {Senders: []string{"s2.test"}, MTAs: []string{"exim"}}, {Domains: []string{"d1.test"}}, {Directions: []string{"local"}}} {
				if testing.Short() && (i+j)%7 > 0 {
					continue
				}
				sums, plain := &daySummary{windows: windows, sums: map[string]int64{}}, &daySummary{windows: windows, sums: map[string]int64{}}
				deferrer := newDayDeferrer(windows)
				for _, to := range []store.FlowSink{sums, plainSink{plain}, deferrer} {
					if err := db.Flow(t.Context(), windows, f, to); err != nil {
						t.Fatal(err)
					}
				}
				deferrer.check(t)
				if !maps.Equal(deferrer.sums, plain.sums) {
					t.Errorf("%v, %+v: sums of the last window tell\n%v\nminutes\n%v", windows, f, deferrer.sums, plain.sums)
				}
				if most && i >= 9 && j < 3 && len(deferrer.deferred) == 0 {
					t.Errorf("%v, %+v: no minutes were put off", windows, f)
				}
				if !maps.Equal(sums.sums, plain.sums) || len(sums.sums) == 0 && len(windows) > 1 {
					t.Errorf("%v, %+v: sums tell\n%v\nminutes\n%v", windows, f, sums.sums, plain.sums)
				}
				if most && len(windows) > 4 && len(f.Domains)+len(f.Directions) == 0 && windows[0].Since.Minute()%15 == 0 && sums.told == 0 {
					t.Errorf("%v, %+v: no sums were told", windows, f)
				}
			}
		}
	}
	count(3000, 6)
	check(false)
	tidy := func() {
		if err := w.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tidy()
	check(true)
	count(300, 1.5) // of days that have sums
	check(false)
	tidy()
	check(true)
	if _, err := w.Prune(t.Context(), store.Retention{Counts: at(1, 0)}, func([]byte) int64 { return 0 }); err != nil {
		t.Fatal(err)
	}
	check(true)
	var left int
	if err := db.SQL().QueryRow("SELECT count(*) FROM segments WHERE kind = ?", segmentQuarters).Scan(&left); err != nil || left != 4*24 {
		t.Errorf("sums of quarters of %d hours are left, want those of four days; %v", left, err)
	}
}
