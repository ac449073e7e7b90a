package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		in   string
		want Rule
	}{
		{"provider=google failure-rate>20% for 5m min 50", Rule{Filter: store.Filter{Providers: []string{"google"}}, Metric: FailureRate, Threshold: 0.2, For: 5 * time.Minute, Min: 50}},
		{"failure-rate>=0.5", Rule{Metric: FailureRate, OrEqual: true, Threshold: 0.5, For: 5 * time.Minute, Min: 20}},
		{"min 5 for 90s failures>100 domain=a domain=b", Rule{Filter: store.Filter{Domains: []string{"a", "b"}}, Metric: Failures, Threshold: 100, For: 90 * time.Second, Min: 5}},
		{`code="421 4.7.0" mta=exim host=mx1 reason=rate-limited deferral-rate>5.5%`, Rule{Filter: store.Filter{Codes: []string{"421 4.7.0"}, MTAs: []string{"exim"}, Hosts: []string{"mx1"}, Reasons: []string{"rate-limited"}},
			Metric: DeferralRate, Threshold: 0.055, For: 5 * time.Minute, Min: 20}},
		{"rejected>=1000  for 1m", Rule{Metric: Rejections, OrEqual: true, Threshold: 1000, For: time.Minute}},
		{"deferrals>0", Rule{Metric: Deferrals, For: 5 * time.Minute}},
	} {
		got, err := Parse(test.in)
		if err != nil {
			t.Error(err)
			continue
		}
		got.Text = ""
		if !reflect.DeepEqual(*got, test.want) {
			t.Errorf("Parse(%q) = %+v, want %+v", test.in, *got, test.want)
		}
	}
	for _, bad := range []string{"", "provider=google", "failure-rate > 20%", "failure-rate>x", "failure-rate>200%", "failure-rate>100%", "failures>20%", "failures>1 deferrals>1",
		"failures>1 for", "failures>1 for 5", "failures>1 for 1s", "failures>1 for 48h", "failures>1 min -1", "failures>1 min x", "colour=red failures>1", "speed>9", `code="55 failures>1`,
		"code=55 failures>1", "failures>NaN", "failures>-1", "failures<1"} {
		if r, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", bad, *r)
		}
	}
}

// watcher applies one rule with a clock of its own.
type watcher struct {
	*Watch
	now    time.Time
	alerts []Alert
}

func watch(t *testing.T, rule string) *watcher {
	t.Helper()
	r, err := Parse(rule)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{now: noon}
	w.Watch = NewWatch([]*Rule{r}, func(a Alert) { w.alerts = append(w.alerts, a) })
	return w
}

// second lets a second pass in which mail has these outcomes, each event old by
// a span of time, and returns what was told: "" or "started" or "ended".
func (w *watcher) second(age time.Duration, outcomes ...string) string {
	for _, o := range outcomes {
		e := &store.Event{Time: w.now.Add(-age), Outcome: o, Provider: "Google", Text: "550 no"}
		if o != "delivered" {
			e.Reply = 550
		}
		w.Add(e, w.now)
	}
	w.now = w.now.Add(time.Second)
	before := len(w.alerts)
	w.Check(w.now)
	s := ""
	for _, a := range w.alerts[before:] {
		if a.Started {
			s += "started"
		} else {
			s += "ended"
		}
	}
	return s
}

// seconds lets n seconds pass and returns what was told and after how many.
func (w *watcher) seconds(n int, outcomes ...string) (told []string) {
	for i := range n {
		if s := w.second(0, outcomes...); s != "" {
			told = append(told, fmt.Sprintf("%s %d", s, i+1))
		}
	}
	return told
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("%s: told %q, want %q", what, got, want)
	}
}

func TestStartsAndEndsOnce(t *testing.T) {
	w := watch(t, "provider=google failure-rate>20% for 1m min 50")
	expect(t, "all well", w.seconds(120, "delivered"))
	// Of the 60 parts of the minute the newest has just begun: there are 59
	// attempts in them, and the 12th failure makes more than 20 %.
	expect(t, "failing", w.seconds(60, "failed"), "started 12")
	expect(t, "still failing", w.seconds(600, "failed"))
	// After 48 seconds 11 failures of 59 are left, which is not more than
	// 20 %; a minute after it last was more, it has ended.
	expect(t, "well again", w.seconds(300, "delivered"), "ended 107")
	expect(t, "failing again", w.seconds(60, "failed"), "started 12")
	a := w.alerts[1]
	if a.Greatest != 1 || !a.Since.Equal(w.alerts[0].At) {
		t.Errorf("it ended with at most %v since %v, want 1 since %v", a.Greatest, a.Since, w.alerts[0].At)
	}
}

func TestQuietOnSmallNumbers(t *testing.T) {
	w := watch(t, "failure-rate>20% for 1m min 50")
	for range 100 {
		expect(t, "a failure every other second", append(w.seconds(1, "failed"), w.seconds(1)...))
	}
	w = watch(t, "failure-rate>20% for 1m min 50")
	for range 20 {
		expect(t, "three failures of three a minute", append(w.seconds(3, "failed"), w.seconds(57)...))
	}
}

// A rate that swings around its threshold is one alert.
func TestSwinging(t *testing.T) {
	w := watch(t, "failures>=10 for 1m")
	expect(t, "first", w.seconds(10, "failed"), "started 10")
	for range 20 {
		expect(t, "swinging", append(w.seconds(30), w.seconds(10, "failed")...))
	}
	// 50 to 51 s after the last failure began, fewer than 10 are left.
	told := w.seconds(300)
	if len(told) != 1 || !strings.HasPrefix(told[0], "ended") {
		t.Errorf("in the end: told %q, want one end", told)
	}
	if len(w.alerts) != 2 {
		t.Errorf("%d alerts, want 2", len(w.alerts))
	}
}

func TestBacklogIsQuiet(t *testing.T) {
	w := watch(t, "failures>5 for 1m")
	for range 1000 {
		if s := w.second(24*time.Hour, "failed", "failed"); s != "" {
			t.Fatalf("yesterday's failures: %s", s)
		}
	}
	age, ok := w.Behind(w.now)
	if !ok || age < 24*time.Hour {
		t.Errorf("behind by %v, %v: want a day", age, ok)
	}
	if _, again := w.Behind(w.now); again {
		t.Error("that is told twice")
	}
	expect(t, "now", w.seconds(10, "failed"), "started 6")
	w = watch(t, "failures>5 for 1m")
	w.second(-time.Hour, "failed", "failed", "failed", "failed", "failed")
	expect(t, "from the future", w.seconds(1, "failed"), "started 1")
	if _, ok := w.Behind(w.now.Add(time.Hour)); ok {
		t.Error("events of now are behind")
	}
}

// The part of one code is taken of all attempts.
func TestCodeIsPartOfAll(t *testing.T) {
	w := watch(t, "code=421 deferral-rate>10% min 10")
	e := func(outcome string, reply int) {
		w.Add(&store.Event{Time: w.now, Outcome: outcome, Reply: reply}, w.now)
	}
	for range 5 {
		e("delivered", 250)
		e("deferred", 450)
	}
	e("deferred", 421)
	expect(t, "1 of 11", w.seconds(1))
	e("deferred", 421)
	expect(t, "2 of 12", w.seconds(1), "started 1")
	if a := w.alerts[0]; a.Counted != 2 || a.Attempts != 12 {
		t.Errorf("%d of %d, want 2 of 12", a.Counted, a.Attempts)
	}
}

func TestMetrics(t *testing.T) {
	for _, test := range []struct {
		rule             string
		counted, attempt uint64
	}{{"failure-rate>0", 1, 3}, {"deferral-rate>0", 3, 6}, {"failures>0", 1, 6}, {"deferrals>0", 3, 6}, {"rejected>0", 4, 4}} {
		w := watch(t, test.rule+" min 1")
		for o, n := range map[string]int{"delivered": 2, "failed": 1, "deferred": 3, "rejected": 4} {
			for range n {
				w.Add(&store.Event{Time: w.now, Outcome: o}, w.now)
			}
		}
		w.Check(w.now)
		if len(w.alerts) != 1 || w.alerts[0].Counted != test.counted || w.alerts[0].Attempts != test.attempt {
			t.Errorf("%s: %+v, want %d of %d", test.rule, w.alerts, test.counted, test.attempt)
		}
	}
}

func TestClockSetBack(t *testing.T) {
	w := watch(t, "failures>5 for 1m")
	expect(t, "before", w.seconds(3, "failed"))
	w.now = w.now.Add(-time.Hour)
	w.seconds(3, "failed")
	w.now = w.now.Add(2 * time.Hour)
	expect(t, "after", w.seconds(6, "failed"), "started 6")
}

func TestJSON(t *testing.T) {
	w := watch(t, `provider=google failure-rate>20% for 1m min 2`)
	w.second(0, "failed", "delivered")
	body, err := json.Marshal(w.alerts[0])
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"schema":"mailfail/alert/1","state":"started","alert":"provider=google failure-rate\u003e20% for 1m min 2",` +
		`"message":"provider=google failure-rate\u003e20% for 1m min 2: 50.0 % of 2 attempts within 1m0s","metric":"failure-rate","operator":"\u003e","threshold":0.2,"for":60,"min":2,` +
		`"since":"2026-11-20T12:00:01Z","at":"2026-11-20T12:00:01Z","value":0.5,"greatest":0.5,"counted":1,"attempts":2,` +
		`"example":{"time":"2026-11-20T12:00:00Z","host":"","provider":"Google","domain":"","code":"550","reason":"","text":"550 no"}}`
	if string(body) != want {
		t.Errorf("JSON is\n%s, want\n%s", body, want)
	}
}

// Nothing of a log gets anywhere but into standard input.
func TestProgram(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "notify")
	script := "#!/bin/sh\necho \"$# $0\" > " + dir + "/args\ncat > " + dir + "/stdin\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := Program(path)
	if err != nil {
		t.Fatal(err)
	}
	s := NewSender(t.Context(), []Receiver{p}, func(err error) { t.Error(err) })
	w := watch(t, "failures>0")
	w.Add(&store.Event{Time: noon, Outcome: "failed", Text: registry.Foreign("$(touch " + dir + "/owned)\x00\n; rm -rf /")}, noon)
	w.Check(noon)
	s.Send(w.alerts[0])
	s.Close()
	args, err := os.ReadFile(filepath.Join(dir, "args"))
	if err != nil || string(args) != "0 "+path+"\n" {
		t.Errorf("program was called as %q, %v", args, err)
	}
	body, err := os.ReadFile(filepath.Join(dir, "stdin"))
	if err != nil || !json.Valid(body) || !strings.Contains(string(body), "rm -rf") {
		t.Errorf("standard input was %q, %v", body, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "owned")); err == nil {
		t.Error("text of a log was run")
	}
	if _, err := Program(filepath.Join(dir, "missing")); err == nil {
		t.Error("a program that does not exist is taken")
	}
}

func TestProgramFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho no pager >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := Program(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Receive(t.Context(), nil); err == nil || err.Error() != "exit status 3: no pager" {
		t.Errorf("error is %v", err)
	}
}

// newWebhook returns a webhook that does not really wait, and its pauses.
func newWebhook(t *testing.T, handler http.HandlerFunc) (*webhook, *[]time.Duration) {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	r, err := Webhook(server.URL + "/secret")
	if err != nil {
		t.Fatal(err)
	}
	w := r.(*webhook)
	var pauses []time.Duration
	w.pause = func(ctx context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return ctx.Err()
	}
	return w, &pauses
}

func TestWebhook(t *testing.T) {
	var got []string
	answers := []int{503, 429, 204}
	w, pauses := newWebhook(t, func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.Header.Get("Content-Type")+" "+string(body))
		rw.WriteHeader(answers[len(got)-1])
	})
	if err := w.Receive(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if want := "POST application/json {}"; len(got) != 3 || got[2] != want {
		t.Errorf("server got %q, want three times %q", got, want)
	}
	if want := []time.Duration{firstPause, 2 * firstPause}; !reflect.DeepEqual(*pauses, want) {
		t.Errorf("paused %v, want %v", *pauses, want)
	}
}

func TestWebhookGivesUp(t *testing.T) {
	asked := 0
	answer := 500
	w, _ := newWebhook(t, func(rw http.ResponseWriter, r *http.Request) {
		asked++
		if answer == 302 {
			rw.Header().Set("Location", "/elsewhere")
		}
		rw.WriteHeader(answer)
	})
	for _, test := range []struct{ answer, asked int }{{500, tries}, {404, 1}, {302, 1}} {
		asked, answer = 0, test.answer
		err := w.Receive(t.Context(), []byte("{}"))
		if err == nil || asked != test.asked {
			t.Errorf("%d: asked %d times, error %v, want %d times and an error", test.answer, asked, err, test.asked)
		}
		if strings.Contains(fmt.Sprint(err, w), "secret") {
			t.Errorf("%v tells the path of the webhook", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Receive(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	for _, bad := range []string{"", "example.org", "ftp://example.org/", "http://", "file:///etc/passwd", "http://[::1"} {
		if _, err := Webhook(bad); err == nil {
			t.Errorf("%q is taken for a webhook", bad)
		}
	}
}

// A server may ask for a longer pause, within reason.
func TestRetryAfter(t *testing.T) {
	asks := ""
	w, pauses := newWebhook(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Retry-After", asks)
		rw.WriteHeader(429)
	})
	for _, test := range []struct {
		asks  string
		first time.Duration
	}{
		{"", firstPause}, {"1", firstPause}, {"30", 30 * time.Second}, {"999999", longestWait}, {"99999999999999999999", firstPause}, {"-30", firstPause},
		{"Fri, 31 Dec 9999 23:59:59 GMT", longestWait}, {"Thu, 01 Jan 1970 00:00:00 GMT", firstPause}, {"soon", firstPause},
	} {
		asks, *pauses = test.asks, nil
		if err := w.Receive(t.Context(), nil); err == nil || err.Error() != "the server answered 429 Too Many Requests" || len(*pauses) != tries-1 || (*pauses)[0] != test.first {
			t.Errorf("%q: %v, paused %v; want %v first", test.asks, err, *pauses, test.first)
		}
	}
}

// Whatever a server sends that does not speak the truth or HTTP, an alert is passed on
// or an error is said, and nobody waits for its end.
func TestWebhookLies(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, test := range map[string]struct {
		answer, endless string // endless is repeated until the connection breaks
		taken           bool
	}{
		"half a body":        {ok + "Content-Length: 1000\r\n\r\nhalf", "", true},
		"two lengths":        {ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "", false},
		"a negative length":  {ok + "Content-Length: -5\r\n\r\n", "", false},
		"a huge length":      {ok + "Content-Length: 9223372036854775807\r\n\r\nx", "", true},
		"a broken chunk":     {ok + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n", "", true},
		"an endless body":    {ok + "\r\n", strings.Repeat("x", 4096), true},
		"endless chunks":     {ok + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", true},
		"endless headers":    {ok, "X-Header: " + strings.Repeat("x", 1000) + "\r\n", false},
		"an endless header":  {ok + "X-Header: ", strings.Repeat("x", 4096), false},
		"an endless status":  {"HTTP/1.1 200 ", strings.Repeat("x", 4096), false},
		"endless redirects":  {"HTTP/1.1 307 Moved\r\nLocation: /secret\r\nContent-Length: 0\r\n\r\n", "", false},
		"endless promises":   {"", "HTTP/1.1 103 Early Hints\r\n\r\n", false},
		"another protocol":   {"220 mx.example ESMTP\r\n", "", false},
		"zeros":              {strings.Repeat("\x00", 100), "", false},
		"nothing":            {"", "", false},
		"a status of no one": {"HTTP/1.1 2e2 OK\r\n\r\n", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newWebhook(t, func(rw http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(rw).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, err = io.WriteString(conn, test.answer)
				for err == nil && test.endless != "" {
					_, err = io.WriteString(conn, test.endless)
				}
			})
			if err := w.Receive(t.Context(), []byte("{}")); (err == nil) != test.taken {
				t.Errorf("error %v, want the alert taken: %v", err, test.taken)
			}
		})
	}
}

// stuck never answers until it is let go.
type stuck struct {
	begun chan struct{}
	let   chan struct{}
	once  *sync.Once
}

func (s stuck) String() string { return "stuck" }
func (s stuck) Receive(ctx context.Context, body []byte) error {
	s.once.Do(func() { close(s.begun) })
	<-s.let
	return nil
}

// A receiver that hangs keeps nobody waiting.
func TestSenderDoesNotWait(t *testing.T) {
	var warnings []error
	r := stuck{make(chan struct{}), make(chan struct{}), new(sync.Once)}
	s := NewSender(t.Context(), []Receiver{r}, func(err error) { warnings = append(warnings, err) })
	a := Alert{Rule: &Rule{Metric: Failures}}
	s.Send(a)
	<-r.begun
	for range queued + 3 {
		s.Send(a)
	}
	if len(warnings) != 3 {
		t.Errorf("%d alerts were dropped, want 3", len(warnings))
	}
	close(r.let)
	s.Close()
}

// heard keeps what it is told.
type heard struct{ body chan []byte }

func (h heard) Receive(_ context.Context, body []byte) error { h.body <- body; return nil }
func (heard) String() string                                 { return "heard" }

// Programs print what they are told, and terminals obey it.
func TestAlertsAreHarmless(t *testing.T) {
	r := heard{make(chan []byte, 1)}
	s := NewSender(t.Context(), []Receiver{r}, func(err error) { t.Error(err) })
	example := &store.Event{Text: "550 \u009b31m\u202eevil\x7f\u200b\u3164 end", Domain: "e\u0301vil.example"}
	s.Send(Alert{Rule: &Rule{Metric: Failures}, Started: true, Example: example})
	s.Close()
	body := <-r.body
	for _, c := range string(body) {
		if c >= 0x7f && c != 0x301 {
			t.Errorf("%U is in the alert: %s", c, body)
		}
	}
	var decoded struct{ Example struct{ Text string } }
	if err := json.Unmarshal(body, &decoded); err != nil || decoded.Example.Text != string(example.Text) {
		t.Errorf("the text became %q, %v", decoded.Example.Text, err)
	}
}
