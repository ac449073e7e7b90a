package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// fixture is a database that is filled row by row, and remembers the rows.
type fixture struct {
	tb     testing.TB
	db     *DB
	names  map[string]int64
	texts  map[string]int64
	blocks map[int64][]countRow
	series []fixtureSeries
	causes []fixtureCause

	counts     []fixtureCount
	recipients []fixtureRecipient
	attempts   []fixtureAttempt
	rejections []fixtureRejection
}

type fixtureSeries struct{ format, host, instance, sender, domain, relay, provider string }

type fixtureCause struct {
	reply                                 int
	enhanced, provider, signature, reason string
}

type fixtureCount struct {
	minute                                             int64
	series                                             int
	delivered, recipients, suspended, handed, messages int64
}

type fixtureRecipient struct {
	series            int
	state             registry.State
	first, last, done int64 // done 0: pending
	cause             int   // of the last failing attempt, plus 1; 0 none
}

type fixtureAttempt struct {
	time      int64
	recipient int // place
	series    int
	outcome   int64
	cause     int
	text      string
}

type fixtureRejection struct {
	time           int64
	series, cause  int
	sender, client string
	recipient      string
	n              int64
	text           string
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	db, err := OpenTemporary()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	f := &fixture{tb: tb, db: db, names: map[string]int64{"": 1}, texts: map[string]int64{"": 1}, blocks: map[int64][]countRow{}}
	return f
}

func (f *fixture) exec(query string, args ...any) {
	f.tb.Helper()
	if _, err := f.db.rw.Exec(query, args...); err != nil {
		f.tb.Fatalf("%s: %v", query, err)
	}
}

func (f *fixture) name(s string) int64 {
	if f.names[s] == 0 {
		f.names[s] = int64(len(f.names) + 1)
		f.exec("INSERT INTO names VALUES (?,?)", f.names[s], s)
	}
	return f.names[s]
}

func (f *fixture) textID(s string) int64 {
	if f.texts[s] == 0 {
		f.texts[s] = int64(len(f.texts) + 1)
		f.exec("INSERT INTO texts VALUES (?,?)", f.texts[s], s)
	}
	return f.texts[s]
}

func (f *fixture) addSeries(s fixtureSeries) int {
	if i := slices.Index(f.series, s); i >= 0 {
		return i
	}
	f.series = append(f.series, s)
	f.exec("INSERT OR IGNORE INTO relays VALUES (?,?)", f.name(s.relay), f.name(s.provider))
	f.exec("INSERT INTO series VALUES (?,?,?,?,?,?,?,0,0)", len(f.series), f.name(s.format), f.name(s.host), f.name(s.instance), f.name(s.sender), f.name(s.domain), f.name(s.relay))
	return len(f.series) - 1
}

func (f *fixture) addCause(c fixtureCause) int {
	if i := slices.Index(f.causes, c); i >= 0 {
		return i
	}
	f.causes = append(f.causes, c)
	f.exec("INSERT INTO cause_rows VALUES (?1,?2,?1)", len(f.causes), f.name(c.provider))
	f.exec("INSERT INTO kinds VALUES (?,?,?,?,?,1,?,?,'rule',0,0)", len(f.causes), c.reply, c.enhanced, fmt.Sprintf("4.0.%d", len(f.causes)), len(f.causes)%14, c.signature, c.reason)
	return len(f.causes) - 1
}

func (f *fixture) addCount(c fixtureCount) {
	f.counts = append(f.counts, c)
	row := countRow{series: int64(c.series + 1), minute: mod(c.minute, 60), n: [fields]int64{c.delivered, c.recipients, c.suspended, c.handed, c.messages}}
	id := floorDiv(c.minute, 60)*blocksPerHour + int64(len(f.counts)/1500)
	f.blocks[id] = append(f.blocks[id], row)
	f.exec("INSERT OR REPLACE INTO counts VALUES (?,?)", id, appendCounts(nil, foldRows(slices.Clone(f.blocks[id]))))
}

func (f *fixture) addRecipient(r fixtureRecipient) int {
	f.recipients = append(f.recipients, r)
	id := len(f.recipients)
	done := any(r.done)
	if r.done == 0 {
		done = nil
	}
	s := f.series[r.series]
	address := fmt.Sprintf("u%d@%s", id, s.domain)
	f.exec("INSERT INTO message_rows VALUES (?,?,?,?,?,?,?,1,1,1,0,?,0)", id, f.name(s.format), f.name(s.host), f.name(s.instance),
		fmt.Sprintf("Q%d", id), fmt.Sprintf("<%d@x>", id), f.textID("a@"+s.sender), r.first)
	f.exec("INSERT INTO recipient_rows VALUES (?,?,?,?,?,?,?,?,nullif(?, 0),NULL,0)", id, id, r.series+1, f.textID(address), r.state, r.first, r.last, done, r.cause)
	for _, s := range []string{fmt.Sprintf("Q%d", id), fmt.Sprintf("<%d@x>", id), address} {
		f.exec("INSERT OR IGNORE INTO lookup VALUES (?,?,?)", dayOf(r.first), lookupHash(s), 2*id)
	}
	return id - 1
}

func (f *fixture) addAttempt(a fixtureAttempt) {
	f.attempts = append(f.attempts, a)
	f.exec("INSERT INTO attempt_rows VALUES (NULL,?,?,?,?,?,?,?,1000000,?,0,NULL,NULL,NULL)", a.time, a.recipient+1, a.series+1, a.outcome, a.cause+1, f.name("smtp"), f.textID("192.0.2.1"), f.textID(a.text))
}

func (f *fixture) addRejection(r fixtureRejection) {
	f.rejections = append(f.rejections, r)
	f.exec("INSERT INTO rejection_rows VALUES (?,?,?,?,?,'NOQUEUE',1,?,?,?,?,?,NULL,?,?,0)", len(f.rejections), r.time, r.series+1, r.cause+1, f.name("smtpd"),
		f.textID(r.client), f.textID(r.sender), f.name(senderDomain(r.sender, true)), f.textID(r.recipient), f.textID(r.text), r.n, r.n)
	f.exec("INSERT OR IGNORE INTO lookup VALUES (?,?,?)", dayOf(r.time), lookupHash(r.recipient), 2*len(f.rejections)+1)
}

// random fills a fixture.
func (f *fixture) random(rng *rand.Rand) {
	pick := func(list ...string) string { return list[rng.Intn(len(list))] }
	series := func() int {
		relay := pick("", "mx1.a.test", "mx2.a.test", "mx.b.test")
		return f.addSeries(fixtureSeries{pick("postfix", "exim", "exchange-tracking", "exchange-smtpsend"), pick("", "h1", "h2"), pick("", "out"),
			pick("s.test", "<>", "", "t.test"), pick("a.test", "b.test", "x.a.test", ""), relay,
			map[string]string{"": "", "mx1.a.test": "A", "mx2.a.test": "A", "mx.b.test": "b.test"}[relay]})
	}
	cause := func() int {
		i := rng.Intn(len(codesInTests))
		return f.addCause(fixtureCause{codesInTests[i].reply, codesInTests[i].enhanced, pick("A", "b.test", ""), pick("sig one", "sig two", "sig three"), pick("user-unknown", "rate-limited", "unknown")})
	}
	const minutes = 40
	for range 30 {
		f.addCount(fixtureCount{rng.Int63n(minutes), series(), rng.Int63n(5), rng.Int63n(5), rng.Int63n(3), rng.Int63n(3), rng.Int63n(3)})
	}
	for range 60 {
		f.randomRecipient(rng, minutes, series, cause)
	}
	for range 20 {
		i := f.addSeries(fixtureSeries{pick("postfix", "exim"), pick("h1", "h2"), "", "", pick("a.test", ""), "", ""})
		f.addRejection(fixtureRejection{rng.Int63n(minutes * store.MinuteMicros), i, cause(), pick("x@s.test", "y@T.test", "", `"a@s.test"@t.test`),
			pick("192.0.2.1", "192.0.2.2", ""), pick("u@a.test", "v@a.test", ""), 1 + rng.Int63n(3), pick("r1", "r2", "r3")})
	}
	f.exec("INSERT INTO lines VALUES (3,10,6,3,1), (20,100,60,30,10)")
}

func (f *fixture) randomRecipient(rng *rand.Rand, minutes int64, series, cause func() int) {
	r := fixtureRecipient{series: series(), state: registry.State(rng.Intn(7))}
	r.first = someTime(rng, store.MinuteMicros, minutes*store.MinuteMicros)
	r.last = someTime(rng, r.first, r.first+10*store.MinuteMicros)
	if r.state != registry.StatePending {
		r.done = someTime(rng, r.first, r.last)
	}
	if rng.Intn(4) > 0 {
		r.cause = cause() + 1
	}
	id := f.addRecipient(r)
	for range rng.Intn(5) {
		s := f.series[r.series]
		s.relay, s.provider = "mx1.a.test", "A"
		at := []int{r.series, f.addSeries(s)}[rng.Intn(2)]
		f.addAttempt(fixtureAttempt{someTime(rng, r.first, r.last), id, at, 2 + rng.Int63n(2), cause(), fmt.Sprint("text ", rng.Intn(4))})
	}
}

// someTime returns a time from first to last, often on the minute, where
// windows end.
func someTime(rng *rand.Rand, first, last int64) int64 {
	t := first + rng.Int63n(last-first+1)
	if whole := t - t%store.MinuteMicros; whole >= first && rng.Intn(2) == 0 {
		return whole
	}
	return t
}

var codesInTests = []struct {
	reply    int
	enhanced string
}{{550, "5.1.1"}, {550, ""}, {0, "4.4.1"}, {0, ""}, {421, "4.7.28"}}

// reference counts like counter does, in the plainest way: for every group it
// looks at every row.
type reference struct {
	*fixture
	window     store.Window
	filter     store.Filter
	sendIsLeft bool
}

// asked reports whether s is of the hosts and the logs that were asked for.
func (r *reference) asked(s fixtureSeries) bool {
	return store.MatchName(r.filter.Hosts, s.host) && (store.MatchName(r.filter.MTAs, strings.Split(s.format, "-")[0]) || store.MatchName(r.filter.MTAs, s.format))
}

func (f *fixture) reference(w store.Window, filter store.Filter) *reference {
	r := &reference{fixture: f, window: w, filter: filter}
	tracking, send := false, false
	for _, s := range f.series {
		send = send || s.format == store.SendFormat && r.asked(s)
	}
	for _, c := range f.counts {
		tracking = tracking || f.series[c.series].format == store.TrackingFormat && r.asked(f.series[c.series]) && r.in(c.minute*store.MinuteMicros)
	}
	for _, c := range f.recipients {
		tracking = tracking || f.series[c.series].format == store.TrackingFormat && r.asked(f.series[c.series]) && r.overlaps(c)
	}
	r.sendIsLeft = tracking && send
	return r
}

func (r *reference) in(t int64) bool {
	since, until := r.window.Micros()
	return t >= since && t < until
}

func (r *reference) overlaps(c fixtureRecipient) bool {
	since, until := r.window.Micros()
	return c.last >= since && c.first < until
}

func (r *reference) state(c fixtureRecipient) registry.State {
	if _, until := r.window.Micros(); c.done != 0 && c.done < until {
		return c.state
	}
	return registry.StatePending
}

func (r *reference) wantSeries(i int, sender string) bool {
	s := r.series[i]
	if r.sendIsLeft && s.format == store.SendFormat {
		return false
	}
	return store.MatchDomain(r.filter.Domains, s.domain) && store.MatchDomain(r.filter.Senders, sender) && store.MatchName(r.filter.Providers, s.provider) &&
		store.MatchName(r.filter.Hosts, s.host) && (store.MatchName(r.filter.MTAs, strings.Split(s.format, "-")[0]) || store.MatchName(r.filter.MTAs, s.format))
}

func (r *reference) wantCause(i int) bool {
	c := r.causes[i]
	return r.filter.MatchCause(c.reply, c.enhanced, c.reason)
}

// key returns the values of a group; cause < 0: none.
func (r *reference) key(dims []store.Dimension, series int, sender string, cause int) string {
	s := r.series[series]
	code, reason := "", ""
	if cause >= 0 {
		code, reason = store.Code(r.causes[cause].reply, r.causes[cause].enhanced), r.causes[cause].reason
	}
	values := map[store.Dimension]string{store.ByDomain: s.domain, store.ByProvider: s.provider, store.BySender: sender, store.ByRelay: s.relay, store.ByHost: s.host,
		store.ByInstance: s.instance, store.ByMTA: strings.Split(s.format, "-")[0], store.ByCode: code, store.ByReason: reason}
	key := make([]string, len(dims))
	for i, d := range dims {
		key[i] = values[d]
	}
	return strings.Join(key, "|")
}

func (r *reference) groups(dims []store.Dimension) map[string]store.Tally {
	groups := map[string]store.Tally{}
	update := func(key string, f func(*store.Tally)) {
		t := groups[key]
		f(&t)
		groups[key] = t
	}
	ofCause := r.filter.OfCause() || slices.ContainsFunc(dims, store.Dimension.OfCause)
	for _, c := range r.counts {
		if !ofCause && r.in(c.minute*store.MinuteMicros) && r.wantSeries(c.series, r.series[c.series].sender) {
			update(r.key(dims, c.series, r.series[c.series].sender, -1), func(t *store.Tally) {
				t.Attempts += c.delivered
				t.Recipients += c.recipients
				t.Delivered += c.recipients
				t.Suspended += c.suspended
				t.HandedOver += c.handed
			})
		}
	}
	for id, c := range r.recipients {
		met := map[string]bool{} // group: deferred
		deferred := false
		for _, a := range r.attempts {
			if a.recipient != id || !r.in(a.time) {
				continue
			}
			deferred = deferred || a.outcome == 2
			if !r.wantSeries(a.series, r.series[a.series].sender) || !r.wantCause(a.cause) {
				continue
			}
			key := r.key(dims, a.series, r.series[a.series].sender, a.cause)
			met[key] = met[key] || a.outcome == 2
			update(key, func(t *store.Tally) {
				t.Attempts++
				t.Deferrals += map[int64]int64{2: 1}[a.outcome]
				t.Failures += map[int64]int64{3: 1}[a.outcome]
			})
		}
		if !ofCause {
			clear(met)
			if r.overlaps(c) && r.wantSeries(c.series, r.series[c.series].sender) {
				met[r.key(dims, c.series, r.series[c.series].sender, -1)] = deferred
			}
		}
		for key, deferred := range met {
			update(key, func(t *store.Tally) {
				s := r.state(c)
				t.Pending += map[registry.State]int64{registry.StatePending: 1}[s]
				t.Delivered += map[registry.State]int64{registry.StateDelivered: 1}[s]
				t.Bounced += map[registry.State]int64{registry.StateBounced: 1}[s]
				t.Expired += map[registry.State]int64{registry.StateExpired: 1}[s]
				t.Removed += map[registry.State]int64{registry.StateRemoved: 1}[s]
				t.HandedOver += map[registry.State]int64{registry.StateHandedOver: 1}[s]
				if s <= registry.StateRemoved {
					t.Recipients++
					t.Deferred += map[bool]int64{true: 1}[deferred]
				}
			})
		}
	}
	for _, j := range r.rejections {
		sender := strings.ToLower(j.sender[strings.LastIndexByte(j.sender, '@')+1:])
		if j.sender == "" {
			sender = "<>"
		}
		if r.in(j.time) && r.wantSeries(j.series, sender) && r.wantCause(j.cause) {
			cause := j.cause
			if !ofCause {
				cause = -1
			}
			update(r.key(dims, j.series, sender, cause), func(t *store.Tally) {
				if k := r.causes[j.cause]; store.IsTemporary(k.reply, k.enhanced) {
					t.RejectedTemporary += j.n
				} else {
					t.Rejected += j.n
				}
			})
		}
	}
	return groups
}

// codes returns attempts, recipients and domains by code and, after a blank, by
// reason of what has no code.
func (r *reference) codes() map[string][3]int64 {
	type pair struct{ code, of string }
	recipients, domains := map[pair]bool{}, map[pair]bool{}
	codes := map[string][3]int64{}
	for _, a := range r.attempts {
		if !r.in(a.time) || !r.wantSeries(a.series, r.series[a.series].sender) || !r.wantCause(a.cause) {
			continue
		}
		keys := []string{store.Code(r.causes[a.cause].reply, r.causes[a.cause].enhanced)}
		if keys[0] == "" {
			keys = append(keys, " "+r.causes[a.cause].reason)
		}
		for _, code := range keys {
			n := codes[code]
			n[0]++
			if p := (pair{code, fmt.Sprint(a.recipient)}); !recipients[p] {
				recipients[p] = true
				n[1]++
			}
			if p := (pair{code, r.series[a.series].domain}); !domains[p] {
				domains[p] = true
				n[2]++
			}
			codes[code] = n
		}
	}
	return codes
}

// failed returns recipients and domains by the code and reason of the last
// failure, which those that expired may lack.
func (r *reference) failed() map[string][2]int64 {
	domains := map[[2]string]bool{}
	failed := map[string][2]int64{}
	for _, p := range r.recipients {
		s := r.series[p.series]
		state := r.state(p)
		if state != registry.StateBounced && state != registry.StateExpired || !r.overlaps(p) || !r.wantSeries(p.series, s.sender) {
			continue
		}
		c := fixtureCause{reason: "expired"} // without any failure that is known
		switch {
		case p.cause > 0 && r.wantCause(p.cause-1):
			c = r.causes[p.cause-1]
		case p.cause > 0 || state == registry.StateBounced || r.filter.OfCause():
			continue
		}
		key := store.Code(c.reply, c.enhanced) + " " + c.reason
		n := failed[key]
		n[0]++
		if at := [2]string{key, s.domain}; !domains[at] {
			domains[at] = true
			n[1]++
		}
		failed[key] = n
	}
	return failed
}

// putOff returns the deferrals by code and reason.
func (r *reference) putOff() map[string]int64 {
	n := map[string]int64{}
	for _, a := range r.attempts {
		if c := r.causes[a.cause]; a.outcome == attemptDeferred && r.in(a.time) && r.wantSeries(a.series, r.series[a.series].sender) && r.wantCause(a.cause) {
			n[store.Code(c.reply, c.enhanced)+" "+c.reason]++
		}
	}
	return n
}

func minute(n int64) time.Time { return time.UnixMicro(n * store.MinuteMicros).UTC() }

func TestNumbersAgreeWithReference(t *testing.T) {
	windows := []store.Window{{}, {Since: minute(10)}, {Until: minute(20)}, {Since: minute(10), Until: minute(12)}, {Since: minute(15).Add(59 * time.Second), Until: minute(35).Add(time.Microsecond)}, {Since: minute(50)}}
	filters := []store.Filter{{}, {Domains: []string{"A.test"}}, {Domains: []string{"*.a.test", "b.test"}}, {Providers: []string{"a"}},
		{Senders: []string{"<>", "T.test"}}, {Hosts: []string{"h1"}}, {MTAs: []string{"exchange"}}, {MTAs: []string{"exchange-smtpsend", "exim"}},
		{Codes: []string{"550"}}, {Codes: []string{"5.1.x", "none"}, Hosts: []string{"h1"}}, {Reasons: []string{"unknown"}, Domains: []string{"a.test"}}}
	groupings := [][]store.Dimension{{store.ByDomain, store.ByProvider}, {store.ByCode}, {store.ByReason, store.ByHost}, {store.BySender}, {store.BySender, store.ByCode}, {store.ByRelay}, {store.ByMTA, store.ByInstance}}
	for seed := range few[int64](1, 6) {
		rng := rand.New(rand.NewSource(seed))
		f := newFixture(t)
		f.random(rng)
		q := f.db
		for _, w := range windows {
			for _, filter := range filters {
				by := groupings[rng.Intn(len(groupings))]
				n, err := q.Numbers(context.Background(), w, filter, by)
				if err != nil {
					t.Fatal(err)
				}
				compareNumbers(t, fmt.Sprintf("seed %d, %v, %+v, by %v", seed, w, filter, by), n, f.reference(store.Window{Since: w.Since.Truncate(time.Minute), Until: w.Until.Truncate(time.Minute)}, filter), by)
			}
		}
	}
}

// shuffled returns a fixture with the same rows, written in another order.
func (f *fixture) shuffled(rng *rand.Rand) *fixture {
	g := newFixture(f.tb)
	for _, i := range rng.Perm(len(f.series)) {
		g.addSeries(f.series[i])
	}
	for _, i := range rng.Perm(len(f.causes)) {
		g.addCause(f.causes[i])
	}
	for _, i := range rng.Perm(len(f.counts)) {
		c := f.counts[i]
		c.series = g.addSeries(f.series[c.series])
		g.addCount(c)
	}
	recipients := map[int]int{}
	for _, i := range rng.Perm(len(f.recipients)) {
		r := f.recipients[i]
		r.series = g.addSeries(f.series[r.series])
		if r.cause != 0 {
			r.cause = g.addCause(f.causes[r.cause-1]) + 1
		}
		recipients[i] = g.addRecipient(r)
	}
	for _, i := range rng.Perm(len(f.attempts)) {
		a := f.attempts[i]
		a.series, a.cause, a.recipient = g.addSeries(f.series[a.series]), g.addCause(f.causes[a.cause]), recipients[a.recipient]
		g.addAttempt(a)
	}
	for _, i := range rng.Perm(len(f.rejections)) {
		r := f.rejections[i]
		r.series, r.cause = g.addSeries(f.series[r.series]), g.addCause(f.causes[r.cause])
		g.addRejection(r)
	}
	g.exec("INSERT INTO lines VALUES (20,100,60,30,10), (3,10,6,3,1)")
	return g
}

func TestOrderOfRowsDoesNotMatter(t *testing.T) {
	for seed := range few[int64](1, 5) {
		rng := rand.New(rand.NewSource(seed))
		f := newFixture(t)
		f.random(rng)
		g := f.shuffled(rng)
		for _, w := range []store.Window{{}, {Since: minute(10), Until: minute(25)}} {
			for _, by := range [][]store.Dimension{{store.ByProvider, store.ByReason}, {store.ByRelay, store.BySender}} {
				a, err := f.db.Numbers(context.Background(), w, store.Filter{}, by)
				if err != nil {
					t.Fatal(err)
				}
				b, err := g.db.Numbers(context.Background(), w, store.Filter{}, by)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(a, b) {
					t.Errorf("seed %d, %v, by %v:\n%+v\n%+v", seed, w, by, a, b)
				}
			}
		}
	}
}

func compareNumbers(t *testing.T, name string, n *store.Numbers, want *reference, by []store.Dimension) {
	t.Helper()
	if w := want.groups(nil)[""]; n.Totals != w {
		t.Errorf("%s: totals\n got %+v\nwant %+v", name, n.Totals, w)
	}
	compareGroups(t, name+": domains", n.Domains, want.groups([]store.Dimension{store.ByDomain}))
	compareGroups(t, name+": groups", n.Groups, want.groups(by))
	codes := map[string][3]int64{}
	for _, c := range n.Codes {
		codes[c.Code] = [3]int64{c.Attempts, c.Recipients, c.Domains}
	}
	for _, c := range n.Uncoded {
		codes[c.Code+" "+c.Reason] = [3]int64{c.Attempts, c.Recipients, c.Domains}
	}
	if w := want.codes(); !reflect.DeepEqual(codes, w) {
		t.Errorf("%s: codes\n got %v\nwant %v", name, codes, w)
	}
	failed, putOff := map[string][2]int64{}, map[string]int64{}
	for _, f := range n.Failed {
		failed[f.Code+" "+f.Reason] = [2]int64{f.N, f.Domains}
	}
	for _, f := range n.PutOff {
		putOff[f.Code+" "+f.Reason] = f.N
	}
	if w := want.failed(); !reflect.DeepEqual(failed, w) {
		t.Errorf("%s: failed\n got %v\nwant %v", name, failed, w)
	}
	if w := want.putOff(); !reflect.DeepEqual(putOff, w) {
		t.Errorf("%s: put off\n got %v\nwant %v", name, putOff, w)
	}
	for _, g := range append(append([]store.Group{{Tally: n.Totals}}, n.Domains...), n.Groups...) {
		if g.Recipients != g.Delivered+g.Bounced+g.Expired+g.Removed+g.Pending || g.Attempts < g.Deferrals+g.Failures || g.Deferred > g.Recipients {
			t.Errorf("%s: %v does not add up: %+v", name, g.Values, g.Tally)
		}
	}
}

func compareGroups(t *testing.T, name string, got []store.Group, want map[string]store.Tally) {
	t.Helper()
	have := map[string]store.Tally{}
	for _, g := range got {
		if g.Tally != (store.Tally{}) {
			have[valuesIn(g.Values)] = g.Tally
		}
	}
	for k, v := range want {
		if v == (store.Tally{}) {
			delete(want, k)
		}
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("%s\n got %+v\nwant %+v", name, have, want)
	}
}

// story fills f with one message of three recipients and a rejection.
func (f *fixture) story() {
	s := f.addSeries(fixtureSeries{"postfix", "mx1", "", "s.test", "a.test", "mx.a.test", "A"})
	other := f.addSeries(fixtureSeries{"exim", "mx2", "", "<>", "b.test", "", ""})
	refused := f.addCause(fixtureCause{421, "4.7.0", "A", "421 go away", "rate-limited"})
	unknown := f.addCause(fixtureCause{550, "5.1.1", "", "no such user", "user-unknown"})
	for i := range int64(3) {
		id := f.addRecipient(fixtureRecipient{series: s, first: 1_000_000, last: 9_000_000})
		f.addAttempt(fixtureAttempt{2_000_000 + i, id, s, attemptDeferred, refused, "421 4.7.0 go away"})
	}
	f.exec("UPDATE recipient_rows SET message = 1")
	f.exec("UPDATE OR IGNORE lookup SET ref = 2")
	id := f.addRecipient(fixtureRecipient{series: other, state: registry.StateBounced, first: 3_000_000, last: 3_000_000, done: 3_000_000})
	f.addAttempt(fixtureAttempt{3_000_000, id, other, attemptFailed, unknown, "550 5.1.1 no such user"})
	f.addRejection(fixtureRejection{2_500_000, f.addSeries(fixtureSeries{"postfix", "mx1", "", "", "a.test", "", ""}), unknown, "x@S.test", "192.0.2.7", "u@a.test", 2, "550 rejected"})
}

func TestEvents(t *testing.T) {
	f := newFixture(t)
	f.story()
	tests := []struct {
		window   store.Window
		filter   store.Filter
		outcomes []string
		newest   int
		want     string
	}{
		{outcomes: store.OutcomeNames, want: "deferred u1@a.test, deferred u2@a.test, deferred u3@a.test, rejected u@a.test, failed u4@b.test"},
		{outcomes: store.OutcomeNames, newest: 2, want: "rejected u@a.test, failed u4@b.test"},
		{outcomes: []string{"failed"}, want: "failed u4@b.test"},
		{outcomes: []string{"rejected", "failed"}, filter: store.Filter{Senders: []string{"s.test"}}, want: "rejected u@a.test"},
		{outcomes: store.OutcomeNames, filter: store.Filter{Codes: []string{"421"}}, newest: 1, want: "deferred u3@a.test"},
		{outcomes: store.OutcomeNames, filter: store.Filter{MTAs: []string{"exim"}}, want: "failed u4@b.test"},
		{outcomes: store.OutcomeNames, window: store.Window{Since: time.UnixMicro(2_000_001), Until: time.UnixMicro(3_000_000)}, want: "deferred u2@a.test, deferred u3@a.test, rejected u@a.test"},
	}
	for _, test := range tests {
		var got []string
		_, err := f.db.Events(context.Background(), test.window, test.filter, test.outcomes, test.newest, func(e *store.Event) error {
			got = append(got, e.Outcome+" "+string(e.Recipient))
			return nil
		})
		if s := strings.Join(got, ", "); err != nil || s != test.want {
			t.Errorf("%+v: %s, %v\nwant %s", test, s, err, test.want)
		}
	}
}

func TestEventHasAllThatIsKnown(t *testing.T) {
	f := newFixture(t)
	f.story()
	contacts := map[string]int{}
	_, err := f.db.Events(context.Background(), store.Window{}, store.Filter{}, store.OutcomeNames, 0, func(e *store.Event) error {
		contacts[e.Contact()]++
		if e.Outcome == "rejected" && (e.ClientIP != "192.0.2.7" || e.Times != 2 || e.Sender != "x@S.test" || e.Message != "") {
			t.Errorf("rejection: %+v", e)
		}
		if e.Recipient == "u2@a.test" && (e.Message != "Q1" || e.MessageID != "<1@x>" || e.Sender != "a@s.test" || e.Relay != "mx.a.test" || e.Provider != "A" ||
			e.IP != "192.0.2.1" || e.Service != "smtp" || e.Delay != time.Second || e.Code() != "421 4.7.0" || e.Reason != "rate-limited" || e.Text != "421 4.7.0 go away" || e.MTA != "postfix") {
			t.Errorf("attempt: %+v", e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(contacts) != 3 {
		t.Errorf("%d contacts, want 3: %v", len(contacts), contacts)
	}
}

func TestTrace(t *testing.T) {
	f := newFixture(t)
	f.story()
	for what, want := range map[string]string{
		"Q1":          "Q1: u1@a.test 1, u2@a.test 1, u3@a.test 1",
		"<1@x>":       "Q1: u1@a.test 1, u2@a.test 1, u3@a.test 1",
		"1@x":         "Q1: u1@a.test 1, u2@a.test 1, u3@a.test 1",
		"u2@A.TEST":   "Q1: u2@a.test 1",
		"<u4@b.test>": "Q4: u4@b.test 1",
		"u@a.test":    "; rejected u@a.test",
		"NOQUEUE":     "",
		"":            "",
	} {
		stories, rejections, err := f.db.Trace(context.Background(), what)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range stories {
			var recipients []string
			for _, r := range s.Recipients {
				recipients = append(recipients, fmt.Sprintf("%s %d", r.Address, len(r.Attempts)))
			}
			got = append(got, string(s.QueueID)+": "+strings.Join(recipients, ", "))
		}
		s := strings.Join(got, "; ")
		for _, r := range rejections {
			s += "; " + r.Outcome + " " + string(r.Recipient)
		}
		if s != want {
			t.Errorf("%s: %q, want %q", what, s, want)
		}
	}
}

// The numbers of one report agree with each other while another connection
// writes.
func TestNumbersAreOneSnapshot(t *testing.T) {
	db, err := Open(filepath.Join(t.TempDir(), "m.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w, err := db.writer()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	write := func() error {
		if _, err := w.Begin(t.Context()); err != nil {
			return err
		}
		series, err := w.Series(&store.SeriesKey{Format: "postfix"})
		if err != nil {
			return err
		}
		w.Count(series, 1, store.Counts{Recipients: 1})
		w.CountLines(1, store.Lines{Read: 1})
		return w.Commit()
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := write(); err != nil {
				done <- err
				return
			}
		}
	}()
	q := db
	var last int64
	for range 100 {
		n, err := q.Numbers(context.Background(), store.Window{}, store.Filter{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n.Totals.Recipients != n.Lines.Read || n.Lines.Read < last {
			t.Fatalf("%d recipients, %d lines after %d", n.Totals.Recipients, n.Lines.Read, last)
		}
		last = n.Lines.Read
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// What a row says of its reason and its example belong together, however
// frequent the texts of other reasons are.
func TestExampleIsOfTheReason(t *testing.T) {
	f := newFixture(t)
	at := f.addSeries(fixtureSeries{format: "postfix", domain: "a.test"})
	full := []int{f.addCause(fixtureCause{552, "5.2.2", "A", "full one", "mailbox-full"}), f.addCause(fixtureCause{552, "5.2.2", "A", "full two", "mailbox-full"})}
	size := f.addCause(fixtureCause{552, "5.2.2", "B", "too big", "too-big"})
	for i, cause := range []int{full[0], full[0], full[1], full[1], size, size, size} {
		id := f.addRecipient(fixtureRecipient{series: at, state: registry.StateBounced, first: 1, last: 1, done: 1, cause: cause + 1})
		f.addAttempt(fixtureAttempt{int64(i), id, at, attemptFailed, cause, f.causes[cause].signature})
	}
	n, err := f.db.Numbers(t.Context(), store.Window{}, store.Filter{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Codes) != 1 || n.Codes[0].Attempts != 7 || n.Codes[0].Reason != "mailbox-full" || n.Codes[0].Provider != "A" || n.Codes[0].Example != "full one" {
		t.Errorf("got %+v", n.Codes)
	}
}

func TestQueriesEndWithTheirContext(t *testing.T) {
	f := newFixture(t)
	f.story()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.db.Numbers(ctx, store.Window{}, store.Filter{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled report ends with %v", err)
	}
	n, err := f.db.Numbers(context.Background(), store.Window{}, store.Filter{}, nil)
	if err != nil || n.Totals.Recipients != 4 {
		t.Errorf("the next report: %+v, %v", n, err)
	}
}

func BenchmarkNumbers(b *testing.B) {
	f := newFixture(b)
	f.exec("BEGIN")
	rng := rand.New(rand.NewSource(1))
	var series, causes []int
	for i := range 500 {
		series = append(series, f.addSeries(fixtureSeries{"postfix", "mx1", "", "s.test", fmt.Sprintf("d%d.test", i), fmt.Sprintf("mx.d%d.test", i), fmt.Sprintf("d%d.test", i)}))
	}
	for i := range 100 {
		causes = append(causes, f.addCause(fixtureCause{450 + i%50, "4.2.2", "", fmt.Sprint("signature ", i), "mailbox-full"}))
	}
	attempts := 0
	for range 10_000 {
		r := fixtureRecipient{series: series[rng.Intn(len(series))], first: rng.Int63n(1e12), state: registry.StateBounced}
		r.last, r.done = r.first+1e9, r.first+1e9
		id := f.addRecipient(r)
		for range 1 + rng.Intn(4) {
			f.addAttempt(fixtureAttempt{r.first + rng.Int63n(1e9), id, r.series, attemptDeferred, causes[rng.Intn(len(causes))], "text"})
			attempts++
		}
	}
	f.exec("COMMIT")
	q := f.db
	for b.Loop() {
		if _, err := q.Numbers(context.Background(), store.Window{}, store.Filter{}, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(attempts)*float64(b.N)/b.Elapsed().Seconds(), "attempts/s")
}

func valuesIn(values []registry.Foreign) string {
	var list []string
	for _, v := range values {
		list = append(list, string(v))
	}
	return strings.Join(list, "|")
}
