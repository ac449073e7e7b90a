package explain

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"mailfail/registry"
)

// The labels of others are mapped to the reasons of ours that mean the same or
// a part of it. The first is the closest; the others are where our list is
// finer than theirs, or files a text under its cause:
//
//   - Sisimai's "blocked" is any refusal of the client, whether a list, its
//     reputation or nothing is named; ZoneMTA's "blacklist" likewise.
//   - Sisimai's "filtered" is an unknown user refused after DATA. A log tells
//     the stage; the text is the same, and so is what to do.
//   - Sisimai's "rejected" is any refusal of the sender, be it for its domain,
//     its volume or no stated reason; a list that only members may write to is
//     "restricted" to us.
//   - Sisimai's "syntaxerror" is about commands and, rarely, about the form of an
//     address, "bad-address" to us.
//   - "expired" and "networkerror" with a text that names the cause (connection
//     refused, DNS failed, loop) are filed under that cause on purpose.
//   - Yahoo's TSS04 ("unexpected volume or user complaints") is "badreputation"
//     to Sisimai, a rate limit to us: it passes when the rate falls.
//   - Labels that stand for "could not be decided" (onhold, undefined) and for
//     what is no failure (feedback, vacation, delivered) are left out.
var theirLabels = map[string][]registry.Reason{
	// Sisimai
	"authfailure":     {"authentication"},
	"badreputation":   {"reputation", "rate-limited"},
	"blocked":         {"blocklist", "client-refused", "reputation", "reverse-dns"},
	"contenterror":    {"content"},
	"exceedlimit":     {"too-big"},
	"expired":         {"expired", "connection", "dns"},
	"filtered":        {"user-unknown", "restricted"},
	"hasmoved":        {"moved"},
	"hostunknown":     {"domain-unknown", "routing"},
	"mailboxfull":     {"mailbox-full"},
	"mailererror":     {"local"},
	"mesgtoobig":      {"too-big"},
	"networkerror":    {"connection", "connection-lost", "dns", "domain-unknown", "loop", "routing"},
	"norelaying":      {"relay-denied"},
	"notaccept":       {"null-mx"},
	"notcompliantrfc": {"content"},
	"policyviolation": {"policy", "content", "client-refused"},
	"rejected":        {"bad-sender", "policy", "authentication", "rate-limited", "restricted"},
	"requireptr":      {"reverse-dns"},
	"securityerror":   {"login", "policy", "tls"},
	"spamdetected":    {"spam-content"},
	"speeding":        {"rate-limited"},
	"suspend":         {"mailbox-disabled"},
	"syntaxerror":     {"syntax", "bad-address"},
	"systemerror":     {"system", "local"},
	"systemfull":      {"storage-full"},
	"toomanyconn":     {"rate-limited", "too-many-recipients"},
	"userunknown":     {"user-unknown"},
	"virusdetected":   {"virus", "spam-content"},

	// ZoneMTA
	"blacklist": {"blocklist", "reputation", "client-refused"},
	"spam":      {"spam-content", "blocklist", "virus"},
	"greylist":  {"greylisted"},
	"capacity":  {"mailbox-full", "rate-limited"},
	"recipient": {"user-unknown", "mailbox-disabled", "moved", "restricted"},
	"policy":    {"policy", "authentication", "restricted"},
	"network":   {"domain-unknown", "dns", "connection", "null-mx"},

	// KumoMTA
	"InvalidRecipient":     {"user-unknown", "restricted", "moved"},
	"BadDomain":            {"null-mx", "domain-unknown"},
	"InactiveMailbox":      {"mailbox-disabled"},
	"QuotaIssues":          {"mailbox-full"},
	"DNSFailure":           {"domain-unknown", "dns"},
	"RoutingErrors":        {"relay-denied", "routing", "loop"},
	"TransientFailure":     {"system", "rate-limited"},
	"ProtocolErrors":       {"syntax"},
	"AuthenticationFailed": {"authentication", "login", "bad-sender"},
	"PolicyRelated":        {"policy", "spam-content", "authentication"},
	"SpamBlock":            {"blocklist", "reputation", "spam-content", "client-refused"},
	"SpamContent":          {"spam-content", "virus"},
}

// sample is a text and what others call it.
type sample struct{ text, label, name string }

// lines returns the lines of a file of the corpus, nil where there is none.
func lines(t *testing.T, name string) []string {
	f, err := os.Open("../../../shared/corpus/replies/" + name)
	if err != nil {
		t.Skip("no corpus of replies beside the checkout")
	}
	defer f.Close()
	var list []string
	for s := bufio.NewScanner(f); s.Scan(); {
		list = append(list, s.Text())
	}
	return list
}

func sisimaiSamples(t *testing.T) (list []sample) {
	for _, line := range lines(t, "sisimai-diagnostics.tsv")[1:] {
		c := strings.Split(line, "\t")
		if len(c) < 8 || c[4] == "" || strings.EqualFold(strings.TrimSpace(c[4]), "smtp;") || regexp.MustCompile(`(?i)^x-unix; \d+$`).MatchString(c[4]) {
			continue // no text to decide by
		}
		list = append(list, sample{c[4], c[7], c[0]})
	}
	return list
}

func zoneSamples(t *testing.T) (list []sample) {
	for _, line := range lines(t, "zone-mta-samples.tsv")[1:] {
		if c := strings.Split(line, "\t"); len(c) == 4 {
			list = append(list, sample{c[0], c[2], c[3]})
		}
	}
	return list
}

// kumoSamples turns KumoMTA's patterns into texts that they match.
func kumoSamples(t *testing.T) (list []sample) {
	label, quoted := "", regexp.MustCompile(`^\s*"(.*)",`)
	open := regexp.MustCompile(`\s*\.[+*]\s*`)
	for _, line := range lines(t, "kumomta-community.toml") {
		if name, _, ok := strings.Cut(line, " = ["); ok {
			label = strings.TrimSpace(name)
		}
		if m := quoted.FindStringSubmatch(line); m != nil {
			text := open.ReplaceAllString(strings.Trim(m[1], "^$"), " ")
			list = append(list, sample{strings.ReplaceAll(text, `\\`, ""), label, m[1]})
		}
	}
	return list
}

// mail is a whole bounce of Sisimai's collection and what they read in it.
type mail struct{ file, dsn, reply, reason string }

func sisimaiMails(t *testing.T) map[string][]mail {
	list := map[string][]mail{}
	for _, line := range lines(t, "sisimai-expected.tsv")[1:] {
		c := strings.Split(line, "\t")
		if len(c) < 5 || c[4] == "feedback" || c[4] == "vacation" || c[4] == "delivered" {
			continue
		}
		if strings.Contains(c[2], ".0.9") { // made up for "none"
			c[2] = ""
		}
		list[c[0]] = append(list[c[0]], mail{c[0], c[2], c[3], c[4]})
	}
	return list
}

// TestMails reads whole bounces and compares the recipients found, their
// codes and their reasons.
func TestMails(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
	x := Explainer{registry.DefaultRules()}
	var mails, counts, recipients, replies, codes, reasons, decided int
	all := sisimaiMails(t)
	for name, want := range all {
		f, err := os.Open("../../../shared/corpus/replies/sisimai-mails/" + name + ".eml")
		if err != nil {
			continue
		}
		a, err := x.Message(name, f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		mails++
		if len(a.Recipients) == len(want) {
			counts++
		} else {
			t.Logf("%s: %d recipients, they say %d", name, len(a.Recipients), len(want))
		}
		for i, w := range want {
			recipients++
			var r Recipient
			if i < len(a.Recipients) {
				r = a.Recipients[i]
			} else if i == 0 {
				r = Recipient{Codes: a.Codes, Reason: a.Reason}
			} else {
				continue
			}
			has := map[string]bool{"": true}
			for _, c := range r.Codes {
				has[c.Code] = true
			}
			if has[w.reply] {
				replies++
			} else {
				t.Logf("%s: no reply %s: %.200q", name, w.reply, r.Diagnostic)
			}
			if has[w.dsn] || r.Status == w.dsn {
				codes++
			} else {
				t.Logf("%s: no status %s: %.200q", name, w.dsn, r.Diagnostic)
			}
			if reasonsOf, ok := theirLabels[w.reason]; ok {
				decided++
				switch {
				case r.Reason == nil:
					t.Logf("%s: %s, we say nothing: %.300q", name, w.reason, r.Diagnostic)
				case slices.Contains(reasonsOf, registry.Reason(r.Reason.Reason)):
					reasons++
				default:
					t.Logf("%s: %s, we say %s by %s: %.300q", name, w.reason, r.Reason.Reason, r.Reason.Rule, r.Diagnostic)
				}
			}
		}
	}
	t.Logf("%d mails, recipients right in %d (%.1f %%)", mails, counts, percent(counts, mails))
	t.Logf("of %d recipients: reply %.1f %%, status %.1f %%", recipients, percent(replies, recipients), percent(codes, recipients))
	t.Logf("of %d reasons: %d agree, %.1f %%", decided, reasons, percent(reasons, decided))
	if mails == 0 {
		t.Skip("no mails")
	}
	if percent(counts, mails) < 85 || percent(reasons, decided) < 80 {
		t.Error("too few")
	}
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }

// TestAccuracy measures how often the rules agree with the labels. Run
//
//	go test ./report/explain -run Accuracy -v
//
// to see the figures and every disagreement.
func TestAccuracy(t *testing.T) {
	for _, set := range []struct {
		name    string
		samples []sample
		least   float64
	}{
		{"Sisimai", sisimaiSamples(t), 0.95},
		{"ZoneMTA", zoneSamples(t), 0.95},
		{"KumoMTA", kumoSamples(t), 0.90},
	} {
		t.Run(set.name, func(t *testing.T) { measure(t, set.samples, set.least) })
	}
}

func measure(t *testing.T, samples []sample, least float64) {
	agree, all := map[string]int{}, map[string]int{}
	total, right := 0, 0
	for _, s := range samples {
		want, ok := theirLabels[s.label]
		if !ok {
			continue
		}
		v := classify(s.text)
		all[s.label]++
		total++
		if slices.Contains(want, v.Reason) {
			agree[s.label]++
			right++
		} else {
			t.Logf("%s: %s, we say %s by %s: %.160q", s.name, s.label, v.Reason, v.Rule, s.text)
		}
	}
	if total == 0 {
		t.Fatal("no samples")
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		t.Logf("%-22s %3d of %3d  as %s", name, agree[name], all[name], fmt.Sprint(theirLabels[name]))
	}
	t.Logf("%d of %d agree: %.1f %%", right, total, 100*float64(right)/float64(total))
	if float64(right) < least*float64(total) {
		t.Errorf("fewer than %.0f %% agree", 100*least)
	}
}

// classify decides about a text alone: no provider, no stage.
func classify(text string) registry.Verdict {
	r := registry.ParseReply([]byte(text))
	f := registry.Failure{Reply: r.Code, Enhanced: r.Enhanced, Signature: string(registry.AppendSignature(nil, []byte(text)))}
	return registry.DefaultRules().Classify(f)
}
