package storetest

import (
	"fmt"
	"math/rand"
	"reflect"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// content checks that an engine distinguishes untried messages, messages that the server
// made itself, directions, submissions, and the trouble of the mail system.
func content(t *testing.T, e Engine) {
	w, err := e.Writer()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = w.Begin(t.Context())
	check(err)
	series := func(k store.SeriesKey) int64 {
		t.Helper()
		k.Format, k.Host, k.Sender = "postfix", []byte("h1"), []byte("s.test")
		id, err := w.Series(&k)
		check(err)
		return id
	}
	arrived := series(store.SeriesKey{})
	outgoing := series(store.SeriesKey{Domain: []byte("a.test"), Relay: []byte("mx.a.test"), Provider: "A"})
	local := series(store.SeriesKey{Domain: []byte("home.test"), Direction: registry.DirectionLocal})
	own := series(store.SeriesKey{Domain: []byte("a.test"), Relay: []byte("mx.a.test"), Provider: "A",
		Own: true})
	w.Count(arrived, micros(1), store.Counts{Accepted: 7, Expected: 9})
	w.Count(arrived, micros(1), store.Counts{Heard: 4})
	w.Count(outgoing, micros(2), store.Counts{Delivered: 5, Recipients: 5, Messages: 5})
	w.Count(local, micros(3), store.Counts{Delivered: 2, Recipients: 2, Messages: 2})
	w.Count(own, micros(3), store.Counts{Delivered: 3, Recipients: 3, Messages: 3})
	busy, err := w.Cause(&causes[3])
	check(err)
	w.Suspend(outgoing, busy, micros(4))
	w.Suspend(outgoing, 0, micros(4))
	for n := range 3 {
		w.AddSubmission(&store.Submission{Time: micros(n), Host: []byte("h1"), Sender: []byte("s.test"),
			Account: []byte("joe"), Client: []byte("app.test"), Messages: 1, Recipients: 2, Bytes: 700})
		w.AddVolume(micros(n), []byte("h1"),
			&store.Volume{Measure: store.DeliveredOut, Value: 2, N: 1, Bytes: 700, Millis: int64(n)})
		w.AddVolume(micros(60*n), []byte("h2"),
			&store.Volume{Measure: store.Logins, Value: store.LoginFailed, N: 4})
		w.AddTrouble(&store.Trouble{
			Time:      micros(n),
			Format:    "postfix",
			Host:      []byte("h1"),
			Service:   []byte("smtp"),
			Kind:      "fatal",
			Text:      "no space " + string(rune('c'-n)),
			Signature: "no space *",
		})
	}
	message, err := w.AddMessage(&store.Message{
		Format:    "postfix",
		Host:      "h1",
		QueueID:   "Q1",
		Sender:    "x@s.test",
		HasSender: true,
		Account:   "joe",
		FirstSeen: micros(1),
	})
	check(err)
	recipient := w.AddRecipient(&store.Recipient{Message: message, Series: outgoing, Address: "u@a.test",
		FirstSeen: micros(1), LastSeen: micros(5), Cause: busy, Troubled: true})
	check(w.AddAttempt(&store.Attempt{
		Format:    "postfix",
		Time:      micros(5),
		Recipient: recipient,
		Series:    outgoing,
		Outcome:   uint8(registry.OutcomeDeferred),
		Cause:     busy,
		Text:      "busy",
		First:     true,
	}))
	check(w.Commit())
	check(w.Tidy(t.Context()))

	n, err := e.Numbers(t.Context(), store.Window{}, store.Filter{}, []store.Dimension{store.ByDirection})
	check(err)
	same(t, "accepted, untried, messages", [3]int64{n.Accepted, n.Untried, n.Messages}, [3]int64{7, 3, 7})
	same(t, "recipients, suspended", [2]int64{n.Totals.Recipients, n.Totals.Suspended}, [2]int64{8, 2})
	same(t, "own bounces", n.OwnBounces, store.Tally{Recipients: 3, Delivered: 3, Attempts: 3})
	directions := map[string]int64{}
	for _, g := range n.Groups {
		directions[g.Values[0].Raw()] = g.Recipients
	}
	same(t, "directions", directions, map[string]int64{"outgoing": 6, "local": 2})

	n, err = e.Numbers(t.Context(), store.Window{}, store.Filter{Directions: []string{"Local"}}, nil)
	check(err)
	same(t, "local recipients", n.Totals.Recipients, int64(2))

	line, err := e.Timeline(t.Context(), store.Window{}, store.Filter{}, []store.Dimension{store.ByDomain},
		time.Hour)
	check(err)
	points := map[string]store.Point{}
	for _, s := range line.Slices {
		for _, p := range s.Points {
			p.Time = time.Time{}
			points[s.Values[0].Raw()] = p
		}
	}
	same(t, "timeline", points, map[string]store.Point{
		"":          {Accepted: 7, Untried: 3},
		"a.test":    {Recipients: 6, Delivered: 5, Deferrals: 1, First: 1, Suspended: 2},
		"home.test": {Recipients: 2, Delivered: 2},
	})

	troubles, err := e.Troubles(t.Context(), store.Window{}, store.Filter{})
	check(err)
	for i := range troubles {
		troubles[i].First, troubles[i].Last = troubles[i].First.UTC(), troubles[i].Last.UTC()
	}
	same(t, "troubles", troubles, []store.TroubleRow{{Format: "postfix", Host: "h1", Service: "smtp",
		Kind: "fatal", Text: "no space a", Signature: "no space *",
		N: 3, First: minute(0), Last: minute(2)}})
	submissions, err := e.Submissions(t.Context(), store.Window{Since: minute(30), Until: minute(40)},
		store.Filter{})
	check(err)
	same(t, "submissions", submissions, []store.SubmissionRow{{Host: "h1", Sender: "s.test", Account: "joe",
		Client: "app.test", Messages: 3, Recipients: 6, Bytes: 2100}})
	submissions, err = e.Submissions(t.Context(), store.Window{Since: minute(60)}, store.Filter{})
	check(err)
	same(t, "submissions of the next hour", len(submissions), 0)
	volumes, err := e.Volumes(t.Context(), store.Window{Until: minute(70)}, store.Filter{})
	check(err)
	for i := range volumes {
		volumes[i].Time = volumes[i].Time.UTC()
	}
	failed := store.Volume{Measure: store.Logins, Value: store.LoginFailed, N: 4}
	same(t, "volumes", volumes, []store.HourVolume{
		{Time: minute(0), Volume: store.Volume{Measure: store.DeliveredOut, Value: 2, N: 3, Bytes: 2100,
			Millis: 3}}, {Time: minute(0), Volume: failed}, {Time: minute(60), Volume: failed}})
	volumes, err = e.Volumes(t.Context(), store.Window{}, store.Filter{Hosts: []string{"h3"}})
	check(err)
	same(t, "volumes of another host", len(volumes), 0)

	_, err = e.Events(t.Context(), store.Window{}, store.Filter{}, store.OutcomeNames, 0,
		func(e *store.Event) error {
			same(t, "account of a failure", e.Account, "joe")
			return nil
		})
	check(err)
	for account, want := range map[string]int{"Joe": 1, "jim": 0} {
		n := 0
		_, err = e.Events(t.Context(), store.Window{}, store.Filter{Accounts: []string{account}},
			store.OutcomeNames, 0, func(*store.Event) error {
				n++
				return nil
			})
		check(err)
		same(t, "failures of "+account, n, want)
		numbers, err := e.Numbers(t.Context(), store.Window{},
			store.Filter{Accounts: []string{account}}, nil)
		check(err)
		same(t, "recipients of "+account, numbers.Totals.Recipients, int64(want))
		same(t, "failing attempts of "+account, numbers.Totals.Attempts, int64(want))
		same(t, "rejections of "+account, numbers.Totals.Rejected+numbers.Totals.RejectedTemporary, 0)
	}
}

// feedback checks that a failure counts once, whichever of the bounce and the log is read
// first, and that the store keeps what the log reports.
func feedback(t *testing.T, open func(testing.TB) Engine) {
	steps := []func(*feeder){
		func(f *feeder) { f.delivered("<1@s.test>", "u1@a.test", 1) },
		func(f *feeder) { f.failed("postfix", "h1", "<2@s.test>", "u2@a.test", 2, nil) },
		func(f *feeder) { f.failed("postfix", "h1", "<3@s.test>", "u3@a.test", 3, nil) }, // no bounce
		func(f *feeder) { f.delivered("", "u5@a.test", 1) },
		func(f *feeder) { f.delivered("<6@s.test>", "u6@a.test", 1) },
		// the next hop, whose log is here too
		func(f *feeder) { f.failed("postfix", "h2", "<6@s.test>", "u6@a.test", 6, nil) },
		func(f *feeder) {
			for n, id := range []string{"<1@s.test>", "<2@s.test>", "", "<4@s.test>", "Q5", "<6@s.test>"} {
				if id == "" {
					continue
				}
				b := &store.Bounce{}
				if id[0] == 'Q' {
					id, b.QueueIDs = "", []byte("OTHER "+id)
				}
				f.failed(store.BouncesFormat, "far", id, fmt.Sprintf("U%d@a.test", n+1), 10+n, b)
			}
		},
		func(f *feeder) {
			for range 2 {
				f.w.AddComplaint(&store.Complaint{Time: micros(20), Series: f.series("bounces", "far"),
					Type: "abuse", MessageID: []byte("<1@s.test>"), Address: []byte("u1@a.test")})
			}
		},
	}
	want := map[string]int64{"unmatched far no such user 4": 1, "refused h1 no such user 1": 2,
		"repeated far no such user 2": 2, "complaint far abuse": 1}
	orders := int64(6)
	if testing.Short() {
		orders = 2
	}
	for seed := range orders {
		e := open(t)
		order := rand.New(rand.NewSource(seed)).Perm(len(steps))
		for _, i := range order {
			f := newFeeder(t, e)
			steps[i](f)
			f.close()
		}
		rows, err := e.Feedback(t.Context(), store.Window{}, store.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for _, r := range rows {
			got[fmt.Sprintf("%s %s %s", r.Kind, r.Host, r.Example)] += r.N
		}
		same(t, fmt.Sprint("feedback, order ", order), got, want)
		n, err := e.Numbers(t.Context(), store.Window{}, store.Filter{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "recipients", [3]int64{n.Totals.Recipients, n.Totals.Delivered, n.Totals.Bounced},
			[3]int64{6, 3, 3})
		events := 0
		if _, err := e.Events(t.Context(), store.Window{}, store.Filter{}, store.OutcomeNames, 0,
			func(*store.Event) error { events++; return nil }); err != nil {
			t.Fatal(err)
		}
		same(t, "events", events, 3+3)
		n, err = e.Numbers(t.Context(), store.Window{}, store.Filter{MTAs: []string{"bounces"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "recipients of bounces alone", n.Totals.Bounced, int64(5))
	}
}

// feeder writes a batch.
type feeder struct {
	t *testing.T
	w store.Writer
}

func newFeeder(t *testing.T, e Engine) *feeder {
	t.Helper()
	w, err := e.Writer()
	if err == nil {
		_, err = w.Begin(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return &feeder{t, w}
}

func (f *feeder) close() {
	f.t.Helper()
	if err := f.w.Commit(); err != nil {
		f.t.Fatal(err)
	}
	f.w.Close()
}

func (f *feeder) series(format, host string) int64 {
	id, err := f.w.Series(&store.SeriesKey{Format: format, Host: []byte(host), Sender: []byte("s.test"),
		Domain: []byte("a.test"), Relay: []byte("mx.a.test"), Provider: "A"})
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

func (f *feeder) delivered(messageID, address string, at int) {
	s := f.series("postfix", "h1")
	f.w.Count(s, micros(at), store.Counts{Delivered: 1, Recipients: 1, Messages: 1})
	f.w.AddDelivery(&store.Delivery{Time: micros(at), Series: s, QueueID: []byte("Q" + address[1:2]),
		Address: []byte(address), Domain: []byte("a.test"), MessageID: []byte(messageID)})
}

func (f *feeder) failed(format, host, messageID, address string, at int, b *store.Bounce) {
	cause, err := f.w.Cause(&causes[0])
	if err != nil {
		f.t.Fatal(err)
	}
	s := f.series(format, host)
	message, err := f.w.AddMessage(&store.Message{Format: format, Host: host, QueueID: "QX" + address,
		MessageID: messageID, FirstSeen: micros(at)})
	if err != nil {
		f.t.Fatal(err)
	}
	recipient := f.w.AddRecipient(&store.Recipient{Message: message, Series: s, Address: address,
		State:     registry.StateBounced,
		FirstSeen: micros(at), LastSeen: micros(at), FinalAt: micros(at), Cause: cause, Troubled: true})
	if err := f.w.AddAttempt(&store.Attempt{
		Format:    format,
		MessageID: []byte(messageID),
		Address:   []byte(address),
		Time:      micros(at),
		Recipient: recipient,
		Series:    s,
		Outcome:   uint8(registry.OutcomeFailed),
		Cause:     cause,
		Text:      "no such user " + address[1:2],
		First:     true,
		Bounce:    b,
	}); err != nil {
		f.t.Fatal(err)
	}
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}
