package registry_test

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"mailfail/parsers"
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
//     its volume or no stated reason.
//   - "expired" and "networkerror" with a text that names the cause (connection
//     refused, DNS failed, loop) are filed under that cause on purpose.
//   - Labels that stand for "could not be decided" (onhold, undefined) and for
//     what is no failure (feedback, vacation, delivered) are left out.
var labels = map[string][]registry.Reason{
	// Sisimai
	"authfailure":     {"authentication"},
	"badreputation":   {"reputation"},
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
	"rejected":        {"bad-sender", "policy", "authentication", "rate-limited"},
	"requireptr":      {"reverse-dns"},
	"securityerror":   {"login", "policy", "tls"},
	"spamdetected":    {"spam-content"},
	"speeding":        {"rate-limited"},
	"suspend":         {"mailbox-disabled"},
	"syntaxerror":     {"syntax"},
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
	f, err := os.Open("../../shared/corpus/replies/" + name)
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

// TestAccuracy measures how often the rules agree with the labels. Run
//
//	go test ./registry -run Accuracy -v
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
		want, ok := labels[s.label]
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
		t.Logf("%-22s %3d of %3d  as %s", name, agree[name], all[name], fmt.Sprint(labels[name]))
	}
	t.Logf("%d of %d agree: %.1f %%", right, total, 100*float64(right)/float64(total))
	if float64(right) < least*float64(total) {
		t.Errorf("fewer than %.0f %% agree", 100*least)
	}
}

// classify decides about a text alone: no provider, no stage.
func classify(text string) registry.Verdict {
	r := parsers.ParseReply([]byte(text))
	f := registry.Failure{Reply: r.Code, Enhanced: r.Enhanced, Signature: string(registry.AppendSignature(nil, []byte(text)))}
	return registry.DefaultRules().Classify(f)
}
