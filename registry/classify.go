package registry

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"math/bits"
	"os"
	"sync"
)

//go:embed rules.txt
var rulesText string

// Rules decide the reason of a failure. They are asked in their order and the
// first that holds decides: texts before codes, because codes alone mislead.
// What no rule knows goes by the meaning of its codes, the enhanced one first.
//
// Rules are safe for use by several goroutines.
type Rules struct {
	rules   []rule
	phrases *phrases
	always  []uint64   // rules without text, as a set
	of      [][]uint16 // phrase → rules it makes worth asking
	version string
}

// maxRules bounds the set of rules that Classify keeps on the stack.
const maxRules = 2048

// defaultRules compiles the embedded rules when they are first needed.
var defaultRules = sync.OnceValue(func() *Rules {
	rules, err := compileRules(source{"rules.txt", rulesText})
	if err != nil {
		panic(err) // a test compiles the embedded file
	}
	return rules
})

// DefaultRules returns the rules that come with mailfail.
func DefaultRules() *Rules { return defaultRules() }

// LoadRules returns the rules of a file, asked first, followed by those that
// come with mailfail. The file has the same form as rules.txt in this folder.
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

// maxRulesSize is many times what the rules that come with mailfail have.
const maxRulesSize = 4 << 20

// readRules reads a file of rules, which may be a pipe or, by mistake, a device
// that never ends.
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

// source is a text of rules and where it comes from.
type source struct{ name, text string }

func compileRules(sources ...source) (*Rules, error) {
	rr := ruleReader{indexes: map[string]uint16{}, names: map[string]bool{}}
	hash := sha256.New()
	for _, s := range sources {
		if err := rr.read(s.text); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(hash, "%d\n%s", len(s.text), s.text)
	}
	if len(rr.rules) > maxRules {
		return nil, fmt.Errorf("%d rules; no more than %d are possible", len(rr.rules), maxRules)
	}
	for _, text := range tableTexts() { // codes decide where no rule does
		fmt.Fprintf(hash, "%d\n%s", len(text), text)
	}
	p, err := newPhrases(rr.texts)
	if err != nil {
		return nil, err
	}
	r := &Rules{rules: rr.rules, phrases: p, version: hex.EncodeToString(hash.Sum(nil)[:6])}
	r.index(len(rr.texts))
	return r, nil
}

// index notes which rules each phrase makes worth asking.
func (r *Rules) index(phrases int) {
	r.always = make([]uint64, maxRules/64)
	r.of = make([][]uint16, phrases)
	for i := range r.rules {
		if len(r.rules[i].text) == 0 {
			r.always[i/64] |= 1 << (i % 64)
			continue
		}
		for _, phrase := range r.rules[i].text[0] {
			r.of[phrase] = append(r.of[phrase], uint16(i))
		}
	}
}

// Version changes whenever the same failure might get another reason.
func (r *Rules) Version() string { return r.version }

// Classify returns the reason of f and the rule that decided. Equal failures
// have equal reasons. The rule is the name of one in a rules file, or "code
// 5.1.1" where no text decided and the meaning of the code did, or "" for the
// reason "unknown".
func (r *Rules) Classify(f Failure) Verdict {
	var buf [maxText]byte
	if len(f.Signature) > maxText {
		f.Signature = f.Signature[:maxText]
	}
	var found phraseSet
	r.phrases.find(appendFolded(buf[:0], f.Signature), &found)

	var ask [maxRules / 64]uint64
	copy(ask[:], r.always)
	for w, word := range found[:(len(r.of)+63)/64] {
		for ; word != 0; word &= word - 1 {
			for _, i := range r.of[w*64+bits.TrailingZeros64(word)] {
				ask[i/64] |= 1 << (i % 64)
			}
		}
	}
	for w, word := range ask[:(len(r.rules)+63)/64] {
		for ; word != 0; word &= word - 1 {
			rule := &r.rules[w*64+bits.TrailingZeros64(word)]
			if !rule.match(&f, &found) {
				continue
			}
			if rule.weak {
				if v := codeReason(f.Reply, f.status(), f.Provider); v.Reason != "" && v.Reason != "policy" && v.Reason != rule.reason && !f.status().IsZero() {
					return v
				}
			}
			return Verdict{rule.reason, rule.name, rule.decides(), ConfidenceHigh}
		}
	}
	return byCode(&f)
}

// byCode returns the reason that the codes of f stand for.
func byCode(f *Failure) Verdict {
	if e := f.status(); !e.IsZero() {
		if v := codeReason(f.Reply, e, f.Provider); v.Reason != "" {
			return v
		}
	}
	if v := codeReason(f.Reply, Enhanced{}, f.Provider); v.Reason != "" {
		return v
	}
	if e := f.MTAStatus; !e.IsZero() && e != f.status() {
		if v := codeReason(0, e, ""); v.Reason != "" {
			return v
		}
	}
	return Verdict{Reason: "unknown", Confidence: ConfidenceLow}
}
