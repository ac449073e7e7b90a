package web

import (
	"bufio"
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"mailfail/ingest"
	"mailfail/ingest/source"
	_ "mailfail/parsers/all"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/sqlite"
)

// now is a moment after the log.
var now = time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)

const hostileName = "\x1b[31m<script>alert(1)</script>\u202e"

// hostile is a line of a log in which a stranger has written all he can.
const hostile = "Nov 22 06:28:08 mx1 postfix/smtp[271]: A1B2C3D4E6: to=<x\"><img src=x onerror=alert(1)>@one.example>, " +
	"relay=mx.one.example[192.0.2.1]:25, delay=0.1, delays=0/0/0/0.1, dsn=5.1.1, status=bounced " +
	"(host mx.one.example[192.0.2.1] said: 550 5.1.1 " + hostileName + " (in reply to RCPT TO command))\n"

// database holds what is in the logs with some texts.
func database(t *testing.T, logs ...string) (*sqlite.DB, func(string)) {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(filepath.Join(dir, "mail.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	path := filepath.Join(dir, "mail.log")
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		families, errs := source.Expand([]string{path})
		if errs != nil {
			t.Fatal(errs)
		}
		opt := ingest.Options{Format: "auto", Year: 2026, Location: time.UTC}
		if _, err := ingest.Run(context.Background(), db, registry.DefaultRules(), families, opt); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range logs {
		add(text)
	}
	return db, add
}

func plainLog(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile("../../testdata/postfix/plain/mail.log")
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

func handler(t *testing.T, db store.Database, change func(*Options)) http.Handler {
	t.Helper()
	opt := Options{
		DB:       db,
		Rules:    registry.DefaultRules(),
		Location: time.UTC,
		Now:      func() time.Time { return now },
		Warn:     func(err error) { t.Error(err) },
		Interval: 10 * time.Millisecond,
	}
	if change != nil {
		change(&opt)
	}
	h, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(t *testing.T, h http.Handler, url string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", url, nil))
	return w
}

func TestPages(t *testing.T) {
	db, _ := database(t, hostile+plainLog(t))
	h := handler(t, db, nil)
	for url, want := range map[string]string{
		"/":                                 `id="problems"`,
		"/?since=24h&by=reason":             "user-unknown",
		"/?day=today&domain=oak.example":    "Only domain",
		"/?filter=domain&value=oak.example": "domain: oak.example",
		"/events":                           "oak.example",
		"/events?top=3":                     "The newest 3 failures",
		"/message?id=A1B2C3D4E6":            "A1B2C3D4E6",
		"/explain":                          "Explain",
		"/explain?q=550+5.1.1":              "No such user",
		"/healthz":                          "ok: read until 2026-11-22T06:",
		"/static/app.js":                    "EventSource",
		"/static/uplot.js":                  "uPlot",
	} {
		w := get(t, h, url)
		if w.Code != http.StatusOK || !strings.Contains(html.UnescapeString(w.Body.String()), want) {
			t.Errorf("%s: %d, no %q in\n%.2000s", url, w.Code, want, w.Body.String())
		}
		if p := w.Header().Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") {
			t.Errorf("%s: the policy is %q", url, p)
		}
	}
	for url, want := range map[string]int{
		"/nothing":                           http.StatusNotFound,
		"/?since=tomorrow":                   http.StatusBadRequest,
		"/?since=2026-11-22&until=2026-11-2": http.StatusBadRequest,
		"/?code=abc":                         http.StatusBadRequest,
		"/?by=reasn":                         http.StatusBadRequest,
		"/?reason=nonsense":                  http.StatusBadRequest,
		"/api/report?domian=one.example":     http.StatusBadRequest,
		"/message":                           http.StatusBadRequest,
		"/explain?q=" + strings.Repeat("5", maxInput+1): http.StatusBadRequest,
	} {
		if w := get(t, h, url); w.Code != want {
			t.Errorf("%.60s: %d, want %d", url, w.Code, want)
		}
	}
	for _, url := range []string{"/", "/events", "/events?domain=one.example", "/message?id=A1B2C3D4E6", "/explain?q=550"} {
		if body := get(t, h, url).Body.String(); !regexp.MustCompile(`<a href="/events(\?[^"]*)?">Failures</a>`).MatchString(body) {
			t.Errorf("%s: no link to the failures", url)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// raw finds control characters and bidirectional marks; markup what strangers
// wrote, where a browser takes it for its own language.
var (
	raw    = regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
	markup = regexp.MustCompile("<script>alert|<img")
)

// elsewhere are paths that TestHostile cannot get: TestLive looks at what is pushed. The
// others show no text of strangers.
var elsewhere = map[string]bool{"/live": true, "/healthz": true, "/static/": true}

// paths returns the paths of all pages, as the source has them.
func paths(t *testing.T) (list []string) {
	t.Helper()
	source, err := os.ReadFile("web.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`mux\.Handle(?:Func)?\("GET ([^"{]+)`).FindAllStringSubmatch(string(source), -1) {
		list = append(list, m[1])
	}
	if len(list) < 9 || strings.Count(string(source), "mux.Handle") != len(list) {
		t.Errorf("only the paths %q are found", list)
	}
	return list
}

// TestHostile looks for the text of strangers in every page, as markup or raw.
func TestHostile(t *testing.T) {
	db, _ := database(t, hostile)
	h := handler(t, db, nil)
	name := "%1B%5B31m%3Cscript%3Ealert(1)%3C%2Fscript%3E%E2%80%AE"
	urls := []string{
		"/", "/?by=domain", "/?by=code", "/events", "/message?id=A1B2C3D4E6", "/api/report",
		"/message?id=" + name, "/explain?q=" + name, "/?domain=" + name, "/?provider=" + name, "/?reason=" + name,
		"/?since=" + name, "/?day=" + name, "/?code=" + name, "/?by=" + name, "/?filter=" + name + "&value=" + name, "/" + name, "/metrics",
	}
	for _, path := range paths(t) {
		if !slices.ContainsFunc(urls, func(url string) bool { p, _, _ := strings.Cut(url, "?"); return p == path }) && !elsewhere[path] {
			t.Errorf("%s is not looked at", path)
		}
	}
	for _, url := range urls {
		w := get(t, h, url)
		if found := raw.FindString(w.Body.String()); found != "" {
			t.Errorf("%s: %q is in\n%s", url, found, w.Body.String())
		}
		if kind := w.Header().Get("Content-Type"); strings.HasPrefix(kind, "text/html") && markup.MatchString(w.Body.String()) {
			t.Errorf("%s: markup in\n%s", url, w.Body.String())
		}
		for key, values := range w.Header() {
			if raw.MatchString(strings.Join(values, "")) {
				t.Errorf("%s: header %s is %q", url, key, values)
			}
		}
	}
}

// TestOutside makes sure that pages refer to nothing outside, and hold nothing
// that the policy forbids.
func TestOutside(t *testing.T) {
	db, _ := database(t, plainLog(t))
	h := handler(t, db, nil)
	outside := regexp.MustCompile(`(?i)(src|href|action)="(https?:)?//|<style|style="|<script>|\son[a-z]+="|url\(|@import`)
	for _, url := range []string{"/", "/events", "/explain?q=550", "/static/app.css", "/static/app.js"} {
		if found := outside.FindString(get(t, h, url).Body.String()); found != "" {
			t.Errorf("%s: %q", url, found)
		}
	}
}

// TestAPI compares the report with that of the page's own numbers.
func TestAPI(t *testing.T) {
	db, _ := database(t, plainLog(t))
	w := get(t, handler(t, db, nil), "/api/report?since=2026-11-22")
	var got struct {
		Schema string `json:"schema"`
		Totals struct {
			Recipients int `json:"recipients"`
			Delivered  int `json:"delivered"`
		} `json:"totals"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != "mailfail/report/1" || got.Totals.Recipients != 98 || got.Totals.Delivered != 19 {
		t.Errorf("%+v", got)
	}
	if w.Header().Get("Content-Type") != "application/json" {
		t.Error(w.Header().Get("Content-Type"))
	}
}

func TestMetrics(t *testing.T) {
	db, add := database(t, plainLog(t))
	h := handler(t, db, func(o *Options) { o.Interval = time.Nanosecond })
	text := get(t, h, "/metrics").Body.String()
	for _, line := range []string{
		"mailfail_up 1",
		`mailfail_recipients_total{state="delivered"} 19`,
		`mailfail_recipients_total{state="bounced"} 53`,
		`mailfail_recipients_total{state="expired"} 26`,
		`mailfail_attempts_total{outcome="deferred"} 154`,
		`mailfail_failing_attempts_total{kind="permanent",reason="user-unknown"}`,
		`mailfail_provider_recipients_total{provider="other",state="bounced"}`,
	} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	if strings.Contains(text, "oak.example") {
		t.Error("a name of strangers is a label")
	}
	time.Sleep(time.Nanosecond)
	add(hostile)
	later := handler(t, db, func(o *Options) { o.Now = func() time.Time { return now.Add(time.Minute) } })
	if text := get(t, later, "/metrics").Body.String(); !strings.Contains(text, `mailfail_recipients_total{state="bounced"} 54`) {
		t.Errorf("after one more:\n%s", text)
	}
}

func TestUsers(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users, err := ReadUsers(strings.NewReader("# those who may\n\npost:" + string(hash) + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	db, _ := database(t, hostile)
	h := handler(t, db, func(o *Options) { o.Users = users })
	for _, c := range []struct {
		user, password string
		want           int
	}{
		{"", "", 401}, {"post", "wrong", 401}, {"other", "right", 401}, {"post", "right", 200}, {"post", "right", 200}, {"post", "wrong", 401},
	} {
		for _, path := range []string{"/", "/metrics", "/api/report", "/static/app.js", "/healthz", "/live"} {
			if c.want == 200 && path == "/live" {
				continue // it goes on for ever
			}
			r := httptest.NewRequest("GET", path, nil)
			if c.user != "" {
				r.SetBasicAuth(c.user, c.password)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s as %s:%s: %d, want %d", path, c.user, c.password, w.Code, c.want)
			}
		}
	}
	for text, want := range map[string]string{
		"":               "contains no users",
		"post":           "line 1: want name:hash",
		"a:{SHA}abcdefg": "line 1: the password of \"a\" is not a bcrypt hash",
	} {
		if _, err := ReadUsers(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestRebinding asks by the name of a stranger's site that leads here.
func TestRebinding(t *testing.T) {
	db, _ := database(t, hostile)
	h := handler(t, db, func(o *Options) { o.Hosts = []string{"localhost", "mail.example"} })
	for host, want := range map[string]int{
		"localhost:8525": 200, "127.0.0.1:8525": 200, "[::1]:8525": 200, "mail.example": 200, "evil.example:8525": 421, "": 421,
	} {
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
	}
}

// TestLive waits for the news of a line that is read while a page is open.
func TestLive(t *testing.T) {
	db, add := database(t, plainLog(t))
	server := httptest.NewServer(handler(t, db, nil))
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if kind := answer.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Error(kind)
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if raw.Match(lines.Bytes()) || markup.Match(lines.Bytes()) {
			t.Errorf("%q is pushed", lines.Text())
		}
		switch lines.Text() {
		case "retry: 5000":
			add(strings.Replace(hostile, "06:28:08", "06:45:00", 1))
		case "event: update":
			return
		}
	}
	t.Errorf("no news: %v", lines.Err())
}

// TestBroken reads a database that is closed.
func TestBroken(t *testing.T) {
	db, _ := database(t, hostile)
	var said []string
	h := handler(t, db, func(o *Options) { o.Warn = func(err error) { said = append(said, err.Error()) } })
	db.Close()
	for _, url := range []string{"/", "/events", "/healthz", "/api/report", "/message?id=a"} {
		w := get(t, h, url)
		body, _ := io.ReadAll(w.Body)
		if w.Code != http.StatusServiceUnavailable || strings.Contains(string(body), "mail.db") {
			t.Errorf("%s: %d %s", url, w.Code, body)
		}
	}
	if text := get(t, h, "/metrics").Body.String(); !strings.Contains(text, "mailfail_up 0") {
		t.Error(text)
	}
	if len(said) != 6 {
		t.Errorf("%d errors were said: %q", len(said), said)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("since=2h&domain=a.example&by=domain,reason")
	f.Add("day=yesterday&filter=host&value=mx1")
	f.Add("filter=host&value=+\u0318") // not shown without the blank
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = raw
		q, err := parse(r.URL.Query(), now, time.UTC)
		if err != nil {
			return
		}
		// The address of a page leads to the same page.
		r.URL.RawQuery = strings.TrimPrefix(strings.TrimPrefix(q.with("/"), "/"), "?")
		again, err := parse(r.URL.Query(), now, time.UTC)
		if err != nil || again.values.Encode() != q.values.Encode() || again.window != q.window {
			t.Errorf("%q: %q, %v", raw, r.URL.RawQuery, err)
		}
	})
}

// slow is a client that takes an answer only after something else has happened.
type slow struct {
	*httptest.ResponseRecorder
	before func()
}

func (s *slow) Write(b []byte) (int, error) {
	s.before()
	s.before = func() {}
	return s.ResponseRecorder.Write(b)
}

// More clients that read slowly than there are turns keep nobody waiting.
func TestSlowClients(t *testing.T) {
	db, _ := database(t, plainLog(t))
	h := handler(t, db, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // ends what hangs
	defer cancel()
	for _, path := range []string{"/", "/events", "/api/report", "/explain?q=550+no"} {
		var open func(n int)
		answered := 0
		open = func(n int) {
			if n == 0 {
				return
			}
			w := &slow{httptest.NewRecorder(), func() { open(n - 1) }}
			h.ServeHTTP(w, httptest.NewRequest("GET", path, nil).WithContext(ctx))
			if w.Code == http.StatusOK && w.Body.Len() > 0 {
				answered++
			}
		}
		open(maxRequests + 1)
		if answered != maxRequests+1 {
			t.Fatalf("%s: %d of %d were answered", path, answered, maxRequests+1)
		}
	}
}
