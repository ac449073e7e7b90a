package storetest

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// rows holds rows that a tracker may write.
type rows struct {
	counts      []countRow
	messages    []messageRow
	rejections  []rejectionRow
	connections []connectionRow
	lines       []linesRow
}

type countRow struct {
	series store.SeriesKey
	at     int64
	counts store.Counts
}

type messageRow struct {
	message    store.Message
	recipients []recipientRow
}

type recipientRow struct {
	recipient store.Recipient
	series    store.SeriesKey
	attempts  []attemptRow
}

type attemptRow struct {
	attempt store.Attempt
	series  store.SeriesKey
	cause   store.Cause
}

type rejectionRow struct {
	rejection store.Rejection
	series    store.SeriesKey
	cause     store.Cause
}

type connectionRow struct {
	connection store.Connection
	series     store.SeriesKey
	cause      *store.Cause
}

type linesRow struct {
	at    int64
	lines store.Lines
}

var causes = []store.Cause{
	cause(550, "5.1.1", registry.StageRcpt, registry.SourceRemote, "Google", "no such user", "user-unknown"),
	cause(550, "5.1.1", registry.StageRcpt, registry.SourceRemote, "b.test", "no user", "user-unknown"),
	cause(451, "4.7.1", registry.StageMail, registry.SourceRemote, "Google", "try later", "greylisted"),
	cause(421, "", registry.StageBanner, registry.SourceRemote, "b.test", "busy", "unknown"),
	cause(0, "", registry.StageConnect, registry.SourceNetwork, "", "timed out", "connection"),
	cause(0, "4.4.4", registry.StageDNS, registry.SourceDNS, "", "host not found", "dns"),
}

func cause(reply uint16, enhanced string, stage registry.Stage, source registry.Source, provider, signature,
	reason string) store.Cause {
	e, _ := registry.ParseEnhanced(enhanced)
	status, _ := registry.ParseEnhanced("4.0.0")
	return store.Cause{
		Failure: registry.Failure{
			Provider:  provider,
			Reply:     reply,
			Enhanced:  e,
			MTAStatus: status,
			Stage:     stage,
			Source:    source,
			Signature: signature,
		},
		Verdict: registry.Verdict{Reason: registry.Reason(reason), Rule: "rule " + reason},
	}
}

var relays = map[string]string{"mx.google.test": "Google", "mx.b.test": "b.test", "": ""}

func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.Intn(len(list))] }

func someSeries(rng *rand.Rand, format string) store.SeriesKey {
	relay := pick(rng, "mx.google.test", "mx.b.test", "")
	return store.SeriesKey{
		Format:   format,
		Host:     []byte(pick(rng, "h1", "h2")),
		Instance: []byte(pick(rng, "", "out")),
		Sender:   []byte(pick(rng, "s.test", "t.test", "<>", "")),
		Domain:   []byte(pick(rng, "a.test", "x.a.test", "b.test", "c.test")),
		Relay:    []byte(relay),
		Provider: relays[relay],
	}
}

func someFormat(rng *rand.Rand) string {
	return pick(rng, "postfix", "exim", store.TrackingFormat, store.SendFormat)
}

// someRows returns rows of three days, the same for the same generator.
func someRows(rng *rand.Rand) *rows {
	r := &rows{}
	for day := range 3 {
		for range 60 {
			at := micros(day*24*60+rng.Intn(180)) + rng.Int63n(60_000_000)
			r.counts = append(r.counts, countRow{someSeries(rng, someFormat(rng)), at, store.Counts{
				Delivered:  rng.Int63n(9),
				Recipients: rng.Int63n(5),
				Suspended:  rng.Int63n(2),
				Handed:     rng.Int63n(2),
				Messages:   rng.Int63n(3),
			}})
		}
		for m := 0; m < 180; m += 7 {
			n := rng.Int63n(50)
			r.lines = append(r.lines, linesRow{micros(day*24*60 + m),
				store.Lines{Read: 2*n + 1, Understood: n, Irrelevant: n, Unparsed: 1}})
		}
	}
	for i := range 60 {
		r.messages = append(r.messages, someMessage(rng, i))
	}
	for i := range 40 {
		r.rejections = append(r.rejections, someRejection(rng, i))
	}
	for i := range 30 {
		r.connections = append(r.connections, someConnection(rng, i))
	}
	return r
}

func someMessage(rng *rand.Rand, i int) messageRow {
	format := someFormat(rng)
	first := micros(pick(rng, 0, 24*60, 48*60)+rng.Intn(170)) + rng.Int63n(60_000_000)
	m := messageRow{message: store.Message{
		Format:    format,
		Host:      pick(rng, "h1", "h2"),
		QueueID:   fmt.Sprintf("Q%d", i%50),
		MessageID: fmt.Sprintf("<%d@x.test>", i),
		Sender:    pick(rng, "", "joe@s.test"),
		HasSender: i%7 != 0,
		Client:    pick(rng, "", "client.test"),
		ClientIP:  pick(rng, "", "192.0.2.9"),
		Size:      rng.Int63n(100_000),
		FirstSeen: first,
	}}
	for n := range 1 + rng.Intn(3) {
		m.recipients = append(m.recipients, someRecipient(rng, &m.message, fmt.Sprintf("u%d@", i+n)))
	}
	return m
}

func someRecipient(rng *rand.Rand, m *store.Message, local string) recipientRow {
	r := recipientRow{series: someSeries(rng, m.Format)}
	r.recipient = store.Recipient{
		Address:   local + string(r.series.Domain),
		State:     registry.State(rng.Intn(7)),
		FirstSeen: m.FirstSeen + rng.Int63n(1_000_000),
	}
	at := r.recipient.FirstSeen
	for range rng.Intn(4) {
		at += 1 + rng.Int63n(50*60_000_000)
		a := attemptRow{series: r.series, cause: pick(rng, causes...)}
		a.attempt = store.Attempt{
			Format:    m.Format,
			MessageID: []byte(m.MessageID),
			Address:   []byte(r.recipient.Address),
			Replied:   a.cause.Reply != 0,
			Time:      at,
			Outcome:   uint8(pick(rng, registry.OutcomeDeferred, registry.OutcomeFailed)),
			Service:   []byte(pick(rng, "smtp", "lmtp")),
			IP:        pick(rng, "", "192.0.2.1", "2001:db8::1"),
			Delay:     pick(rng, -1, time.Duration(rng.Int63n(1e6))*time.Millisecond),
			Text:      fmt.Sprint(a.cause.Signature, " ", rng.Intn(9)),
		}
		a.attempt.First = !slices.ContainsFunc(r.attempts, func(b attemptRow) bool {
			return b.cause.Reason == a.cause.Reason
		})
		r.attempts = append(r.attempts, a)
	}
	r.recipient.LastSeen = at
	if r.recipient.State != registry.StatePending {
		r.recipient.LastSeen += rng.Int63n(1_000_000)
		r.recipient.FinalAt = r.recipient.LastSeen
	}
	return r
}

func someRejection(rng *rand.Rand, i int) rejectionRow {
	r := rejectionRow{series: someSeries(rng, pick(rng, "postfix", "exim", store.ReceiveFormat)),
		cause: pick(rng, causes[:4]...)}
	r.series.Sender, r.series.Relay, r.series.Provider = nil, nil, ""
	r.rejection = store.Rejection{
		Time:      micros(pick(rng, 0, 24*60)+rng.Intn(170)) + rng.Int63n(60_000_000),
		Service:   []byte("smtpd"),
		QueueID:   pick(rng, "NOQUEUE", "", fmt.Sprintf("Q%d", i)),
		Client:    pick(rng, "", "client.test"),
		ClientIP:  pick(rng, "192.0.2.7", "192.0.2.8"),
		Sender:    pick(rng, "", "spam@s.test", "x@t.test"),
		HasSender: i%5 != 0,
		Recipient: pick(rng, "", "u7@b.test", fmt.Sprintf("u%d@a.test", i)),
		Text:      r.cause.Signature,
		LineHash:  uint64(pick(rng, 0, 0, i/2+1)),
		Copy:      i%2 == 1,
	}
	if r.rejection.LineHash != 0 { // the same line has the same content
		r.rejection = store.Rejection{
			Time:      micros(i / 2),
			Service:   []byte("smtpd"),
			ClientIP:  "192.0.2.7",
			Sender:    "a@s.test",
			HasSender: true,
			Recipient: "u7@b.test",
			Text:      "twice",
			LineHash:  r.rejection.LineHash,
			Copy:      r.rejection.Copy,
		}
		r.series = store.SeriesKey{Format: "exim", Host: []byte("h1"), Domain: []byte("b.test")}
		r.cause = causes[0]
	}
	return r
}

func someConnection(rng *rand.Rand, i int) connectionRow {
	c := connectionRow{series: someSeries(rng, pick(rng, store.SendFormat, store.ConnectivityFormat))}
	c.series.Sender, c.series.Domain = nil, nil
	c.connection = store.Connection{Time: micros(rng.Intn(170)), Messages: rng.Intn(3)}
	if rng.Intn(2) == 0 {
		k := pick(rng, causes[3:]...)
		c.cause = &k
		c.connection.Session, c.connection.Text = fmt.Sprintf("S%d", i/2), k.Signature
	}
	return c
}

// shuffled returns the same rows in another order.
func (r *rows) shuffled(rng *rand.Rand) *rows {
	return &rows{
		counts:      shuffle(rng, r.counts),
		messages:    shuffle(rng, r.messages),
		rejections:  shuffle(rng, r.rejections),
		connections: shuffle(rng, r.connections),
		lines:       shuffle(rng, r.lines),
	}
}

func shuffle[T any](rng *rand.Rand, list []T) []T {
	s := make([]T, len(list))
	for i, j := range rng.Perm(len(list)) {
		s[i] = list[j]
	}
	return s
}

// write writes rows in a number of batches.
func (r *rows) write(t testing.TB, e Engine, batches int) {
	t.Helper()
	w, err := e.Writer()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range batches {
		if _, err := w.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		part := &rows{
			counts:      share(r.counts, i, batches),
			messages:    share(r.messages, i, batches),
			rejections:  share(r.rejections, i, batches),
			connections: share(r.connections, i, batches),
			lines:       share(r.lines, i, batches),
		}
		part.put(t, w)
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := w.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func share[T any](list []T, i, of int) []T { return list[len(list)*i/of : len(list)*(i+1)/of] }

// put writes rows within a batch.
func (r *rows) put(t testing.TB, w store.Writer) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	series := func(k store.SeriesKey) int64 {
		t.Helper()
		id, err := w.Series(&k)
		check(err)
		return id
	}
	causeID := func(c store.Cause) int64 {
		t.Helper()
		id, err := w.Cause(&c)
		check(err)
		return id
	}
	for _, c := range r.counts {
		w.Count(series(c.series), c.at, c.counts)
	}
	for _, l := range r.lines {
		w.CountLines(l.at, l.lines)
	}
	for _, m := range r.messages {
		id, err := w.AddMessage(&m.message)
		check(err)
		for _, p := range m.recipients {
			p.recipient.Message, p.recipient.Series = id, series(p.series)
			for _, a := range p.attempts {
				p.recipient.Cause = causeID(a.cause)
			}
			rid := w.AddRecipient(&p.recipient)
			for _, a := range p.attempts {
				a.attempt.Recipient, a.attempt.Series, a.attempt.Cause = rid, series(a.series),
					causeID(a.cause)
				check(w.AddAttempt(&a.attempt))
			}
		}
	}
	for _, j := range r.rejections {
		j.rejection.Series, j.rejection.Cause = series(j.series), causeID(j.cause)
		check(w.AddRejection(&j.rejection))
	}
	for _, c := range r.connections {
		c.connection.Series = series(c.series)
		if c.cause != nil {
			c.connection.Cause = causeID(*c.cause)
		}
		w.AddConnection(&c.connection)
	}
}
