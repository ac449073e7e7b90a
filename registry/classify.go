package registry

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"math/bits"
	"os"
	"slices"
	"sync"
)

//go:embed rules.txt
var rulesText string

// Rules decide the reason of a failure. Evidence is tried in the order of its value:
//
//  1. a code that only its provider uses, with the provider's meaning;
//  2. rules with tags of operators and with whole phrases, in the order of the file;
//  3. an enhanced code with a meaning of its own, as the provider uses it;
//  4. weak rules: single words, and words that only express a refusal;
//  5. unspecific codes: X.7.1, X.3.0, a reply code alone.
//
// Where no more than weak evidence was found, words of other languages are translated and
// the rules tried again. When a reply passes another one on, the inner one is tried first:
// it is the cause. Finally the stage is checked, see atStage. A failure without any
// evidence is unknown.
//
// Rules are safe for use by several goroutines.
type Rules struct {
	rules   []rule
	phrases *phrases
	always  ruleSet  // rules without text
	weak    ruleSet  // rules that are tried after codes
	from    []uint32 // by phrase: index in of at which the rules to try begin
	of      []uint16
	asked   map[string]bool // providers that rules name
	version func() string
}

// maxRules bounds the set of rules that Classify keeps on the stack.
const maxRules = 2048

// ruleSet is a set of rules, by index.
type ruleSet [maxRules / 64]uint64

func (s *ruleSet) add(i int) { s[i/64] |= 1 << (i % 64) }

// method is part of the version. It changes whenever the order of evidence does.
const method = "8"

// defaultRules compiles the embedded rules on first use.
var defaultRules = sync.OnceValue(func() *Rules {
	rules, err := compileRules(source{"rules.txt", rulesText})
	if err != nil {
		panic(err) // a test compiles the embedded file
	}
	return rules
})

// DefaultRules returns the built-in rules.
func DefaultRules() *Rules { return defaultRules() }

// LoadRules returns the rules of a file, which are tried first, followed by the built-in
// ones. The file has the same form as rules.txt in this folder.
func LoadRules(path string) (*Rules, error) {
	text, err := readRules(path)
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	rules, err := compileRules(source{path, string(text)}, source{"built-in rules", rulesText})
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	return rules, nil
}

// maxRulesSize is many times the size of the built-in rules.
const maxRulesSize = 4 << 20

// readRules reads a file of rules. The path may be a pipe or, by mistake, a device that
// never ends.
func readRules(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxRulesSize+1))
	if err == nil && len(text) > maxRulesSize {
		err = fmt.Errorf("%s has more than %d MiB: is it a file of rules?", path, maxRulesSize>>20)
	}
	return text, err
}

// source is a text of rules and its origin.
type source struct{ name, text string }

func compileRules(sources ...source) (*Rules, error) {
	rr := ruleReader{
		rules:   make([]rule, 0, 512),
		texts:   make([]string, 0, maxPhrases/2),
		indexes: make(map[string]uint16, maxPhrases/2),
		names:   map[string]bool{},
		classes: map[string][]uint16{},
	}
	for _, s := range sources {
		if err := rr.read(s.text); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if len(rr.rules) > maxRules {
		return nil, fmt.Errorf("%d rules; no more than %d are possible", len(rr.rules), maxRules)
	}
	p, err := newPhrases(rr.texts)
	if err != nil {
		return nil, err
	}
	r := &Rules{
		rules:   rr.rules,
		phrases: p,
		asked:   map[string]bool{},
		version: sync.OnceValue(func() string {
			return version(sources)
		}),
	}
	r.index(len(rr.texts))
	return r, nil
}

// version returns a hash of all data that decides.
func version(sources []source) string {
	hash := sha256.New()
	io.WriteString(hash, method)
	for _, s := range sources {
		fmt.Fprintf(hash, "%d\n", len(s.text))
		io.WriteString(hash, s.text)
	}
	for _, text := range tableTexts() { // codes decide if no rule does
		fmt.Fprintf(hash, "%d\n", len(text))
		io.WriteString(hash, text)
	}
	return hex.EncodeToString(hash.Sum(nil)[:6])
}

// index notes which rules to try for each phrase.
func (r *Rules) index(phrases int) {
	r.from = make([]uint32, phrases+1)
	for i := range r.rules {
		if r.rules[i].weak {
			r.weak.add(i)
		}
		for _, provider := range r.rules[i].providers {
			r.asked[provider] = true
		}
		asks := r.rules[i].asks()
		if asks == nil {
			r.always.add(i)
		}
		for _, phrase := range asks {
			r.from[phrase+1]++
		}
	}
	for i := range phrases {
		r.from[i+1] += r.from[i]
	}
	r.of = make([]uint16, r.from[phrases])
	next := slices.Clone(r.from)
	for i := range r.rules {
		for _, phrase := range r.rules[i].asks() {
			r.of[next[phrase]] = uint16(i)
			next[phrase]++
		}
	}
}

// Version changes whenever the same failure might get another reason.
func (r *Rules) Version() string { return r.version() }

// Asks reports whether a reason may depend on this provider. All providers that no rule
// and no code of a vendor names are treated alike.
func (r *Rules) Asks(provider string) bool { return r.asked[provider] || codes().providers[provider] }

// Classify returns the reason of f and the evidence for it. Equal failures have equal
// verdicts. Verdict.Rule is the name of a rule in a rules file, "code 5.1.1" if a code
// decided, or "" for the reason "unknown".
func (r *Rules) Classify(f Failure) Verdict {
	var buf [maxText]byte
	if len(f.Signature) > maxText {
		f.Signature = f.Signature[:maxText]
	}
	text := withoutFrame(appendFolded(buf[:0], f.Signature))
	if start, inner := passedOn(text); inner != nil {
		return r.forwarded(&f, text[:start], inner)
	}
	v := r.decide(&f, text)
	if v.Confidence == ConfidenceLow || v.Reason == "policy" || v.DecidedBy == ByCode {
		v = r.translated(&f, v, text)
	}
	if why := r.senderRefused(&f, text); why.Reason != "" {
		v = why
	} else if why := r.because(&f, v, text); why.Reason != "" {
		v = why
	}
	return atStage(&f, v, text)
}

// translated decides about a text in another language by its words in English, where that
// says more than v.
func (r *Rules) translated(f *Failure, v Verdict, text []byte) Verdict {
	english := defaultLexicon().translate(text)
	if english == nil {
		return v
	}
	better := r.decide(f, english)
	if better.DecidedBy != ByText || better.Reason == "policy" {
		return v
	}
	better.Confidence = min(better.Confidence, ConfidenceMedium)
	return better
}

// withoutFrame removes the words in parentheses at the end of a reply that name the
// command it answers: "(in reply to RCPT TO command)" of Postfix, "(UNKNOWN command)".
// The sender's MTA wrote them, not the server.
func withoutFrame(text []byte) []byte {
	if i := bytes.LastIndexByte(text, '('); i > 0 && bytes.HasSuffix(text, []byte(" command)")) {
		return bytes.TrimRight(text[:i], " ")
	}
	return text
}

// senderFrame is the text with which Postfix refuses a sender.
const senderFrame = "sender address rejected: "

// senderRefused decides about a refused sender by the text after the refusal, if that is
// clear: "Sender address rejected: too many messages in an hour". An address or domain in
// that text is the sender's.
func (r *Rules) senderRefused(f *Failure, text []byte) Verdict {
	i := bytes.Index(text, []byte(senderFrame))
	if i < 0 {
		return Verdict{}
	}
	v := r.decide(&Failure{Reply: f.Reply, Source: f.Source}, text[i+len(senderFrame):])
	reason := atMail(v.Reason)
	if v.DecidedBy != ByText || v.Confidence < ConfidenceMedium || reason == "policy" ||
		reason == "bad-sender" {
		return Verdict{} // the text says only that the sender is refused
	}
	v.Reason = reason
	return v
}

// causes are words before a cause.
var causes = [...]string{"policy reasons: ", "policy restrictions: ", "policy: ", "policy violation: ",
	"policy rejection: ", "reason: ", "command rejected: ", "because of ", " because "}

// because returns the cause that a reply names when it refuses mail for a policy or a
// limit: "refused for policy reasons: unsolicited message".
func (r *Rules) because(f *Failure, v Verdict, text []byte) Verdict {
	if v.Reason != "policy" && v.Reason != "rate-limited" || v.DecidedBy != ByText {
		return Verdict{}
	}
	for _, words := range causes {
		i := bytes.Index(text, []byte(words))
		if i < 0 {
			continue
		}
		why := r.decide(&Failure{Reply: f.Reply, Source: f.Source}, text[i+len(words):])
		if why.DecidedBy == ByText && why.Reason != "policy" {
			return why
		}
	}
	return Verdict{}
}

// passedOn finds the reply of another server within a reply, and its offset. It ignores a
// text that does not begin with a code: that is a log's frame around the reply.
func passedOn(text []byte) (start int, inner []byte) {
	if len(text) == 0 || kinds[text[0]] != isDigit {
		return 0, nil
	}
	inner = InnerReply(text)
	if inner == nil {
		return 0, nil
	}
	return bytes.Index(text, inner), inner
}

// forwarded decides about a reply that passes another one on: by the inner one, if that
// is more specific than the words around it. That the message expired is only how it
// ended, not why.
func (r *Rules) forwarded(f *Failure, outer, inner []byte) Verdict {
	in := Failure{Source: f.Source}
	reply := ParseReply(inner)
	in.Reply, in.Enhanced = reply.Code, reply.Enhanced
	cause := r.decide(&in, inner)
	frame := atStage(f, r.decide(f, outer), outer)
	if cause.Reason == "unknown" || cause.Confidence < frame.Confidence && frame.Reason != "expired" {
		return frame
	}
	if frame.Reason == "bad-sender" || bytes.Contains(outer, []byte(senderFrame)) {
		cause.Reason = atMail(cause.Reason) // the sender's host was asked about the sender
	}
	if f.Stage != StageUnknown && f.Stage <= StageRcpt {
		return atStage(f, cause, inner) // before DATA, the remote could not know the message
	}
	return cause
}

// decide tries the evidence in its order.
func (r *Rules) decide(f *Failure, text []byte) Verdict {
	if v := ownCode(f); v.Reason != "" {
		return v
	}
	var found found
	r.phrases.find(text, &found)
	ask := r.worth(&found)
	code, specific := r.code(f)
	if rule := r.first(f, &found, &ask, false); rule != nil {
		v := Verdict{rule.reason, rule.name, rule.decides(), ConfidenceHigh}
		if v.DecidedBy == ByStage || len(rule.near) > 0 || specific && code.Reason != v.Reason ||
			r.contested(f, &found, &ask, rule) {
			v.Confidence = ConfidenceMedium
		}
		return v
	}
	// Servers use X.5.0 and X.5.1 for any failure.
	if specific && !(code.Reason == "syntax" && code.DecidedBy == ByCode) {
		return code
	}
	if rule := r.first(f, &found, &ask, true); rule != nil {
		v := Verdict{rule.reason, rule.name, rule.decides(), ConfidenceLow}
		if code.Reason == v.Reason {
			v.Confidence = ConfidenceMedium
		}
		return v
	}
	return code
}

// worth returns the rules to try: those without a phrase, and those of the phrases in the
// text.
func (r *Rules) worth(found *found) ruleSet {
	ask := r.always
	for w, word := range found.phraseSet[:(len(r.from)+62)/64] {
		for ; word != 0; word &= word - 1 {
			phrase := w*64 + bits.TrailingZeros64(word)
			for _, i := range r.of[r.from[phrase]:r.from[phrase+1]] {
				ask.add(int(i))
			}
		}
	}
	return ask
}

// contested reports whether the text also matches a rule for another reason than the one
// that decides.
func (r *Rules) contested(f *Failure, found *found, ask *ruleSet, by *rule) bool {
	for w, word := range ask[:(len(r.rules)+63)/64] {
		for word &^= r.weak[w]; word != 0; word &= word - 1 {
			rule := &r.rules[w*64+bits.TrailingZeros64(word)]
			if rule.reason != by.reason && rule.reason != "policy" && len(rule.text) > 0 &&
				rule.match(f, found) {
				return true
			}
		}
	}
	return false
}

// first returns the first rule that matches, among the weak ones or among the others.
func (r *Rules) first(f *Failure, found *found, ask *ruleSet, weak bool) *rule {
	for w, word := range ask[:(len(r.rules)+63)/64] {
		if weak {
			word &= r.weak[w]
		} else {
			word &^= r.weak[w]
		}
		for ; word != 0; word &= word - 1 {
			if rule := &r.rules[w*64+bits.TrailingZeros64(word)]; rule.match(f, found) {
				return rule
			}
		}
	}
	return nil
}

// ByCode returns the reason that the codes of f alone stand for, and whether they have a
// specific meaning. If it differs from Classify's reason, the text or the stage
// contradicts the code.
func (r *Rules) ByCode(f Failure) (v Verdict, specific bool) { return r.code(&f) }

// code returns the reason that the codes of f stand for, and whether it comes from a code
// with a specific meaning. The status of this MTA is used last: the MTA derived it from
// the reply.
func (r *Rules) code(f *Failure) (v Verdict, specific bool) {
	status := f.status()
	if v, specific = enhancedReason(f.Reply, status, f.Provider); specific {
		return v, true
	}
	if reply := replyReason(f.Reply, f.Provider); v.Reason == "" && reply.Reason != "" {
		v = reply
	}
	if v.Reason == "" && f.MTAStatus != status {
		v, _ = enhancedReason(0, f.MTAStatus, "")
	}
	if v.Reason == "" {
		v = Verdict{Reason: "unknown"}
	}
	v.Confidence = ConfidenceLow
	return v, false
}
