package screen

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"mailfail/registry"
	"mailfail/report/live"
	"mailfail/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func explain(reply uint16, e registry.Enhanced, provider string, reason registry.Reason) (string, string) {
	return "Meaning of " + string(reason), "Advice on " + string(reason) + "."
}

// newModel returns a screen with a fixed clock, at noon.
func newModel(width, height int, look Look) (*Model, *clock) {
	c := &clock{noon}
	m := New(Options{Stats: live.NewStats(), Status: &Status{}, Now: c.Now, Location: time.UTC, Look: look, Explain: explain})
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	return m, c
}

var places = []struct{ provider, domain registry.Foreign }{
	{"Google", "gmail.com"}, {"Google", "example.org"}, {"Microsoft", "outlook.com"}, {"Microsoft", "hotmail.co.uk"}, {"Yahoo", "yahoo.com"}, {"example.net", "example.net"},
}

var replies = []struct {
	outcome, enhanced, reason string
	text                      registry.Foreign
	reply                     int
}{
	{"failed", "5.1.1", "user-unknown", "550-5.1.1 The email account that you tried to reach does not exist.", 550},
	{"failed", "5.7.26", "authentication", "550-5.7.26 This mail has been blocked because the sender is unauthenticated.", 550},
	{"deferred", "4.7.28", "rate-limited", "421-4.7.28 Unusual rate of unsolicited mail.", 421},
	{"deferred", "4.2.2", "mailbox-full", "452 4.2.2 The recipient's inbox is out of storage space.", 452},
	{"deferred", "", "connection", "connect to mx.example.net[192.0.2.1]:25: Connection timed out", 0},
	{"rejected", "5.7.1", "relay-denied", "554 5.7.1 <x@example.net>: Relay access denied", 554},
}

// event makes up an event.
func event(r *rand.Rand, t time.Time) *store.Event {
	p := places[r.IntN(r.IntN(len(places))+1)]
	e := &store.Event{Time: t, Outcome: "delivered", Provider: p.provider, Domain: p.domain, Recipient: registry.Foreign(fmt.Sprintf("user%d@%s", r.IntN(100), p.domain)),
		Host: "mx1", MTA: "postfix", Format: "postfix", Message: "3XyZ", Sender: "news@example.com", HasSender: true, Delay: -1}
	if r.IntN(5) == 0 {
		f := replies[r.IntN(len(replies))]
		e.Outcome, e.Reply, e.Enhanced, e.Reason, e.Text = f.outcome, f.reply, f.enhanced, f.reason, f.text
	}
	return e
}

// feed adds an hour of events.
func feed(m *Model, c *clock) {
	r := rand.New(rand.NewPCG(1, 2))
	for t := noon.Add(-time.Hour); t.Before(noon); t = t.Add(time.Duration(r.IntN(3000)) * time.Millisecond) {
		c.now = t
		m.opt.Stats.Add(event(r, t), t)
	}
	c.now = noon
	m.Update(tick(noon))
}

func press(m *Model, keys ...string) {
	for _, k := range keys {
		m.Update(keyOf(k))
	}
}

// keyOf is what the terminal sends for a key, or for a text.
func keyOf(k string) tea.KeyPressMsg {
	codes := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "down": tea.KeyDown, "up": tea.KeyUp, "backspace": tea.KeyBackspace}
	if code, ok := codes[k]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	if r := []rune(k); len(r) == 1 {
		return tea.KeyPressMsg{Code: r[0], Text: k}
	}
	return tea.KeyPressMsg{Code: tea.KeyExtended, Text: k}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

// check makes sure that what is drawn fits and holds nothing but SGR, and
// returns it without that.
func check(t *testing.T, m *Model) string {
	t.Helper()
	view := m.draw()
	text := sgr.ReplaceAllString(view, "")
	lines := strings.Split(text, "\n")
	if len(lines) != m.height {
		t.Errorf("%d lines on a screen of %d", len(lines), m.height)
	}
	for i, line := range lines {
		if w := widths.StringWidth(line); w > m.width {
			t.Errorf("line %d has %d columns of %d: %q", i+1, w, m.width, line)
		}
		marks := 0
		for _, r := range line {
			if marks++; widths.RuneWidth(r) > 0 {
				marks = 0
			}
			if marks > maxMarks {
				t.Errorf("line %d has a pile of marks: %q", i+1, line)
				break
			}
			if !m.opt.Look.Unicode && r > '~' || r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e {
				t.Errorf("line %d holds %U: %q", i+1, r, line)
			}
		}
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

func golden(t *testing.T, m *Model) {
	t.Helper()
	got := check(t, m)
	path := filepath.Join("testdata", strings.ReplaceAll(strings.TrimPrefix(t.Name(), "Test"), "/", "_")+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("screen differs from %s (-update writes it):\n%s", path, got)
	}
}

var sizes = []struct{ width, height int }{{80, 24}, {200, 50}}

func eachSize(t *testing.T, f func(t *testing.T, m *Model, c *clock)) {
	for _, s := range sizes {
		t.Run(fmt.Sprintf("%dx%d", s.width, s.height), func(t *testing.T) {
			m, c := newModel(s.width, s.height, Look{Unicode: true})
			f(t, m, c)
		})
	}
}

func TestEmpty(t *testing.T) {
	eachSize(t, func(t *testing.T, m *Model, c *clock) { golden(t, m) })
}

// usualDays are what happened on three days: Google's median rate is 10 %.
var usualDays = live.Days{{"Google": {90, 4, 6, 0}, "Microsoft": {999, 1, 0, 0}}, {"Google": {99, 1, 0, 0}}, {"Google": {60, 30, 10, 0}}}

func TestScreen(t *testing.T) {
	eachSize(t, func(t *testing.T, m *Model, c *clock) {
		feed(m, c)
		m.Update(usualRead{usual: Usual{store.Usual{Days: 7, Delivered: 33, Deferred: 4, Failed: 0.3, Rejected: 1.2}, usualDays}, at: noon})
		golden(t, m)
	})
}

func TestNoHistory(t *testing.T) {
	m, c := newModel(80, 24, Look{})
	feed(m, c)
	m.Update(usualRead{at: noon})
	golden(t, m)
}

func TestAlertAndWarning(t *testing.T) {
	m, c := newModel(80, 24, Look{Unicode: true})
	feed(m, c)
	m.opt.Status.Alerts([]string{"provider=google failure-rate>20% for 5m min 50: 34 % since 11:58"})
	m.opt.Status.Warn("read /var/log/mail.log: permission denied", noon)
	m.Update(tick(noon))
	golden(t, m)
	c.now = noon.Add(time.Minute)
	m.Update(tick(c.now))
	if strings.Contains(check(t, m), "permission denied") {
		t.Error("the warning is still shown after a minute")
	}
}

// hostile is what a stranger may write anywhere.
const hostile = "\x1b[2J\x1b]0;owned\a\u009b31m\u202eevil\u0301\u0302\u0303\u0304\r\n\x00\xff 漢字かな表示幅 👩\u200d👩\u200d👧 ❤\ufe0f \u200b\u2066"

func TestHostile(t *testing.T) {
	eachSize(t, func(t *testing.T, m *Model, c *clock) {
		for i := range 60 {
			e := event(rand.New(rand.NewPCG(3, uint64(i))), noon.Add(-time.Duration(i)*time.Second))
			x := strings.Repeat(hostile, i%3+1)
			e.Outcome, e.Reason, e.Rule = "failed", x, x
			e.Enhanced, e.Reply = "5.1.1\x1b[2J", i
			for _, s := range []*registry.Foreign{
				&e.Provider, &e.Domain, &e.Recipient, &e.Text, &e.Sender, &e.Message, &e.Relay, &e.Host, &e.Signature,
				&e.Client, &e.IP, &e.Instance, &e.Service,
			} {
				*s = registry.Foreign(x)
			}
			m.opt.Stats.Add(e, noon)
		}
		m.opt.Status.Warn(hostile, noon)
		m.opt.Status.Alerts([]string{hostile})
		m.opt.Status.Changes([]string{hostile})
		m.Update(tick(noon))
		golden(t, m)
		press(m, "enter")
		check(t, m)
		for range 40 {
			press(m, "down")
			check(t, m)
		}
		press(m, "esc", "tab", "enter") // filter by a hostile provider
		check(t, m)
		press(m, "/", hostile, "enter")
		check(t, m)
	})
}

// A word alone is a value of what it looks like.
func TestWordsAsFilter(t *testing.T) {
	m, c := newModel(80, 24, Look{})
	feed(m, c)
	for word, want := range map[string]string{
		"Google": "provider=Google", "example.org": "domain=example.org", "user-unknown": "reason=user-unknown", "550": "code=550", "5.7.x": "code=5.7.x",
		"domain=a.b 5xx": "domain=a.b code=5xx", "MX1": "host=MX1", "sender=news.example host=mx2": "sender=news.example host=mx2",
		"account=bob mta=exim": "mta=exim account=bob",
	} {
		f, err := m.parseFilter(word)
		if got := live.FormatFilter(f); err != nil || got != want {
			t.Errorf("%q filters by %q (%v), want %q", word, got, err, want)
		}
	}
}

// What the counters do not count by is counted anew, from the day it is asked for.
func TestNarrow(t *testing.T) {
	m, c := newModel(80, 40, Look{Unicode: true})
	feed(m, c)
	narrow := live.NewStats()
	narrow.Add(&store.Event{Time: noon, Outcome: "failed", Provider: "Elsewhere", Reply: 550, Sender: "a@news.example", HasSender: true, Text: "550 no"}, noon)
	var asked []string
	fail := errors.New("locked")
	m.opt.Narrow = func(_ context.Context, f store.Filter) (*live.Stats, error) {
		asked = append(asked, live.FormatFilter(f))
		return narrow, fail
	}
	filter := func(text string) {
		t.Helper()
		press(m, "/")
		m.typed = text
		_, cmd := m.Update(keyOf("enter"))
		if got := check(t, m); !strings.Contains(got, "counting") {
			t.Errorf("it is not said that %q is being counted:\n%s", text, got)
		}
		m.Update(cmd())
	}
	filter("sender=news.example") // it fails: the screen is as before
	if got := check(t, m); strings.Contains(got, "counting") || strings.Contains(got, "only sender") || !strings.Contains(got, "locked") {
		t.Errorf("after an error:\n%s", got)
	}
	fail = nil
	filter("sender=news.example 550")
	got := check(t, m)
	for _, want := range []string{"only code=550 sender=news.example", "Elsewhere", "from a@news.example: 550 no"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not on the screen:\n%s", want, got)
		}
	}
	if strings.Contains(got, "Google") {
		t.Errorf("failures of others are on the screen:\n%s", got)
	}
	press(m, "esc")
	if got := check(t, m); !strings.Contains(got, "Google") || strings.Contains(got, "counting") {
		t.Errorf("esc does not take the filter back:\n%s", got)
	}
	if want := `["sender=news.example" "sender=news.example"]`; fmt.Sprintf("%q", asked) != want {
		t.Errorf("asked for %q, want %s", asked, want)
	}
}

// A row is explained by its newest failure.
func TestExplain(t *testing.T) {
	m, c := newModel(80, 40, Look{Unicode: true})
	feed(m, c)
	press(m, "tab", "tab", "tab", "down", "e")
	code := m.view.Tables[2].Rows[1].Name // the second, though the fourth has no name
	if got := check(t, m); m.opened.Event.Code() != code || !strings.Contains(got, "what to do") || !strings.Contains(got, " meaning     Meaning of ") {
		t.Errorf("code %s is not explained:\n%s", code, got)
	}
	press(m, "esc")
	if got := check(t, m); strings.Contains(got, "only ") {
		t.Errorf("explaining has set a filter:\n%s", got)
	}
}

// However narrow a table is, it shows whole codes.
func TestCodesAreWhole(t *testing.T) {
	for width := 70; width < 200; width++ {
		m, _ := newModel(width, 40, Look{Unicode: true})
		m.opt.Stats.Add(&store.Event{Time: noon, Outcome: "failed", Reply: 550, Enhanced: "5.700.123"}, noon)
		m.Update(tick(noon))
		if got := check(t, m); strings.Count(got, "550 5.700.123") != 2 {
			t.Errorf("at %d columns the code is cut:\n%s", width, got)
		}
	}
}

func TestStory(t *testing.T) {
	m, c := newModel(80, 24, Look{Unicode: true})
	m.opt.Story = func(_ context.Context, e *store.Event) ([]string, error) {
		return []string{"Message " + string(e.Message), hostile}, nil
	}
	feed(m, c)
	press(m, "enter")
	cmd := m.key(keyOf("t"))
	if cmd == nil {
		t.Fatal("nobody asks for the story")
	}
	m.Update(cmd())
	if got := check(t, m); !strings.Contains(got, "the story of ") || !strings.Contains(got, "Message ") {
		t.Errorf("no story on the screen:\n%s", got)
	}
	press(m, "esc")
	if got := check(t, m); strings.Contains(got, "the story of ") {
		t.Error("the story does not go away")
	}
}

// Without UTF-8 nothing but ASCII is written: a byte of a longer character may
// be a control of an 8-bit terminal.
func TestHostileASCII(t *testing.T) {
	m, _ := newModel(80, 24, Look{})
	m.opt.Stats.Add(&store.Event{Time: noon, Outcome: "failed", Provider: hostile, Domain: hostile, Recipient: hostile, Text: hostile, Reason: hostile}, noon)
	m.Update(tick(noon))
	check(t, m)
	press(m, "enter")
	check(t, m)
}

func TestAnySize(t *testing.T) {
	m, c := newModel(80, 24, Look{Unicode: true, Color: true})
	feed(m, c)
	step := 1
	if testing.Short() {
		step = 3
	}
	for w := 1; w < 210; w += 7 * step {
		for h := 1; h < 60; h += 3 * step {
			m.Update(tea.WindowSizeMsg{Width: w, Height: h})
			if w >= 20 && h >= 5 {
				check(t, m)
			}
			m.draw()
		}
	}
}

func TestLook(t *testing.T) {
	for _, test := range []struct {
		look        Look
		color, wide bool
	}{{Look{}, false, false}, {Look{Color: true}, true, false}, {Look{Unicode: true}, false, true}} {
		m, c := newModel(120, 40, test.look)
		feed(m, c)
		view := m.draw()
		if got := regexp.MustCompile("\x1b\\[[0-9;]*3[0-9]m").MatchString(view); got != test.color {
			t.Errorf("%+v: colours are %v", test.look, got)
		}
		got := strings.IndexFunc(view, func(r rune) bool { return r > 0x7e }) >= 0
		if got != test.wide {
			t.Errorf("%+v: beyond ASCII is %v", test.look, got)
		}
	}
}

func TestKeys(t *testing.T) {
	m, c := newModel(80, 24, Look{Unicode: true})
	feed(m, c)
	has := func(want string) {
		t.Helper()
		if got := check(t, m); !strings.Contains(got, want) {
			t.Errorf("%q is not on the screen:\n%s", want, got)
		}
	}
	press(m, "tab", "down", "enter")
	has("only provider=Microsoft")
	if len(m.view.Tables[0].Rows) != 1 || m.view.Tables[0].Rows[0].Name != "Microsoft" {
		t.Errorf("providers are %v", m.view.Tables[0].Rows)
	}
	for _, f := range m.view.Newest {
		if f.Provider != "Microsoft" {
			t.Errorf("a failure of %s is listed", f.Provider)
		}
	}
	press(m, "esc")
	if strings.Contains(check(t, m), "only provider") {
		t.Error("esc does not take the filter back")
	}
	press(m, "/", `code="550 5.1.1" colour=red`, "enter")
	has("is not a condition")
	m.typed = ""
	press(m, `code="550 5.1.1"`, "enter")
	has(`only code="550 5.1.1"`)
	if rows := m.view.Tables[2].Rows; len(rows) != 1 || rows[0].Name != "550 5.1.1" {
		t.Errorf("codes are %v", rows)
	}
	if m.view.Totals[live.Delivered].Count == 0 {
		t.Error("a filter by code leaves no deliveries to compare with")
	}
	press(m, "esc", "o", "o", "o")
	has("NEWEST: rejected")
	press(m, "o", "w", "s")
	has("last 30 min")
	has("rate↓")
	press(m, "?")
	has("any key goes back")
	press(m, "x", "p")
	has("PAUSED")
	before := check(t, m)
	m.opt.Stats.Add(event(rand.New(rand.NewPCG(5, 5)), noon), noon)
	m.Update(tick(noon))
	if check(t, m) != before {
		t.Error("a paused screen changes")
	}
	press(m, "p")
	if _, cmd := m.Update(keyOf("q")); cmd == nil {
		t.Error("q does not quit")
	}
	if _, cmd := m.Update(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}); cmd == nil {
		t.Error("ctrl-c does not quit")
	}
}

// The failure that is selected stays so while newer ones come in.
func TestSelectionStays(t *testing.T) {
	m, c := newModel(80, 40, Look{Unicode: true})
	feed(m, c)
	press(m, "down", "down")
	want := m.view.Newest[m.row].Seq
	e := event(rand.New(rand.NewPCG(5, 5)), noon)
	e.Outcome = "failed"
	m.opt.Stats.Add(e, noon)
	m.Update(tick(noon))
	if got := m.view.Newest[m.row].Seq; got != want || m.row != 3 {
		t.Errorf("selected is %d in row %d, want %d in row 3", got, m.row, want)
	}
	press(m, "enter")
	golden(t, m)
}

func TestUsualAsked(t *testing.T) {
	m, c := newModel(80, 24, Look{})
	asked := []string{}
	m.opt.Usual = func(_ context.Context, at time.Time, f store.Filter) (Usual, error) {
		asked = append(asked, live.FormatFilter(f))
		return Usual{}, errors.New("locked")
	}
	ask := func() {
		if cmd := m.askUsual(); cmd != nil {
			m.Update(cmd())
		}
	}
	ask()
	feed(m, c)
	m.usualAsked = time.Time{} // feed has asked, and nobody has run that
	ask()
	ask()
	press(m, "tab", "enter")
	m.usualAsked = time.Time{}
	ask()
	c.now = c.now.Add(usualEvery)
	ask()
	if want := `["" "provider=Google" "provider=Google"]`; fmt.Sprintf("%q", asked) != want {
		t.Errorf("asked for %q, want %s", asked, want)
	}
}

func BenchmarkView(b *testing.B) {
	m, c := newModel(200, 50, Look{Unicode: true, Color: true})
	feed(m, c)
	for i := range 20000 { // as many combinations as are kept
		e := event(rand.New(rand.NewPCG(3, uint64(i))), noon)
		e.Outcome, e.Reply, e.Domain = "failed", 550, registry.Foreign(fmt.Sprintf("d%d.example", i))
		m.opt.Stats.Add(e, noon)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.look()
		m.draw()
	}
}

// A word of a megabyte is broken into lines, each at the cost of a line.
func TestWrapLongWord(t *testing.T) {
	for _, s := range []string{"x", "é", "日", "e\u0301\u0301"} {
		word := strings.Repeat(s, 1<<18/len(s))
		lines := Look{Unicode: true}.wrap("a "+word+" b", 21)
		if got := strings.Join(lines, ""); strings.ReplaceAll(got, " ", "") != "a"+word+"b" {
			t.Errorf("%q: %d bytes of %d are left", s, len(got), len(word))
		}
		for _, line := range lines {
			if widths.StringWidth(line) > 21 {
				t.Fatalf("%q is wider than 21 columns", line)
			}
		}
	}
}

// However long and whatever a text is, it fits, and nothing in it is obeyed.
func FuzzText(f *testing.F) {
	f.Add(hostile, 10, true)
	f.Add("e\u0301\u0301\u0301\u0301", 3, false)
	f.Fuzz(func(t *testing.T, s string, n int, unicode bool) {
		n = n%100 + 1
		if n < 1 {
			return
		}
		l := Look{Unicode: unicode}
		for _, line := range append(l.wrap(s, n), l.text(s, n), l.left(s, n)) {
			if w := widths.StringWidth(line); w > max(n, 8) {
				t.Errorf("%q of %d columns is made of %q for %d", line, w, s, n)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || !unicode && r > '~' }) {
				t.Errorf("%q is made of %q", line, s)
			}
		}
	})
}
