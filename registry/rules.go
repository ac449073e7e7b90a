package registry

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// rule gives a reason when all its conditions are true. An empty condition is always
// true.
type rule struct {
	name      string
	reason    Reason
	weak      bool         // its words are less reliable than a specific code
	text      [][]uint16   // at least one phrase of each group must be in the text
	near      []*phraseSet // one phrase of both sets, in one sentence and close together
	said      []uint16     // the phrases of the last set of near
	not       []uint16     // none of these may be in the text
	replies   []replyPattern
	enhanced  []enhancedPattern
	providers []string
	stages    []Stage
	sources   []Source
	examples  []string
}

// replyPattern is a reply code or a class: 550, 4xx.
type replyPattern struct{ low, high uint16 }

func (p replyPattern) match(code uint16) bool { return code >= p.low && code <= p.high }

// enhancedPattern is an enhanced code in which parts may be left open: 5.1.1, X.7.26,
// 5.7.x, 4.7.500-699.
type enhancedPattern struct {
	class, subject      int16 // -1 for any
	lowDetail, hiDetail uint16
}

func (p enhancedPattern) match(e Enhanced) bool {
	return !e.IsZero() && (p.class < 0 || p.class == int16(e.Class)) &&
		(p.subject < 0 || p.subject == int16(e.Subject)) &&
		e.Detail >= p.lowDetail && e.Detail <= p.hiDetail
}

// match reports whether the rule is true for f, whose signature contains the phrases of
// found.
func (r *rule) match(f *Failure, found *found) bool {
	if len(r.providers) > 0 && !slices.Contains(r.providers, f.Provider) ||
		len(r.stages) > 0 && !slices.Contains(r.stages, f.Stage) ||
		len(r.sources) > 0 && !slices.Contains(r.sources, f.Source) {
		return false
	}
	if len(r.replies) > 0 && !slices.ContainsFunc(r.replies, func(p replyPattern) bool {
		return p.match(f.Reply)
	}) {
		return false
	}
	if len(r.enhanced) > 0 {
		e := f.status()
		if !slices.ContainsFunc(r.enhanced, func(p enhancedPattern) bool { return p.match(e) }) {
			return false
		}
	}
	for _, group := range r.text {
		if !slices.ContainsFunc(group, found.has) {
			return false
		}
	}
	if len(r.near) == 2 && !found.near(r.near[0], r.near[1]) {
		return false
	}
	return !slices.ContainsFunc(r.not, found.has)
}

// asks returns phrases at least one of which the text must contain, nil when the rule
// needs none.
func (r *rule) asks() []uint16 {
	if len(r.text) > 0 {
		return r.text[0]
	}
	return r.said
}

// decides returns the evidence of a rule: the text, or the stage for a rule without
// words.
func (r *rule) decides() DecidedBy {
	if len(r.text)+len(r.near) == 0 {
		return ByStage
	}
	return ByText
}

// status returns the enhanced code to use: the remote's or, if the remote gave no code at
// all, the one of this MTA.
func (f *Failure) status() Enhanced {
	if f.Enhanced.IsZero() && f.Reply == 0 {
		return f.MTAStatus
	}
	return f.Enhanced
}

// ruleReader reads rules and collects their phrases.
type ruleReader struct {
	rules   []rule
	texts   []string
	indexes map[string]uint16
	names   map[string]bool
	classes map[string][]uint16 // phrases of lists of words, by the name that rules use
}

// read adds the rules of a file.
func (rr *ruleReader) read(text string) error {
	blocks, err := parseBlocks(text)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		if b.kind == "words" && b.name != "" {
			// A list is taken apart here, once: a list in itself would have no end, and of
			// lists in lists each could hold twice what the one before does.
			group, err := rr.phrases(b.get("are"))
			if err != nil {
				return fmt.Errorf("line %d: words %s: %w", b.line, b.name, err)
			}
			slices.Sort(group)
			rr.classes[b.name] = slices.Compact(group)
			continue
		}
		if b.kind != "rule" || b.name == "" {
			return fmt.Errorf("line %d: want \"rule NAME\"", b.line)
		}
		if rr.names[b.name] {
			return fmt.Errorf("line %d: there is another rule %s", b.line, b.name)
		}
		rr.names[b.name] = true
		r := rule{name: b.name}
		for _, f := range b.fields {
			if err := rr.field(&r, f); err != nil {
				return fmt.Errorf("line %d: %w", f.line, err)
			}
		}
		if r.reason == "" {
			return fmt.Errorf("line %d: rule %s has no reason", b.line, b.name)
		}
		if len(r.near) == 1 {
			return fmt.Errorf("line %d: rule %s has one line \"near\", want two", b.line, b.name)
		}
		if len(r.text)+len(r.near)+len(r.replies)+len(r.enhanced)+len(r.providers)+len(r.stages)+len(
			r.sources) == 0 {
			return fmt.Errorf("line %d: rule %s has no condition", b.line, b.name)
		}
		rr.rules = append(rr.rules, r)
	}
	return nil
}

// field reads one condition of a rule.
func (rr *ruleReader) field(r *rule, f field) (err error) {
	switch f.key {
	case "reason":
		r.reason = Reason(f.value)
		if _, ok := reasonTable()[r.reason]; !ok {
			return fmt.Errorf("no reason %q; mailfail codes lists them", f.value)
		}
	case "text":
		group, err := rr.phrases(f.value)
		r.text = append(r.text, group)
		return err
	case "near":
		group, err := rr.phrases(f.value)
		set := &phraseSet{}
		for _, i := range group {
			set.add(i)
		}
		r.near, r.said = append(r.near, set), group
		if err == nil && len(r.near) > 2 {
			err = fmt.Errorf("rule %s: more than two lines \"near\"", r.name)
		}
		return err
	case "not":
		r.not, err = rr.phrases(f.value)
	case "provider":
		for name := range strings.SplitSeq(f.value, "|") {
			r.providers = append(r.providers, strings.TrimSpace(name))
		}
	case "reply":
		r.replies, err = parseList(f.value, parseReplyPattern)
	case "enhanced":
		r.enhanced, err = parseList(f.value, parseEnhancedPattern)
	case "stage":
		r.stages, err = parseList(f.value, func(s string) (Stage, error) {
			i := slices.Index(stageNames[:], s)
			if i < 1 {
				return 0, fmt.Errorf("no stage %q", s)
			}
			return Stage(i), nil
		})
	case "source":
		r.sources, err = parseList(f.value, func(s string) (Source, error) {
			i := slices.Index(sourceNames[:], s)
			if i < 1 {
				return 0, fmt.Errorf("no source %q", s)
			}
			return Source(i), nil
		})
	case "example":
		r.examples = append(r.examples, f.value)
	case "weak":
		r.weak = f.value == "yes"
	case "note":
	default:
		return fmt.Errorf("rule %s: unknown field %q", r.name, f.key)
	}
	return err
}

// phrases reads "one | another* | @class" and returns their indexes.
func (rr *ruleReader) phrases(value string) ([]uint16, error) {
	group := make([]uint16, 0, 1+strings.Count(value, "|"))
	for text := range strings.SplitSeq(value, "|") {
		if class, ok := strings.CutPrefix(strings.TrimSpace(text), "@"); ok {
			words, ok := rr.classes[class]
			if !ok {
				return nil, fmt.Errorf("no words %q above", class)
			}
			group = append(group, words...)
			continue
		}
		text = folded(strings.TrimSpace(text))
		if strings.Trim(text, "*") == "" {
			return nil, fmt.Errorf("empty phrase in %q", value)
		}
		index, ok := rr.indexes[text]
		if !ok {
			index = uint16(len(rr.texts))
			rr.indexes[text] = index
			rr.texts = append(rr.texts, text)
		}
		group = append(group, index)
	}
	return group, nil
}

func parseList[T any](value string, parse func(string) (T, error)) ([]T, error) {
	var list []T
	for _, word := range strings.Fields(value) {
		v, err := parse(word)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// parseReplyPattern reads 550 or 4xx; "none" stands for no reply code.
func parseReplyPattern(s string) (replyPattern, error) {
	if s == "none" {
		return replyPattern{}, nil
	}
	if len(s) == 3 && s[0] >= '2' && s[0] <= '5' {
		class := uint16(s[0]-'0') * 100
		if s[1:] == "xx" {
			return replyPattern{class, class + 99}, nil
		}
		if n, err := strconv.ParseUint(s, 10, 16); err == nil {
			return replyPattern{uint16(n), uint16(n)}, nil
		}
	}
	return replyPattern{}, fmt.Errorf("no reply code %q: want 550, 5xx or none", s)
}

// parseEnhancedPattern reads 5.1.1, X.1.1, 5.7.x, 4.7.500-699.
func parseEnhancedPattern(s string) (p enhancedPattern, err error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return p, fmt.Errorf("no enhanced code %q: want 5.1.1, X.1.1, 5.7.x or 4.7.500-699", s)
	}
	number := func(part string) (v uint16) {
		n, e := strconv.ParseUint(part, 10, 10)
		if e != nil && err == nil {
			err = fmt.Errorf("no enhanced code %q: want 5.1.1, X.1.1, 5.7.x or 4.7.500-699", s)
		}
		return uint16(n)
	}
	open := func(part string) bool { return part == "x" || part == "X" }
	p.class, p.subject = -1, -1
	if !open(parts[0]) {
		p.class = int16(number(parts[0]))
	}
	if !open(parts[1]) {
		p.subject = int16(number(parts[1]))
	}
	low, high, isRange := strings.Cut(parts[2], "-")
	switch {
	case open(parts[2]):
		p.hiDetail = 999
	case isRange:
		p.lowDetail, p.hiDetail = number(low), number(high)
	default:
		p.lowDetail = number(low)
		p.hiDetail = p.lowDetail
	}
	return p, err
}
