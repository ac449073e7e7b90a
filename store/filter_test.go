package store

import (
	"strconv"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	failed := &Event{Outcome: "failed", Format: "exchange-tracking", MTA: "exchange", Host: "mx1", Provider: "Google", Domain: "mail.example.org",
		Reply: 550, Enhanced: "5.1.1", Reason: "user-unknown", Sender: "News@Example.COM", HasSender: true}
	delivered := *failed
	delivered.Outcome, delivered.Reply, delivered.Enhanced, delivered.Reason = "delivered", 250, "2.0.0", ""
	bounce := *failed
	bounce.Sender = ""
	unknown := *failed
	unknown.Sender, unknown.HasSender = "", false
	for _, test := range []struct {
		f    Filter
		e    *Event
		want bool
	}{
		{Filter{}, failed, true},
		{Filter{Providers: []string{"yahoo", "google"}}, failed, true},
		{Filter{Providers: []string{"yahoo"}}, failed, false},
		{Filter{Domains: []string{"*.example.org"}}, failed, true},
		{Filter{Domains: []string{"example.org"}}, failed, false},
		{Filter{Hosts: []string{"MX1"}, MTAs: []string{"exchange"}}, failed, true},
		{Filter{MTAs: []string{"exchange-tracking"}}, failed, true},
		{Filter{MTAs: []string{"exim"}}, failed, false},
		{Filter{Senders: []string{"example.com"}}, failed, true},
		{Filter{Senders: []string{"<>"}}, failed, false},
		{Filter{Senders: []string{"<>"}}, &bounce, true},
		{Filter{Senders: []string{"<>"}}, &unknown, false},
		{Filter{Codes: []string{"550 5.1.x"}}, failed, true},
		{Filter{Codes: []string{"5.7.x"}}, failed, false},
		{Filter{Reasons: []string{"dns"}}, failed, false},
		{Filter{Codes: []string{"5.7.x"}, Reasons: []string{"dns"}}, &delivered, true},
		{Filter{Codes: []string{"5.7.x"}, Domains: []string{"example.net"}}, &delivered, false},
	} {
		if got := test.f.Match(test.e); got != test.want {
			t.Errorf("%+v matches %+v: %v, want %v", test.f, *test.e, got, test.want)
		}
	}
}

func TestMatchCode(t *testing.T) {
	for _, test := range []struct {
		pattern  string
		reply    int
		enhanced string
		want     bool
	}{
		{"550", 550, "5.1.1", true}, {"550", 550, "", true}, {"550", 551, "", false}, {"550", 0, "", false},
		{"5.1.1", 550, "5.1.1", true}, {"5.1.1", 0, "5.1.1", true}, {"5.1.1", 550, "5.1.10", false}, {"5.1.1", 550, "", false},
		{"550 5.1.1", 550, "5.1.1", true}, {"550-5.1.1", 550, "5.1.1", true}, {"550 5.1.1", 554, "5.1.1", false},
		{"5xx", 554, "", true}, {"5XX", 421, "", false}, {"5**", 554, "", true}, {"*.7.*", 0, "4.7.1", true}, {"5.7.x", 0, "5.7.26", true}, {"5.x.x", 0, "4.7.1", false}, {"x.1.1", 450, "4.1.1", true},
		{"none", 0, "", true}, {"none", 550, "", false},
	} {
		if got := MatchCode(test.pattern, test.reply, test.enhanced); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, Code(test.reply, test.enhanced), got)
		}
	}
}

func TestMinute(t *testing.T) {
	for _, test := range []struct{ time, want int64 }{{0, 0}, {59_999_999, 0}, {60_000_000, 1}, {-1, -1}, {-60_000_000, -1}, {-60_000_001, -2}} {
		if got := Minute(test.time); got != test.want {
			t.Errorf("Minute(%d) = %d, want %d", test.time, got, test.want)
		}
	}
}

// FuzzMatchCode checks that a pattern that is accepted matches the code that it spells
// with its wildcards filled in, and no code of another class.
func FuzzMatchCode(f *testing.F) {
	for _, pattern := range []string{"550", "5xx", "5.7.x", "550-5.1.1", "421 4.*.x", "none", "5.7.2x", "x", "5..1"} {
		f.Add(pattern)
	}
	filled := strings.NewReplacer("x", "1", "X", "1", "*", "1")
	f.Fuzz(func(t *testing.T, pattern string) {
		matches := MatchCode(pattern, 250, "2.0.0")
		if CheckCode(pattern) != nil || strings.EqualFold(pattern, "none") {
			return
		}
		var reply int
		var enhanced string
		for _, part := range strings.FieldsFunc(filled.Replace(pattern), func(r rune) bool { return r == ' ' || r == '-' }) {
			if strings.Contains(part, ".") {
				enhanced = part
				continue
			}
			reply, _ = strconv.Atoi(part)
			if strconv.Itoa(reply) != part { // a leading zero, as no reply code has
				return
			}
		}
		if !MatchCode(pattern, reply, enhanced) {
			t.Errorf("%q does not match %d %s", pattern, reply, enhanced)
		}
		if class := pattern[0]; matches && class != '2' && !strings.ContainsRune("xX* -", rune(class)) {
			t.Errorf("%q matches 250 2.0.0", pattern)
		}
	})
}
