package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/templates"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	brief = func(reply uint16, enhanced registry.Enhanced, provider string, reason registry.Reason) (name, advice string) {
		return fmt.Sprintf("Name of %s %s", registry.Code(reply, enhanced), reason), fmt.Sprintf("Advice for %s that is about as long as the longest of all advice.", reason)
	}
	advice = func(reason registry.Reason, s registry.Situation) string {
		if s.Scattered {
			return fmt.Sprintf("Advice for %s that is %s and scattered.", reason, s.State)
		}
		return fmt.Sprintf("Advice for %s that is %s and about as long as the longest of all advice.", reason, s.State)
	}
	time.Local = time.UTC // commands name another zone
	os.Exit(m.Run())
}

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./report -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got\n%s", path, got)
	}
}

// hostile is what strangers would like to see in reports.
const hostile = "=cmd|' /C calc'!A0 \x1b[2J\x1b]0;owned\a \u202egnp.exe\u0085 <b>&amp;</b> {{.Totals}} \x00 %s"

var day = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

func tally(delivered, bounced, expired, pending int64) store.Tally {
	return store.Tally{
		Recipients: delivered + bounced + expired + pending, Delivered: delivered, Bounced: bounced, Expired: expired, Pending: pending,
		Attempts: delivered + bounced + 4*expired + pending, Deferrals: 4*expired + pending, Failures: bounced, Deferred: expired + pending,
	}
}

// sample is a report with a bit of everything.
func sample() *Report {
	group := func(name string, t store.Tally, code, reason string) store.Group {
		return store.Group{Values: []registry.Foreign{registry.Foreign(name)}, Tally: t, TopCode: code, TopReason: reason, TopCause: strings.TrimSpace(code + " " + reason), HasTop: t.Deferrals+t.Failures > 0}
	}
	totals := tally(1_234_567, 4_321, 87, 1_002)
	totals.Recipients += 3
	totals.Removed, totals.Suspended, totals.Rejected, totals.HandedOver = 3, 250, 98_765, 12
	n := &store.Numbers{
		Window: store.Window{Since: day, Until: day.Add(24 * time.Hour)}, Totals: totals, Messages: 1_000_001,
		Lines: store.Lines{Read: 10_000_000, Understood: 9_000_000, Irrelevant: 999_990, Unparsed: 10}, FirstLine: day, LastLine: day.Add(23 * time.Hour),
		Domains: []store.Group{
			group("example.org", tally(1_000_000, 4_000, 80, 1_000), "550 5.1.1", "user-unknown"),
			group("a-domain-with-a-name-that-is-much-longer-than-any-column-should-be.example.com", tally(0, 320, 0, 0), "421 4.7.28", "rate-limited"),
			group("日本語のドメイン名前.jp", tally(567, 1, 7, 2), "", "connection-lost"),
			group("é́.example", tally(1, 0, 0, 0), "", ""),
			group(hostile, tally(0, 0, 0, 1), "5.7.1", "policy"),
		},
		Codes: []store.CodeRow{
			{Code: "550 5.1.1", Reply: 550, Enhanced: "5.1.1", Reason: "user-unknown", Provider: "Google", Attempts: 4_000, Recipients: 3_999, Domains: 2, TopDomain: "example.org",
				First: day, Last: day.Add(time.Hour), Example: "550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address"},
			{Code: "", Reason: "connection-lost", Attempts: 1_000, Deferrals: 1_000, Recipients: 300, Domains: 1, TopDomain: "日本語のドメイン名前.jp", First: day, Last: day, Example: "lost connection with 日本語のドメイン名前日本語のドメイン名前日本語のドメイン名前.jp"},
			{Code: "421 4.7.28", Reply: 421, Enhanced: "4.7.28", Reason: "rate-limited", Attempts: 320, Deferrals: 320, Recipients: 7, Domains: 3, TopDomain: hostile, First: day, Last: day, Example: hostile},
			{Code: "5.7.1", Enhanced: "5.7.1", Reason: "unknown", Attempts: 1, Recipients: 1, Domains: 1, First: day, Last: day, Example: ""},
		},
		Rejections: []store.CodeRow{
			{Code: "554 5.7.1", Reply: 554, Enhanced: "5.7.1", Reason: "relay-denied", Attempts: 98_765, Recipients: 5, Domains: 5, Clients: 1_234, First: day, Last: day, Example: "554 5.7.1 <x@y>: Relay access denied"},
		},
		PutOff: []store.CauseRow{{Code: "421 4.7.28", Reply: 421, Enhanced: "4.7.28", Reason: "rate-limited", N: 1_000, Domains: 1, TopDomain: "日本語のドメイン名前.jp"}},
		Failed: []store.CauseRow{{Code: "550 5.1.1", Reply: 550, Enhanced: "5.1.1", Reason: "user-unknown", Provider: "Google", N: 4_300, Domains: 2, TopDomain: "example.org"},
			{Reason: "expired", N: 87, Domains: 1, TopDomain: hostile}},
		Hops: []store.Hop{
			{Name: hostile, Connections: 1_200, Failed: 800, Code: "554 5.7.1", Reply: 554, Enhanced: "5.7.1", Reason: "blocklist", Example: hostile, First: day, Last: day.Add(time.Hour)},
			{Name: "mx.example.org", Connections: 2, Failed: 2, Reason: "connection", First: day, Last: day},
			{Name: "192.0.2.1", Connections: 3, Messages: 4_711},
		},
		Unknown: []store.SignatureRow{{Signature: "SIG", Code: "5.7.1", Attempts: 12_000, Example: hostile}, {Signature: "2", Attempts: 5, Example: "b"}, {Signature: "3", Attempts: 4, Example: "c"},
			{Signature: "4", Attempts: 3, Example: "d"}, {Signature: "5", Attempts: 2, Example: "e"}, {Signature: "6", Attempts: 1, Example: "f"}},
	}
	for i, host := range []string{"mx1", "mx2"} {
		n.Hosts = append(n.Hosts, group(host, tally(int64(i)+1, 0, 0, 0), "", ""))
	}
	n.Senders = []store.Group{group("shop.example", tally(1_000_000, 4_000, 80, 1_000), "550 5.1.1", "user-unknown"), group("<>", tally(5, 1, 0, 0), "", "")}
	n.Providers = []store.Group{group("Google", tally(1_000_000, 4_000, 80, 1_000), "550 5.1.1", "user-unknown"), group("", tally(5, 1, 0, 0), "", "")}
	r := &Report{Numbers: n, location: time.UTC, Covered: Covered{day.AddDate(0, 0, -30), day.Add(24 * time.Hour)}, trouble: sampleTrouble(),
		Notes: []string{"Something that the reader has to know, told at some length so that it does not fit on one line."}}
	before := tally(1_100_000, 1_000, 10, 20)
	r.Before = &Period{Name: "day before", Tally: before, Messages: 900_000, Reasons: map[string]int64{"user-unknown": 800}}
	r.Usual = &Period{Name: "usual", Days: 9, Tally: before, Messages: 910_000}
	r.Accepted, r.Untried, r.OwnBounces = 1_000_001, 17, tally(40, 2, 0, 0)
	r.System = []store.TroubleRow{
		{Kind: "dns", Service: "smtp", Text: "warning: resolver does not answer", N: 3, First: day, Last: day.Add(time.Hour)},
		{Kind: "disk", Service: hostile, Text: hostile, N: 2, First: day, Last: day.Add(time.Hour)},
	}
	r.Directions = []store.Group{group("outgoing", tally(1_000_000, 4_321, 87, 1_002), "", ""), group("local", tally(234_567, 0, 0, 0), "", "")}
	r.Line = &Line{step: time.Hour}
	for h := range 24 {
		r.Line.points = append(r.Line.points, point{day.Add(time.Duration(h) * time.Hour), int64(1000 * h), int64(h % 5), int64(h * h % 7)})
	}
	r.Trend = &Line{step: 24 * time.Hour}
	for d := range trendDays {
		r.Trend.points = append(r.Trend.points, point{day.AddDate(0, 0, d-trendDays+1), int64(5000 + 100*d), int64(d % 9), int64(d * d % 13)})
	}
	return r
}

// sampleTrouble holds the recipients in trouble of sample, as far as it matters.
func sampleTrouble() *trouble {
	t := newTrouble(true)
	id := int64(0)
	add := func(n int, r store.Affected, text string) {
		for i := range n {
			id++
			r.ID = id
			r.FirstSeen = day.Add(time.Duration(i%1000) * time.Minute)
			r.LastSeen = r.FirstSeen.Add(time.Minute)
			t.add(&r, day.Add(24*time.Hour))
			t.persons[id] = &store.Person{
				ID:        id,
				Address:   registry.Foreign(fmt.Sprintf("user%d@%s", id, r.Domain)),
				Sender:    registry.Foreign("news@" + r.Sender),
				HasSender: true,
				Tries:     3,
				Text:      registry.Foreign(text),
			}
		}
	}
	add(4_000, store.Affected{State: registry.StateBounced, Tried: true, Destination: &store.Destination{Host: "mx1", Sender: "shop.example", Domain: "example.org", Provider: "Google"}, LastFailure: &store.LastFailure{Reply: 550, Enhanced: "5.1.1", Reason: "user-unknown"}},
		"550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces.")
	add(320, store.Affected{State: registry.StateBounced, Tried: true, Destination: &store.Destination{Host: "mx2", Sender: "<>", Domain: "a-domain-with-a-name-that-is-much-longer-than-any-column-should-be.example.com"}, LastFailure: &store.LastFailure{Reply: 421, Enhanced: "4.7.28", Reason: "rate-limited"}}, hostile)
	add(7, store.Affected{State: registry.StateExpired, Destination: &store.Destination{Sender: "shop.example", Domain: "日本語のドメイン名前.jp", Provider: hostile}, LastFailure: &store.LastFailure{}}, "")
	add(3, store.Affected{State: registry.StatePending, Tried: true, Destination: &store.Destination{Sender: hostile, Domain: hostile, Provider: hostile}, LastFailure: &store.LastFailure{Reply: 450, Reason: "greylisted"}}, hostile)
	add(1, store.Affected{State: registry.StatePending, Destination: &store.Destination{Sender: "", Domain: "example.org"}, LastFailure: &store.LastFailure{}}, "")
	return t
}

func text(t *testing.T, r *Report, rows int, opt TextOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.View(rows).WriteText(&b, opt); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	golden(t, "report.txt", text(t, sample(), 4, TextOptions{}))
	golden(t, "report-wide.txt", text(t, sample(), PageRows, TextOptions{Width: 120}))
	golden(t, "report-color.txt", text(t, sample(), 1, TextOptions{Color: true}))

	r := sample()
	r.By = []store.Dimension{store.ByProvider, store.BySender}
	r.Groups = []store.Group{{Values: []registry.Foreign{"Google", "<>"}, Tally: tally(10, 2, 0, 0), TopCode: "550", TopReason: "policy", HasTop: true}, {Values: []registry.Foreign{"", ""}, Tally: tally(5, 0, 0, 0)}}
	golden(t, "report-by.txt", text(t, r, PageRows, TextOptions{}))
	r.By = []store.Dimension{store.ByMTA, store.ByReason}
	r.Filter = store.Filter{Codes: []string{"5xx"}, Domains: []string{"example.org", "*.example.org"}}
	r.Groups = []store.Group{{Values: []registry.Foreign{"postfix", "policy"}, Tally: tally(0, 2, 0, 0), HasTop: true, TopCode: "550"}}
	golden(t, "report-code.txt", text(t, r, PageRows, TextOptions{}))

	r = sample()
	r.By = []store.Dimension{store.ByCode}
	golden(t, "report-codes.txt", text(t, r, PageRows, TextOptions{}))
	golden(t, "report-empty.txt", text(t, &Report{Numbers: &store.Numbers{}, location: time.UTC}, PageRows, TextOptions{}))
}

func TestMarkdownAndHTML(t *testing.T) {
	v := sample().View(PageRows)
	for name, write := range map[string]func(io.Writer) error{
		"report.md":        v.WriteMarkdown,
		"report.html":      func(w io.Writer) error { return v.WriteHTML(w, HTMLOptions{}) },
		"report-mail.html": func(w io.Writer) error { return v.WriteHTML(w, HTMLOptions{Mail: true}) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
}

// A queue that stands still must never look like a quiet day.
func TestStuckQueue(t *testing.T) {
	n := &store.Numbers{Window: store.Window{Since: day, Until: day.Add(24 * time.Hour)}, Accepted: 190, Untried: 165, Lines: store.Lines{Read: 500, Understood: 500},
		Totals: tally(24, 1, 0, 3)}
	r := &Report{Numbers: n, location: time.UTC, Covered: Covered{day, day.Add(30 * time.Hour)}, trouble: newTrouble(false)}
	v := r.View(PageRows)
	var b bytes.Buffer
	if err := v.WriteText(&b, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "day-stuck.txt", b.String())
	if want := "Accepted 190 messages, 165 not tried yet; 4.0% failed, 1 problem."; v.Verdict.String() != want || !v.Alarm {
		t.Errorf("verdict %q, alarm %v, want %q", v.Verdict, v.Alarm, want)
	}
	if p := v.section("problems"); p == nil || len(p.Problems) != 1 || p.Problems[0].Severity != "critical" {
		t.Errorf("problems %+v", p)
	}
}

// A stuck queue is one problem and the first, whether its recipients are known or not, and
// JSON has it too.
func TestStuckQueueIsOneProblem(t *testing.T) {
	for name, recipients := range map[string]int{"messages alone": 0, "with recipients": 40} {
		t.Run(name, func(t *testing.T) {
			n := &store.Numbers{Window: store.Window{Since: day, Until: day.Add(24 * time.Hour)}, Accepted: 190, Untried: 165, Totals: tally(100, 60, 0, 40)}
			r := &Report{Numbers: n, location: time.UTC, trouble: newTrouble(false)}
			id := int64(0)
			add := func(n int, r *Report, a store.Affected) {
				for range n {
					id++
					a.ID, a.FirstSeen, a.LastSeen = id, day, day
					a.Destination = &store.Destination{Domain: "example.org"}
					r.trouble.add(&a, day.Add(24*time.Hour))
					r.trouble.persons[id] = &store.Person{Address: "u@example.org", Message: "4jXJzW4DgQz8tZQ"}
				}
			}
			add(60, r, store.Affected{State: registry.StateBounced, Tried: true, LastFailure: &store.LastFailure{Reply: 550, Reason: "policy"}})
			add(recipients, r, store.Affected{State: registry.StatePending, LastFailure: &store.LastFailure{}})
			problems := r.View(PageRows).section("problems").Problems
			stuck := slices.IndexFunc(problems, func(p Problem) bool { return p.Severity == "critical" })
			if len(problems) != 2 || stuck < 0 || stuck != 0 || recipients > 0 && problems[0].See != "mailfail trace 4jXJzW4DgQz8tZQ" {
				t.Errorf("problems %+v", problems)
			}
			var j bytes.Buffer
			if err := r.WriteJSON(&j, 0); err != nil {
				t.Fatal(err)
			}
			var report struct {
				Problems []struct{ Title, Severity string }
			}
			if err := json.Unmarshal(j.Bytes(), &report); err != nil {
				t.Fatal(err)
			}
			if len(report.Problems) != 2 || report.Problems[stuck].Severity != "critical" || report.Problems[stuck].Title != problems[stuck].Title.String() {
				t.Errorf("JSON has problems %+v", report.Problems)
			}
		})
	}
}

// Four days that must not look alike.
func TestDays(t *testing.T) {
	window := store.Window{Since: day, Until: day.Add(24 * time.Hour)}
	read := store.Lines{Read: 9, Understood: 9}
	covered := Covered{day.AddDate(0, 0, -1), day.Add(30 * time.Hour)}
	for name, test := range map[string]struct {
		numbers store.Numbers
		covered Covered
		want    string
	}{
		"without failures": {store.Numbers{Totals: tally(76, 0, 0, 0), Lines: read}, covered, "All quiet, none of 76 failed."},
		"quiet":            {store.Numbers{Totals: tally(71, 5, 0, 0), Lines: read}, covered, "All quiet, 5 of 76 failed."},
		"a tenth fails":    {store.Numbers{Totals: tally(99, 11, 0, 0), Lines: read}, covered, "10.0% failed."},
		"one message":      {store.Numbers{Totals: tally(0, 1, 0, 0), Lines: read}, covered, "1 of 1 failed."},
		"a few messages":   {store.Numbers{Totals: tally(12, 3, 0, 0), Lines: read}, covered, "3 of 15 failed."},
		"a third fails":    {store.Numbers{Totals: tally(40, 20, 0, 0), Lines: read}, covered, "33.3% failed."},
		"much refused":     {store.Numbers{Totals: store.Tally{Recipients: 99, Delivered: 99, Attempts: 99, Rejected: 500, RejectedTemporary: 19}, Lines: read}, covered, "None of 99 failed, 519 incoming refused."},
		"little refused":   {store.Numbers{Totals: store.Tally{Recipients: 99, Delivered: 99, Attempts: 99, Rejected: 9}, Lines: read}, covered, "All quiet, none of 99 failed."},
		"only refused":     {store.Numbers{Totals: store.Tally{Rejected: 12}, Lines: read}, covered, "No mail went out in this time, 12 incoming refused."},
		"without mail":     {store.Numbers{Lines: read}, covered, "No mail went out in this time."},
		"not read":         {store.Numbers{}, Covered{day.AddDate(0, 0, -9), day.AddDate(0, 0, -3)}, "Nothing was read since Wed 2026-11-18 00:00."},
		"read in part":     {store.Numbers{Totals: tally(76, 0, 0, 0), Lines: read}, Covered{day.AddDate(0, 0, -9), day.Add(10 * time.Hour)}, "Nothing was read since Sat 2026-11-21 10:00; all quiet, none of 76 failed."},
		"before the logs":  {store.Numbers{}, Covered{day.AddDate(0, 0, 3), day.AddDate(0, 0, 4)}, "Nothing was read of this time: the logs begin Tue 2026-11-24 00:00."},
		"never read":       {store.Numbers{}, Covered{}, "Nothing was read: there is no line of a log with a time."},
	} {
		t.Run(name, func(t *testing.T) {
			test.numbers.Window = window
			r := &Report{Numbers: &test.numbers, location: time.UTC, Covered: test.covered, Now: day.Add(30 * time.Hour), trouble: newTrouble(false)}
			v := r.View(PageRows)
			if got := v.Verdict.String(); got != test.want {
				t.Errorf("verdict %q, want %q", got, test.want)
			}
			var b bytes.Buffer
			if err := v.WriteText(&b, TextOptions{}); err != nil {
				t.Fatal(err)
			}
			golden(t, "day-"+strings.ReplaceAll(name, " ", "-")+".txt", b.String())
		})
	}
}

// What has no code is in one row of JSON, and by reason in the text.
func TestTextSplitsWhatHasNoCode(t *testing.T) {
	r := sample()
	r.Uncoded = []store.CodeRow{
		{Reason: "connection-lost", Attempts: 900, Recipients: 290, Domains: 1, First: day, Last: day, Example: "lost connection"},
		{Reason: "dns", Attempts: 100, Recipients: 10, Domains: 1, First: day, Last: day, Example: "no such host"},
	}
	r.UncodedRejections = []store.CodeRow{{Reason: "loop", Attempts: 3, First: day, Last: day, Example: "too many hops"}}
	r.By = []store.Dimension{store.ByCode}
	got := text(t, r, PageRows, TextOptions{})
	for _, want := range []string{
		"\n(no code)        900         290        1  Name of  connection-lost\n    > lost connection\n    connection-lost: Advice",
		"\n(no code)        100          10        1  Name of  dns\n    > no such host\n    dns: Advice",
		"\nMail loop        (no code)       3           0        0\n    > too many hops\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "1,000         300") {
		t.Errorf("the row of all that has no code is still there:\n%s", got)
	}
	var j bytes.Buffer
	if err := r.WriteJSON(&j, 0); err != nil {
		t.Fatal(err)
	}
	var report struct{ Codes, Rejections []struct{ Code string } }
	if err := json.Unmarshal(j.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Codes) != len(r.Codes) || len(report.Rejections) != len(r.Rejections) {
		t.Errorf("JSON has other rows than one for each code: %v", report)
	}
}

// Of connections that are only counted when they failed in a certain way there is
// no number of all.
func TestJSONOfFailuresAlone(t *testing.T) {
	for filter, want := range map[string]string{"": "1200 800 0", "5xx": "null 800 null"} {
		r := sample()
		if filter != "" {
			r.Filter.Codes = []string{filter}
		}
		var b bytes.Buffer
		if err := r.WriteJSON(&b, 1); err != nil {
			t.Fatal(err)
		}
		var report struct {
			Connections []struct{ Connections, Failed, Messages json.RawMessage }
		}
		if err := json.Unmarshal(b.Bytes(), &report); err != nil {
			t.Fatal(err)
		}
		hop := report.Connections[0]
		if got := fmt.Sprintf("%s %s %s", hop.Connections, hop.Failed, hop.Messages); got != want {
			t.Errorf("code %q: %s, want %s", filter, got, want)
		}
	}
}

// A failure that was logged without a word is no text that a rule could know.
func TestNoTextIsNoUnknownText(t *testing.T) {
	r := sample()
	r.Unknown = []store.SignatureRow{{Attempts: 3}}
	if got := text(t, r, PageRows, TextOptions{}); strings.Contains(got, "Texts that no rule knows") {
		t.Errorf("got\n%s", got)
	}
}

func TestTextIsNoWiderThanAsked(t *testing.T) {
	for _, width := range []int{72, 80, 100, 120} {
		for line := range strings.Lines(text(t, sample(), PageRows, TextOptions{Width: width})) {
			if n := templates.Width(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("width %d: a line of %d cells: %q", width, n, line)
			}
		}
	}
}

// Any two dimensions with names of usual length fit on a terminal.
func TestTablesByTwoDimensionsFit(t *testing.T) {
	for i, a := range store.Dimensions {
		for j, b := range store.Dimensions {
			if a == b || testing.Short() && (i+j)%9 != 1 {
				continue
			}
			r := sample()
			r.By = []store.Dimension{a, b}
			r.Groups = []store.Group{{
				Values: []registry.Foreign{longValue(a), longValue(b)},
				Tally:  tally(1_000_000, 40_000, 0, 0),
			}}
			for line := range strings.Lines(text(t, r, PageRows, TextOptions{Width: 80})) {
				if n := templates.Width(strings.TrimSuffix(line, "\n")); n > 80 {
					t.Errorf("--by %s,%s: a line of %d cells: %q", a, b, n, line)
				}
			}
		}
	}
}

// longValue is a value of a dimension as long as they usually get.
func longValue(d store.Dimension) registry.Foreign {
	switch d {
	case store.ByReason:
		return "too-many-recipients"
	case store.ByCode:
		return "550 5.7.515"
	case store.ByMTA, store.ByDirection:
		return "exchange-smtpsend"
	}
	return "a-long-name.of-a-subdomain.example.org"
}

// Commands read what the report was made of, in its zone.
func TestCommandsReadTheSame(t *testing.T) {
	r := sample()
	r.Files, r.location = []string{"/var/log/mail log"}, time.FixedZone("Etc/GMT-2", 2*3600)
	got := text(t, r, PageRows, TextOptions{Width: 200})
	for _, want := range []string{
		"mailfail events --since 2026-11-21T02:00 --until 2026-11-22T02:00 --tz Etc/GMT-2 '/var/log/mail log'\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestReplyLines(t *testing.T) {
	for s, want := range map[string][]string{
		`550-5.1.1 Try\n550-5.1.1 again\n550 5.1.1 later`: {"550-5.1.1 Try", "550-5.1.1 again", "550 5.1.1 later"},
		`550 CORP\nancy has no mailbox`:                   {`550 CORP\nancy has no mailbox`},
		`550 x\n550`:                                      {`550 x\n550`},
		"":                                                {""},
	} {
		if got := replyLines(s); !slices.Equal(got, want) {
			t.Errorf("replyLines(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestNothingHostileGetsThrough(t *testing.T) {
	var j, c bytes.Buffer
	r := sample()
	if err := r.WriteJSON(&j, 0); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteCSV(&c, 0); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{"text": text(t, r, PageRows, TextOptions{}), "json": j.String(), "csv": strings.ReplaceAll(c.String(), "\r\n", "\n")} {
		if strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }) {
			t.Errorf("%s has characters that are not for printing: %q", name, s)
		}
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	r := sample()
	if err := r.WriteJSON(&b, 0); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", b.String())
	var v struct {
		Domains []struct{ Domain string }
		Codes   []struct{ Example string }
	}
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	if v.Domains[3].Domain != hostile || v.Codes[2].Example != hostile {
		t.Errorf("JSON changed a text: %q, %q, want %q", v.Domains[3].Domain, v.Codes[2].Example, hostile)
	}

	b.Reset()
	r.By = []store.Dimension{store.ByProvider, store.ByCode}
	r.Groups = []store.Group{{Values: []registry.Foreign{"Google", "550 5.1.1"}, Tally: tally(0, 2, 0, 0), HasTop: true, TopCode: "550 5.1.1", TopReason: "user-unknown"}}
	if err := r.WriteJSON(&b, 1); err != nil {
		t.Fatal(err)
	}
	golden(t, "report-by.json", b.String())

	b.Reset()
	if err := (&Report{Numbers: &store.Numbers{}, location: time.UTC}).WriteJSON(&b, 0); err != nil {
		t.Fatal(err)
	}
	golden(t, "report-empty.json", b.String())
}

func TestCSV(t *testing.T) {
	for name, by := range map[string][]store.Dimension{"report-domains.csv": nil, "report-codes.csv": {store.ByCode}, "report-by.csv": {store.ByHost, store.ByReason}, "report-hops.csv": {ByNextHop}} {
		r := sample()
		r.By = by
		r.Groups = []store.Group{{Values: []registry.Foreign{"@host", "-reason"}, Tally: tally(1, 2, 3, 4), HasTop: true, TopCode: "550", TopReason: "policy"}}
		var b bytes.Buffer
		if err := r.WriteCSV(&b, 0); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
					t.Errorf("%s: a spreadsheet takes %q for a formula", name, cell)
				}
			}
		}
	}
}

func TestSendLogsNote(t *testing.T) {
	const first, last = "SMTP send logs and message tracking logs report the same mail, so the numbers are those of the tracking logs alone",
		". Send logs of other servers can be reported by themselves (--mta exchange-smtpsend)."
	for _, test := range []struct {
		numbers store.Numbers
		want    string
	}{
		{store.Numbers{}, ""},
		{store.Numbers{Exact: 1}, "; 1 failing attempt has the stage and the reply that the send logs have"},
		{store.Numbers{Exact: 1234, LeftOut: store.LeftOut{Untracked: 1}},
			"; 1,234 failing attempts have the stage and the reply that the send logs have. The send logs have 1 failing attempt that no tracking log has"},
		{store.Numbers{LeftOut: store.LeftOut{Untracked: 2, Unnamed: 1}}, ". The send logs have 2 failing attempts that no tracking log has, and 1 without a Message-ID, which cannot be compared"},
		{store.Numbers{LeftOut: store.LeftOut{Unnamed: 3}}, ". The send logs have 3 failing attempts without a Message-ID, which cannot be compared"},
	} {
		if got := sendLogsNote(&test.numbers); got != first+test.want+last {
			t.Errorf("%+v: %s", test.numbers, got)
		}
	}
}

func events() []*store.Event {
	at := day.Add(7*time.Hour + 1500*time.Millisecond)
	e := store.Event{Time: at, Format: "postfix", MTA: "postfix", Host: "mx1", Service: "smtp", Message: "4jXJzW4DgQz8tZQ", MessageID: "<1@example.com>", Sender: "a@example.com", HasSender: true,
		Recipient: "b@example.org", Domain: "example.org", Relay: "mx.example.org", IP: "192.0.2.1", Provider: "Google", Outcome: "deferred", Stage: registry.StageMail, Source: registry.SourceRemote,
		Reply: 421, Enhanced: "4.7.28", MTAStatus: "4.7.28", Reason: "rate-limited", Rule: "rate", Signature: "421 too fast", Text: "421 4.7.28 too fast", Delay: 1500 * time.Millisecond, Times: 1}
	second, third, bounce, rejection := e, e, e, e
	second.Recipient, second.Time = "c@example.org", at.Add(time.Millisecond)
	third.Message, third.Recipient = "OTHER", "d@example.org"
	bounce.Time, bounce.Stage, bounce.Outcome, bounce.Reply, bounce.Enhanced, bounce.HasSender, bounce.Delay = at.Add(time.Second), registry.StageRcpt, "failed", 0, "", false, -1
	bounce.Relay, bounce.IP, bounce.Provider, bounce.Text, bounce.Recipient, bounce.MTAStatus = "", "", "", hostile, hostile, ""
	rejection = store.Event{Time: at.Add(2 * time.Second), Format: "exim", MTA: "exim", Outcome: "rejected", Reply: 554, Enhanced: "5.7.1", Reason: "relay-denied", Client: "evil.example", ClientIP: "192.0.2.9",
		HasSender: true, Text: "554 5.7.1 Relay access denied", Times: 3, Delay: -1}
	return []*store.Event{&e, &third, &second, &bounce, &rejection}
}

func TestEventsAreWritten(t *testing.T) {
	for _, format := range []string{"text", "json", "csv"} {
		var b bytes.Buffer
		w, err := NewEventWriter(&b, format, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events() {
			if err := w.Event(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		golden(t, "events."+format, b.String())
	}
	if _, err := NewEventWriter(nil, "xml", time.UTC); err == nil {
		t.Error("a format that does not exist is no error")
	}
}

func TestTrace(t *testing.T) {
	e := events()
	s := &store.Story{
		Format:    "postfix",
		Host:      "mx1",
		Instance:  "out",
		QueueID:   "4jXJzW4DgQz8tZQ",
		MessageID: "<1@example.com>",
		HasSender: true,
		Client:    "app",
		ClientIP:  "192.0.2.5",
		Size:      12345,
		FirstSeen: day,
		Recipients: []store.StoryRecipient{{
			Address:   "b@example.org",
			State:     registry.StateDelivered,
			FirstSeen: day,
			LastSeen:  day,
			Final:     day.Add(8 * time.Hour),
			Attempts:  e[:1],
		}, {
			Address:   hostile,
			FirstSeen: day,
			LastSeen:  day.Add(time.Hour),
			Attempts:  e[3:4],
		}},
	}
	for name, trace := range map[string]*Trace{
		"trace":       {Query: "4jXJzW4DgQz8tZQ", Stories: []*store.Story{s}, Rejections: e[4:], Location: time.UTC},
		"trace-empty": {Query: hostile, Location: time.UTC},
	} {
		var b bytes.Buffer
		if err := trace.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", b.String())
		b.Reset()
		if err := trace.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", b.String())
	}
}

// FuzzTemplate renders reports with templates of a user: an error is an error, and no
// template lets a control character of strangers through.
func FuzzTemplate(f *testing.F) {
	f.Add("{{.Title}}: {{count .Report.Totals.Delivered}}{{range .Problems}}\n{{.Title}} {{.Do}}{{end}}", false)
	f.Add("{{with .Section \"reasons\"}}{{range .Table.Rows}}{{.Cells}}{{end}}{{end}}", false)
	f.Add("{{printf \"%A %d\" $ .Title}}{{print .}}{{html .View}}{{js .Problems}}", false)
	f.Add("<a title='{{.Verdict}}'>{{range .Sections}}{{.ID}}{{printf \"%v\" .}}{{end}}</a>", true)
	f.Add("{{range .Report.Domains}}{{.Values}}{{wrap 30 .Values}}{{fit 9 .Values}}{{end}}{{define \"x\"}}{{template \"x\"}}{{end}}", false)
	r := sample()
	view := r.View(4)
	f.Fuzz(func(t *testing.T, text string, html bool) {
		// Loops in loops take long, which is the user's own affair; letters in the template
		// are the user's too.
		if strings.Count(text, "range") > 2 || strings.Contains(text, "\\") || strings.Contains(text, "Raw") || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r > '~' }) {
			return
		}
		name := "t.txt"
		if html {
			name = "t.html"
		}
		var out bytes.Buffer
		if err := r.WriteTemplate(&out, view, name, text); err != nil {
			return
		}
		for _, c := range out.String() {
			if c < ' ' && c != '\n' && c != '\t' || c >= 0x7f && c < 0xa0 || c == 0x202e {
				t.Fatalf("%q lets %q through", text, c)
			}
		}
	})
}
