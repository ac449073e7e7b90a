package storetest

import (
	"reflect"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// content checks what is told apart: messages that came in and were not tried,
// those that the server made itself, whose mailbox it is, who brought mail in, and
// the trouble of the mail system.
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
	own := series(store.SeriesKey{Domain: []byte("a.test"), Relay: []byte("mx.a.test"), Provider: "A", Own: true})
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
		w.AddSubmission(&store.Submission{Time: micros(n), Host: []byte("h1"), Sender: []byte("s.test"), Account: []byte("joe"), Client: []byte("app.test"), Messages: 1, Recipients: 2})
		w.AddTrouble(&store.Trouble{Time: micros(n), Format: "postfix", Host: []byte("h1"), Service: []byte("smtp"), Kind: "fatal", Text: "no space " + string(rune('c'-n)), Signature: "no space *"})
	}
	message, err := w.AddMessage(&store.Message{Format: "postfix", Host: "h1", QueueID: "Q1", Sender: "x@s.test", HasSender: true, Account: "joe", FirstSeen: micros(1)})
	check(err)
	recipient := w.AddRecipient(&store.Recipient{Message: message, Series: outgoing, Address: "u@a.test", FirstSeen: micros(1), LastSeen: micros(5), Cause: busy, Troubled: true})
	check(w.AddAttempt(&store.Attempt{Format: "postfix", Time: micros(5), Recipient: recipient, Series: outgoing, Outcome: uint8(registry.OutcomeDeferred), Cause: busy, Text: "busy", First: true}))
	check(w.Commit())
	check(w.Tidy(t.Context()))

	n, err := e.Numbers(t.Context(), store.Window{}, store.Filter{}, []store.Dimension{store.ByDirection})
	check(err)
	same(t, "accepted, untried, messages", [3]int64{n.Accepted, n.Untried, n.Messages}, [3]int64{7, 3, 7})
	same(t, "recipients, suspended", [2]int64{n.Totals.Recipients, n.Totals.Suspended}, [2]int64{8, 2})
	same(t, "own bounces", n.OwnBounces, store.Tally{Recipients: 3, Delivered: 3, Attempts: 3})
	directions := map[string]int64{}
	for _, g := range n.Groups {
		directions[string(g.Values[0])] = g.Recipients
	}
	same(t, "directions", directions, map[string]int64{"outgoing": 6, "local": 2})

	n, err = e.Numbers(t.Context(), store.Window{}, store.Filter{Directions: []string{"Local"}}, nil)
	check(err)
	same(t, "local recipients", n.Totals.Recipients, int64(2))

	line, err := e.Timeline(t.Context(), store.Window{}, store.Filter{}, []store.Dimension{store.ByDomain}, time.Hour)
	check(err)
	points := map[string]store.Point{}
	for _, s := range line.Slices {
		for _, p := range s.Points {
			p.Time = time.Time{}
			points[string(s.Values[0])] = p
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
	same(t, "troubles", troubles, []store.TroubleRow{{Format: "postfix", Host: "h1", Service: "smtp", Kind: "fatal", Text: "no space a", Signature: "no space *",
		N: 3, First: minute(0), Last: minute(2)}})
	submissions, err := e.Submissions(t.Context(), store.Window{Since: minute(30), Until: minute(40)}, store.Filter{})
	check(err)
	same(t, "submissions", submissions, []store.SubmissionRow{{Host: "h1", Sender: "s.test", Account: "joe", Client: "app.test", Messages: 3, Recipients: 6}})
	submissions, err = e.Submissions(t.Context(), store.Window{Since: minute(60)}, store.Filter{})
	check(err)
	same(t, "submissions of the next hour", len(submissions), 0)

	_, err = e.Events(t.Context(), store.Window{}, store.Filter{}, store.OutcomeNames, 0, func(e *store.Event) error {
		same(t, "account of a failure", e.Account, "joe")
		return nil
	})
	check(err)
	for account, want := range map[string]int{"Joe": 1, "jim": 0} {
		n := 0
		_, err = e.Events(t.Context(), store.Window{}, store.Filter{Accounts: []string{account}}, store.OutcomeNames, 0, func(*store.Event) error {
			n++
			return nil
		})
		check(err)
		same(t, "failures of "+account, n, want)
	}
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}
