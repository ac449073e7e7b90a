package registry

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

//go:embed enhanced.txt
var enhancedText string

//go:embed reply.txt
var replyText string

// Entry explains a code.
type Entry struct {
	Code       string // "550", "X.1.1"
	Name       string
	Registered string // IANA's name of an enhanced code
	Reason     Reason // what the code alone stands for; "" when it says too little
	Reference  string
}

// table holds all entries.
type table struct {
	enhanced map[uint32]*Entry // subject and detail
	reply    map[uint16]*Entry
}

func enhancedKey(subject, detail uint16) uint32 { return uint32(subject)<<16 | uint32(detail) }

var codes = sync.OnceValue(func() *table {
	t, err := parseTable()
	if err != nil {
		panic(err) // a test reads the embedded files
	}
	return t
})

func parseTable() (*table, error) {
	t := &table{enhanced: map[uint32]*Entry{}, reply: map[uint16]*Entry{}}
	blocks, err := parseBlocks(enhancedText)
	if err != nil {
		return nil, fmt.Errorf("enhanced.txt: %w", err)
	}
	for _, b := range blocks {
		e, ok := ParseEnhanced("5" + strings.TrimPrefix(b.name, "X"))
		if !ok {
			return nil, fmt.Errorf("enhanced.txt: line %d: no code %q", b.line, b.name)
		}
		t.enhanced[enhancedKey(e.Subject, e.Detail)] = newEntry(b)
	}
	blocks, err = parseBlocks(replyText)
	if err != nil {
		return nil, fmt.Errorf("reply.txt: %w", err)
	}
	for _, b := range blocks {
		n, err := strconv.ParseUint(b.name, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("reply.txt: line %d: no code %q", b.line, b.name)
		}
		t.reply[uint16(n)] = newEntry(b)
	}
	return t, nil
}

func newEntry(b block) *Entry {
	return &Entry{Code: b.name, Name: b.get("name"), Registered: b.get("iana"), Reason: Reason(b.get("reason")), Reference: b.get("ref")}
}

// tableTexts returns the data that decides where no rule does.
func tableTexts() []string { return []string{enhancedText, replyText} }

// enhancedReason returns the reason an enhanced code stands for, or its
// subject's general code when its detail is unknown (RFC 3463 section 2).
func enhancedReason(e Enhanced, provider string) Verdict {
	entry, ok := codes().enhanced[enhancedKey(e.Subject, e.Detail)]
	if !ok {
		entry, ok = codes().enhanced[enhancedKey(e.Subject, 0)]
	}
	if !ok || entry.Reason == "" || e.Class == 2 {
		return Verdict{}
	}
	return Verdict{entry.Reason, "code " + entry.Code}
}

// replyReason returns the reason a reply code stands for.
func replyReason(code uint16) Verdict {
	if entry, ok := codes().reply[code]; ok && entry.Reason != "" {
		return Verdict{entry.Reason, "code " + entry.Code}
	}
	return Verdict{}
}

// Brief returns one line that names a failing code and one line of advice, for
// a row of a report. The code's own name is used where it means what the
// classifier found, with the meaning that the provider gives it; else the
// reason's name, because codes mislead: 550 5.1.1 for a rate limit is no
// unknown user.
func Brief(reply uint16, enhanced Enhanced, provider string, reason Reason) (name, advice string) {
	info := reason.Info()
	name, advice = info.Name, info.Brief
	if entry, ok := codes().enhanced[enhancedKey(enhanced.Subject, enhanced.Detail)]; ok && !enhanced.IsZero() && entry.Reason == reason {
		name = entry.Name
	}
	return name, advice
}
