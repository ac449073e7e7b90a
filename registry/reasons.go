package registry

import (
	_ "embed"
	"fmt"
	"slices"
	"sync"
)

//go:embed reasons.txt
var reasonsText string

// ReasonInfo explains a reason.
type ReasonInfo struct {
	Reason    Reason
	Group     string // kind of reason: address, mailbox, content …
	Name      string // a headline
	Incoming  string // the headline for mail that this server refuses
	Brief     string // one line of advice
	Meaning   string // what happened
	Cause     string // its usual cause
	Action    string // what the sender's postmaster can do
	Recipient string // what the recipient's side can do
}

var reasons = sync.OnceValue(func() []ReasonInfo {
	list, err := parseReasons(reasonsText)
	if err != nil {
		panic(err) // a test reads the embedded file
	}
	return list
})

var reasonTable = sync.OnceValue(func() map[Reason]*ReasonInfo {
	m := map[Reason]*ReasonInfo{}
	for i := range reasons() {
		m[reasons()[i].Reason] = &reasons()[i]
	}
	return m
})

func parseReasons(text string) ([]ReasonInfo, error) {
	blocks, err := parseBlocks(text)
	if err != nil {
		return nil, err
	}
	var list []ReasonInfo
	for _, b := range blocks {
		if b.kind != "reason" {
			return nil, fmt.Errorf("reasons: line %d: want \"reason NAME\"", b.line)
		}
		info := ReasonInfo{
			Reason:    Reason(b.name),
			Group:     b.get("group"),
			Name:      b.get("name"),
			Incoming:  b.get("incoming"),
			Brief:     b.get("brief"),
			Meaning:   b.get("what"),
			Cause:     b.get("causes"),
			Action:    b.get("action"),
			Recipient: b.get("recipient"),
		}
		if info.Incoming == "" {
			info.Incoming = info.Name
		}
		list = append(list, info)
	}
	return list, nil
}

// Reasons returns all reasons, those of a group together, "unknown" last.
func Reasons() []ReasonInfo { return slices.Clone(reasons()) }

// ReasonNames returns the names of all reasons, in the order of Reasons.
func ReasonNames() (names []string) {
	for _, r := range reasons() {
		names = append(names, string(r.Reason))
	}
	return names
}

// Info explains the reason. A reason that is not in the list has the explanation of
// "unknown", under its own name.
func (r Reason) Info() ReasonInfo {
	if info, ok := reasonTable()[r]; ok {
		return *info
	}
	info := *reasonTable()["unknown"]
	info.Reason = r
	return info
}
