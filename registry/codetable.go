package registry

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed enhanced.txt
var enhancedText string

//go:embed reply.txt
var replyText string

//go:embed pseudo.txt
var pseudoText string

//go:embed vendor.csv
var vendorText string

// The kinds of entries.
const (
	KindReply    = "reply"    // 550
	KindEnhanced = "enhanced" // X.1.1
	KindPseudo   = "pseudo"   // no code: a phrase, or a number of a client
)

// Entry explains a code.
type Entry struct {
	Code        string // "550", "X.1.1", "X.1", "5xx", "connection-refused"
	Kind        string
	Name        string // a headline in plain words
	Registered  string // IANA's name of an enhanced code
	Standing    string // of a reply code: standard, extension, folk, vendor
	Reason      Reason // the reason of the code alone; "" when the code is unspecific
	Brief       string // one line of advice
	Meaning     string // what happened
	Cause       string // its usual cause
	Action      string // what the sender's postmaster can do
	Recipient   string // what the recipient's side can do
	Basic       string // reply codes that IANA lists beside an enhanced code
	Status      string // of a phrase: the enhanced code it belongs to
	Reference   string
	Notes       []string
	Unconfirmed bool // known only from unofficial sources

	rule string // names the entry in a Verdict
}

// Vendor is the meaning that one operator or product gives to a code.
type Vendor struct {
	Name        string // "Gmail", "Exchange Online", "Postfix"
	Provider    string // as Provider returns it; "" for software
	Code        string // as the vendor writes it: "421 4.7.28", "553 5.7.1 [BL21]", "4.7.500-699"
	Reason      Reason
	Meaning     string
	Cause       string
	Action      string
	Reference   string
	Unconfirmed bool

	reply    uint16 // 0: any reply code
	enhanced enhancedPattern
	coded    bool   // enhanced is set
	tag      string // the rest of Code, in lower case
	rule     string // names the row in a Verdict
}

// table is the registry's knowledge of codes.
type table struct {
	enhanced  map[uint32]*Entry // subject and detail
	subjects  [10]*Entry
	classes   [6]*Entry // of enhanced codes
	reply     map[uint16]*Entry
	replies   [6]*Entry // classes of reply codes
	pseudo    []*Entry
	phrases   *phrases
	phraseOf  []*Entry // phrase → entry
	vendors   []*Vendor
	byCode    map[uint32][]*Vendor // rows of one subject and detail
	byRange   []*Vendor
	byReply   map[uint16][]*Vendor // rows without an enhanced code
	order     []*Entry             // all entries, in the order of the files
	providers map[string]bool      // those that have vendor rows
}

func enhancedKey(subject, detail uint16) uint32 { return uint32(subject)<<16 | uint32(detail) }

var codes = sync.OnceValue(func() *table {
	t, err := parseTable()
	if err != nil {
		panic(err) // a test reads the embedded files
	}
	return t
})

// tableTexts returns the data that decides when no rule does.
func tableTexts() []string { return []string{enhancedText, replyText, vendorText, lexiconText} }

func parseTable() (*table, error) {
	t := &table{
		enhanced: map[uint32]*Entry{}, reply: map[uint16]*Entry{}, providers: map[string]bool{},
		byCode: map[uint32][]*Vendor{}, byReply: map[uint16][]*Vendor{},
	}
	for _, file := range []struct {
		name, text string
		add        func(*block, *Entry) error
	}{
		{"enhanced.txt", enhancedText, t.addEnhanced},
		{"reply.txt", replyText, t.addReply},
		{"pseudo.txt", pseudoText, func(_ *block, e *Entry) error {
			e.Kind = KindPseudo
			t.pseudo = append(t.pseudo, e)
			return nil
		}},
	} {
		blocks, err := parseBlocks(file.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.name, err)
		}
		for i := range blocks {
			b := &blocks[i]
			e, err := newEntry(b)
			if err == nil {
				err = file.add(b, e)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: line %d: %w", file.name, b.line, err)
			}
			e.rule = "code " + e.Code
			t.order = append(t.order, e)
		}
	}
	if err := t.indexPhrases(); err != nil {
		return nil, fmt.Errorf("pseudo.txt: %w", err)
	}
	return t, t.readVendors()
}

// newEntry reads a block. Fields that it lacks come from its reason.
func newEntry(b *block) (*Entry, error) {
	e := &Entry{Code: b.name}
	fields := map[string]*string{
		"name": &e.Name, "iana": &e.Registered, "kind": &e.Standing, "brief": &e.Brief, "what": &e.Meaning,
		"causes": &e.Cause, "action": &e.Action, "recipient": &e.Recipient, "basic": &e.Basic,
		"ref":    &e.Reference,
		"status": &e.Status,
	}
	for _, f := range b.fields {
		switch f.key {
		case "reason":
			e.Reason = Reason(f.value)
			if _, ok := reasonTable()[e.Reason]; !ok {
				return nil, fmt.Errorf("no reason %q", f.value)
			}
		case "note":
			e.Notes = append(e.Notes, f.value)
		case "unconfirmed":
			e.Unconfirmed = true
		case "match":
			e.Notes = append(e.Notes, "match "+f.value) // indexPhrases removes it
		default:
			p, ok := fields[f.key]
			if !ok {
				return nil, fmt.Errorf("%s: unknown field %q", b.name, f.key)
			}
			*p = f.value
		}
	}
	info := reasonTable()[e.Reason]
	if info == nil {
		info = reasonTable()["unknown"]
	}
	for p, value := range map[*string]string{&e.Brief: info.Brief, &e.Cause: info.Cause,
		&e.Action: info.Action, &e.Recipient: info.Recipient} {
		if *p == "" {
			*p = value
		}
	}
	return e, nil
}

func (t *table) addEnhanced(b *block, e *Entry) error {
	e.Kind = KindEnhanced
	n, _ := strconv.Atoi(b.name)
	switch b.kind {
	case "class":
		if n != 2 && n != 4 && n != 5 {
			return fmt.Errorf("no class %q", b.name)
		}
		e.Code = b.name + ".X.X"
		t.classes[n] = e
	case "subject":
		if len(b.name) != 1 || n > 7 {
			return fmt.Errorf("no subject %q", b.name)
		}
		e.Code = "X." + b.name + ".X"
		t.subjects[n] = e
	case "code":
		code, ok := ParseEnhanced("5" + strings.TrimPrefix(b.name, "X"))
		if !ok {
			return fmt.Errorf("no code %q", b.name)
		}
		t.enhanced[enhancedKey(code.Subject, code.Detail)] = e
	default:
		return fmt.Errorf("unknown %q", b.kind)
	}
	return nil
}

func (t *table) addReply(b *block, e *Entry) error {
	e.Kind = KindReply
	n, err := strconv.ParseUint(b.name, 10, 16)
	switch {
	case err != nil:
		return fmt.Errorf("no code %q", b.name)
	case b.kind == "class" && n >= 2 && n <= 5:
		e.Code = b.name + "xx"
		t.replies[n] = e
	case b.kind == "code":
		if n < 200 {
			e.Kind = KindPseudo
		}
		t.reply[uint16(n)] = e
	default:
		return fmt.Errorf("unknown %q", b.kind)
	}
	return nil
}

func (t *table) indexPhrases() error {
	var texts []string
	for _, e := range t.pseudo {
		value := strings.TrimPrefix(e.Notes[0], "match ")
		e.Notes = e.Notes[1:]
		for text := range strings.SplitSeq(value, "|") {
			texts = append(texts, string(appendFolded(nil, strings.TrimSpace(text))))
			t.phraseOf = append(t.phraseOf, e)
		}
	}
	var err error
	t.phrases, err = newPhrases(texts)
	return err
}

// vendorProviders maps vendors of vendor.csv to providers that have another name.
var vendorProviders = map[string]string{"Gmail": "Google", "Exchange Online": "Microsoft",
	"Outlook.com": "Microsoft", "Cisco ESA": "Cisco", "MessageLabs": "Broadcom"}

func (t *table) readVendors() error {
	rows, err := csv.NewReader(strings.NewReader(vendorText)).ReadAll()
	if err != nil {
		return fmt.Errorf("vendor.csv: %w", err)
	}
	known := map[string]bool{}
	for _, name := range providers() {
		known[name] = true
	}
	for i, row := range rows[1:] {
		if len(row) != 8 {
			return fmt.Errorf("vendor.csv: row %d: want 8 columns", i+2)
		}
		v := &Vendor{
			Name:        row[0],
			Code:        row[1],
			Reason:      Reason(row[2]),
			Meaning:     row[3],
			Cause:       row[4],
			Action:      row[5],
			Reference:   row[6],
			Unconfirmed: row[7] != "",
		}
		if _, ok := reasonTable()[v.Reason]; !ok && v.Reason != "" {
			return fmt.Errorf("vendor.csv: row %d: no reason %q", i+2, v.Reason)
		}
		if v.Provider = vendorProviders[v.Name]; v.Provider == "" && known[v.Name] {
			v.Provider = v.Name
		}
		v.parseCode()
		v.rule = "code " + v.Code + " of " + v.Name
		t.providers[v.Provider] = true
		t.vendors = append(t.vendors, v)
		switch {
		case !v.coded && v.reply == 0:
		case !v.coded:
			t.byReply[v.reply] = append(t.byReply[v.reply], v)
		case v.enhanced.lowDetail == v.enhanced.hiDetail && v.enhanced.subject >= 0:
			key := enhancedKey(uint16(v.enhanced.subject), v.enhanced.lowDetail)
			t.byCode[key] = append(t.byCode[key], v)
		default:
			t.byRange = append(t.byRange, v)
		}
	}
	return nil
}

// parseCode parses a vendor's spelling: a reply code, an enhanced code or a range of
// them, and the vendor's own tag. "defer (-53)" and "map 450 -> 4.2.0" are tags as a
// whole.
func (v *Vendor) parseCode() {
	words := strings.Fields(v.Code)
	var tag []string
	for i, word := range words {
		bare := strings.Trim(word, "(#)")
		if p, err := parseEnhancedPattern(bare); err == nil && (i < 2 || words[0] == "Status") &&
			p.class > 0 {
			v.enhanced, v.coded = p, true
			continue
		}
		if p, err := parseReplyPattern(word); i == 0 && err == nil && p.low == p.high {
			v.reply = p.low
			continue
		}
		tag = append(tag, word)
	}
	v.tag = strings.ToLower(strings.Trim(strings.Join(tag, " "), "[]()"))
	if words[0] == "defer" || words[0] == "map" || words[0] == "Status" {
		v.reply, v.coded, v.tag = 0, false, strings.ToLower(v.Code)
	}
}

// LookupEnhanced returns the entry of an enhanced code. For a detail that is not
// registered it returns the subject's general code, for an unknown subject X.0.0 (RFC
// 3463 section 2); exact is false then.
func LookupEnhanced(e Enhanced) (entry *Entry, exact bool) {
	t := codes()
	if entry, ok := t.enhanced[enhancedKey(e.Subject, e.Detail)]; ok {
		return entry, true
	}
	if entry, ok := t.enhanced[enhancedKey(e.Subject, 0)]; ok {
		return entry, false
	}
	return t.enhanced[0], false
}

// LookupReply returns the entry of a reply code. For a code that is not defined it
// returns the entry of the class, with exact false; for a number that is not a reply
// code, nil.
func LookupReply(code uint16) (entry *Entry, exact bool) {
	t := codes()
	if entry, ok := t.reply[code]; ok {
		return entry, true
	}
	if code >= 200 && code < 600 {
		return t.replies[code/100], false
	}
	return nil, false
}

// LookupClass returns the entry of a class of enhanced or of reply codes; nil when there
// is none.
func LookupClass(kind string, class int) *Entry {
	if class < 0 || class > 5 {
		return nil
	}
	if kind == KindReply {
		return codes().replies[class]
	}
	return codes().classes[class]
}

// LookupSubject returns the entry of a subject of enhanced codes, or nil.
func LookupSubject(subject int) *Entry {
	if subject < 0 || subject > 9 {
		return nil
	}
	return codes().subjects[subject]
}

// LookupPhrases returns the entries of the phrases in text.
func LookupPhrases(text string) []*Entry {
	t := codes()
	var found found
	t.phrases.find(appendFolded(nil, text), &found)
	var list []*Entry
	for i, e := range t.phraseOf {
		if found.has(uint16(i)) && !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	return list
}

// Entries returns all entries, in the order of the files.
func Entries() []*Entry { return slices.Clone(codes().order) }

// AllVendors returns all vendor meanings.
func AllVendors() []*Vendor { return slices.Clone(codes().vendors) }

// match reports whether the vendor's code matches these codes. The caller must look for a
// tag in the text.
func (v *Vendor) match(reply uint16, e Enhanced) bool {
	if v.reply != 0 && reply != 0 && v.reply != reply || v.reply != 0 && reply == 0 && !v.coded {
		return false
	}
	if v.coded {
		return v.enhanced.match(e)
	}
	return v.reply != 0
}

// Vendors returns the meanings that vendors give to a pair of codes, one of which may be
// missing. text, when given, is the reply: meanings that depend on a tag are returned
// only if text contains the tag, and meanings of a reply code alone only if there is no
// enhanced code.
func Vendors(reply uint16, e Enhanced, text string) []*Vendor {
	t := codes()
	folded := string(appendFolded(nil, text))
	var list []*Vendor
	add := func(v *Vendor) {
		if v.match(reply, e) && (v.tag == "" || text == "" || strings.Contains(folded, v.tag)) {
			list = append(list, v)
		}
	}
	if !e.IsZero() {
		for _, v := range t.byCode[enhancedKey(e.Subject, e.Detail)] {
			add(v)
		}
		for _, v := range t.byRange {
			add(v)
		}
	}
	for _, v := range t.byReply[reply] {
		if e.IsZero() || v.tag != "" && strings.Contains(folded, v.tag) {
			add(v)
		}
	}
	return list
}

// VendorsByTag returns the vendor rows without a code, like Exim's "defer (-53)", whose
// tag is in text.
func VendorsByTag(text string) []*Vendor {
	folded := string(appendFolded(nil, text))
	var list []*Vendor
	for _, v := range codes().vendors {
		if !v.coded && v.reply == 0 && v.tag != "" && strings.Contains(folded, v.tag) {
			list = append(list, v)
		}
	}
	return list
}

// providerVendor returns the provider's meaning of the codes, or nil. A row with the same
// reply code is preferred to one without.
func providerVendor(reply uint16, e Enhanced, provider string) *Vendor {
	t := codes()
	if provider == "" || !t.providers[provider] {
		return nil
	}
	list := t.byReply[reply]
	if !e.IsZero() {
		list = t.byCode[enhancedKey(e.Subject, e.Detail)]
	}
	var best *Vendor
	for _, v := range list {
		if v.Provider == provider && v.tag == "" && v.match(reply, e) &&
			(best == nil || v.reply == reply && best.reply != reply) {
			best = v
		}
	}
	if best != nil || e.IsZero() {
		return best
	}
	for _, v := range t.byRange {
		if v.Provider == provider && v.tag == "" && v.match(reply, e) {
			return v
		}
	}
	return nil
}

// ownCode returns the provider's meaning of a code of its own: the registry of codes does
// not have it, or has it with another meaning. Providers count up from the last
// registered details, X.1.10 and X.7.19.
func ownCode(f *Failure) Verdict {
	e := f.Enhanced
	if e.Class == 2 || e.Detail < 20 && !(e.Subject == 1 && e.Detail >= 10) {
		return Verdict{}
	}
	if v := providerVendor(f.Reply, e, f.Provider); v != nil && v.Reason != "" {
		return Verdict{v.Reason, v.rule, ByProvider, ConfidenceHigh}
	}
	if e.Subject == 7 && e.Detail >= 500 {
		// So far only Microsoft uses these numbers, whichever server passes them on.
		if v := inventor(f.Reply, e); v != nil && v.Reason != "policy" {
			return Verdict{v.Reason, v.rule, ByProvider, ConfidenceMedium}
		}
	}
	return Verdict{}
}

// inventor returns the row of the vendor that uses a code that is not registered, or nil.
func inventor(reply uint16, e Enhanced) *Vendor {
	for _, list := range [...][]*Vendor{codes().byCode[enhancedKey(e.Subject, e.Detail)], codes().byRange} {
		for _, v := range list {
			if v.Reason != "" && v.tag == "" && v.match(reply, e) {
				return v
			}
		}
	}
	return nil
}

// enhancedReason returns the reason of an enhanced code, as the provider uses it, and
// whether the code is specific: X.7.1 means any refusal, X.3.0 any trouble.
func enhancedReason(reply uint16, e Enhanced, provider string) (v Verdict, specific bool) {
	if e.Class == 2 || e.IsZero() {
		return Verdict{}, false
	}
	specific = e.Detail != 0 && !(e.Subject == 7 && e.Detail == 1) && e.Subject != 0
	if v := providerVendor(reply, e, provider); v != nil && v.Reason != "" {
		return Verdict{v.Reason, v.rule, ByProvider, ConfidenceMedium}, specific
	}
	entry, exact := LookupEnhanced(e)
	if !exact {
		// It is not registered, so a host that uses it means the same as its inventor:
		// Exchange Online's 5.7.606 passed on by another host.
		if v := inventor(reply, e); v != nil {
			return Verdict{v.Reason, v.rule, ByProvider, ConfidenceMedium}, true
		}
		specific = false
	}
	if entry.Reason == "" {
		return Verdict{}, false
	}
	return Verdict{entry.Reason, entry.rule, ByCode, ConfidenceMedium}, specific
}

// replyReason returns the reason of a reply code alone.
func replyReason(reply uint16, provider string) Verdict {
	if v := providerVendor(reply, Enhanced{}, provider); v != nil && v.Reason != "" {
		return Verdict{v.Reason, v.rule, ByProvider, ConfidenceLow}
	}
	if entry, _ := LookupReply(reply); entry != nil && entry.Reason != "" {
		return Verdict{entry.Reason, entry.rule, ByCode, ConfidenceLow}
	}
	return Verdict{}
}

// Brief returns one line that names a failing code and one line of advice, for a row of a
// report. If the provider's meaning or the code stands for the reason that the classifier
// found, it returns their name and advice, else those of the reason, because codes
// mislead: 550 5.1.1 for a rate limit is not an unknown user.
func Brief(reply uint16, enhanced Enhanced, provider string, reason Reason) (name, advice string) {
	info := reason.Info()
	if v := providerVendor(reply, enhanced, provider); v != nil && v.Reason == reason &&
		len(v.Meaning) <= maxBrief && len(v.Action) <= maxBrief {
		return v.Meaning, v.Action
	}
	var entry *Entry
	if enhanced.IsZero() {
		entry, _ = LookupReply(reply)
	} else {
		entry, _ = LookupEnhanced(enhanced)
	}
	if entry != nil && entry.Reason == reason {
		return entry.Name, entry.Brief
	}
	return info.Name, info.Brief
}

// maxBrief is the width of a report line that names a code, in bytes.
const maxBrief = 72

// VendorProvider returns the provider of a vendor in vendor.csv, "" for software.
func VendorProvider(vendor string) string {
	for _, v := range codes().vendors {
		if v.Name == vendor {
			return v.Provider
		}
	}
	return ""
}
