// Package explain explains what a code, a reply, a line of a log or a whole bounce
// message means, and what to do about it. It accepts typing errors in codes, and
// reports how it read them.
package explain

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"mailfail/parsers/dsn"
	"mailfail/registry"
)

// Schema names the form of the JSON answer.
const Schema = "mailfail/explain/1"

// Answer explains an input. Its JSON is a contract: fields are added, never
// renamed, within a schema number.
type Answer struct {
	Schema     string      `json:"schema"`
	Input      string      `json:"input"`
	Codes      []Code      `json:"codes"`
	Reason     *Reason     `json:"reason"`
	Tags       []Tag       `json:"tags,omitempty"`       // operators' own codes
	Contains   *Contains   `json:"contains,omitempty"`   // what the reply itself contains
	Recipients []Recipient `json:"recipients,omitempty"` // of a bounce message
	Trace      string      `json:"trace,omitempty"`      // a queue id for mailfail trace
	Notes      []string    `json:"notes,omitempty"`      // how the input was read
}

// Tag is a code of an operator's own, such as TSS04.
type Tag struct {
	Tag     string `json:"tag"`
	Vendor  string `json:"vendor"`
	Reason  string `json:"reason,omitempty"`
	Meaning string `json:"meaning"`
	Action  string `json:"action,omitempty"`
}

// Code explains one code or phrase.
type Code struct {
	Code        string   `json:"code"`
	Kind        string   `json:"kind"` // reply, enhanced, pseudo
	Name        string   `json:"name"`
	Class       string   `json:"class"` // success, intermediate, temporary, permanent; "" for a phrase
	Registered  string   `json:"registered_name,omitempty"`
	Standing    string   `json:"standing,omitempty"` // of a reply code: standard, extension, folk, vendor
	Meaning     string   `json:"meaning"`
	Cause       string   `json:"cause"`
	Action      string   `json:"action"`
	Recipient   string   `json:"recipient_action"`
	Reference   string   `json:"reference"`
	Unconfirmed bool     `json:"unconfirmed,omitempty"`
	Vendors     []Vendor `json:"vendors"`
	Notes       []string `json:"notes"`

	entry *registry.Entry
}

// Vendor is the meaning that one operator or product gives a code.
type Vendor struct {
	Vendor      string `json:"vendor"`
	Code        string `json:"code"`
	Meaning     string `json:"meaning"`
	Cause       string `json:"cause,omitempty"`
	Action      string `json:"action"`
	Unconfirmed bool   `json:"unconfirmed,omitempty"`
}

// Reason is the class a text or code is filed under, and why.
type Reason struct {
	Reason    string `json:"reason"`
	Group     string `json:"group"`
	Rule      string `json:"rule"`
	Name      string `json:"name"`
	Meaning   string `json:"meaning"`
	Cause     string `json:"cause"`
	Action    string `json:"action"`
	Recipient string `json:"recipient_action"`
	Provider  string `json:"provider,omitempty"` // that the text or the host names
	Advice    string `json:"advice"`             // one line, for this provider and this outcome

	DecidedBy    string `json:"decided_by"`             // text, code, stage, provider; "" for unknown
	Confidence   string `json:"confidence"`             // high, medium, low
	Disagreement string `json:"disagreement,omitempty"` // which applies when text and code disagree, and why
	Page         string `json:"page,omitempty"`         // the provider's own page about its replies

	Codes []string `json:"codes,omitempty"` // codes with this reason, when the input is its name
}

// Explainer explains with a set of rules.
type Explainer struct {
	Rules *registry.Rules
}

// Text explains a code, a phrase, a reply or a line of a log. The answer has
// no codes when the input holds none that is known; its reason may be unknown.
func (x *Explainer) Text(input string) *Answer {
	a := &Answer{Schema: Schema, Input: input, Codes: []Code{}}
	text := strings.Join(strings.Fields(input), " ")
	if x.code(a, text) || x.named(a, text) {
		return a
	}
	x.reply(a, text, said{})
	return a
}

// said holds what is known about a reply besides its text.
type said struct {
	host   string            // the server that sent the reply
	status registry.Enhanced // the status that the reporting system gave it
	state  registry.State    // of the recipient
}

// named explains an input that is the name of a reason, or an operator's tag.
func (x *Explainer) named(a *Answer, text string) bool {
	if tag := registry.LookupTag(text); tag != nil {
		a.Tags = append(a.Tags, newTag(tag, text))
		if tag.Reason != "" {
			x.verdict(a, registry.Failure{}, registry.Verdict{
				Reason:     tag.Reason,
				Rule:       "tag " + tag.Pattern,
				DecidedBy:  registry.ByProvider,
				Confidence: registry.ConfidenceHigh,
			}, registry.StatePending)
			a.Reason.Page = registry.Page(registry.VendorProvider(tag.Vendor))
		}
		return true
	}
	name := registry.Reason(strings.ToLower(text))
	if info := name.Info(); info.Reason != name || info.Name == registry.Reason("unknown").Info().Name &&
		name != "unknown" {
		return false
	}
	v := registry.Verdict{Reason: name, Rule: "the name of a reason"}
	x.verdict(a, registry.Failure{}, v, registry.StateBounced)
	for _, e := range registry.Entries() {
		if e.Reason == name && e.Kind != registry.KindPseudo {
			a.Reason.Codes = append(a.Reason.Codes, e.Code)
		}
	}
	return true
}

func newTag(t *registry.Tag, word string) Tag {
	return Tag{Tag: strings.Trim(word, "[]<>,;:. "), Vendor: t.Vendor, Reason: string(t.Reason),
		Meaning: t.Meaning, Action: t.Action}
}

// code explains an input that is nothing but a code, however it is spelled.
func (x *Explainer) code(a *Answer, text string) bool {
	bare := strings.ToUpper(strings.Trim(text, " \t\"'#()[]<>.,:;"))
	bare = labels().ReplaceAllString(bare, "")
	if entries := headings(bare); len(entries) > 0 {
		for _, e := range entries {
			a.add(e, "")
		}
		return true
	}
	reply, e, read, ok := readCode(bare)
	if !ok {
		return false
	}
	if read != "" {
		a.Notes = append(a.Notes, fmt.Sprintf("%q was read as %s.", text, read))
	}
	x.codes(a, reply, e, "", strings.HasPrefix(bare, "X"))
	state := registry.StatePending
	if max(reply/100, uint16(e.Class)) == 5 {
		state = registry.StateBounced
	}
	x.reason(a, registry.Failure{Reply: reply, Enhanced: e}, state)
	return true
}

// lazy returns a function that compiles a pattern at its first use: most runs of the
// program need none of them.
func lazy(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// labels matches words that people copy along with a code.
var labels = lazy(`^(?:(?:SMTP|ESMTP|ERROR|STATUS|CODE|REPLY|RESPONSE|DSN|NDR)[\s:=#(]*)+`)

// headings returns the entries of a class or a subject: 5xx, 5.X.X, X.7.
func headings(s string) []*registry.Entry {
	var list []*registry.Entry
	add := func(e *registry.Entry) {
		if e != nil {
			list = append(list, e)
		}
	}
	for part := range strings.SplitSeq(s, "/") {
		part = strings.TrimSpace(part)
		switch {
		case replyClass().MatchString(part):
			add(registry.LookupClass(registry.KindReply, int(part[0]-'0')))
		case enhancedClass().MatchString(part):
			class := registry.LookupClass(registry.KindEnhanced, int(part[0]-'0'))
			if class == nil { // 3.X.X: only replies have it
				class = registry.LookupClass(registry.KindReply, int(part[0]-'0'))
			}
			add(class)
		case subject().MatchString(part):
			add(registry.LookupSubject(int(part[2] - '0')))
		default:
			return nil
		}
	}
	return list
}

var (
	replyClass    = lazy(`^[2-5](?:XX|YZ|YY|\*\*?)$`)
	enhancedClass = lazy(`^[2-5]\.(?:X+|Y+|\*)(?:\.(?:X+|Y+|\*))?$`)
	subject       = lazy(`^[245X]\.[0-9](?:\.(?:X+|Y+|\*))?$`)

	replyOnly    = lazy(`^[1-5][0-9][0-9]$`)
	enhancedOnly = lazy(`^([1-5X])\.([0-9]{1,3})\.([0-9]{1,3})$`)
	both         = lazy(`^([2-5][0-9][0-9])[ \-.:,#(\[]*([245X]\.[0-9]{1,3}\.[0-9]{1,3})$`)
	// Typing errors: 5.71, 57.1, 5,7,1, 5-7-1, 5 7 1, 5..7.1, 5.07.1.
	runTogether = lazy(`^([245X])\.([0-9])([0-9]{1,2})$`)
	runLeft     = lazy(`^([245])([0-9])\.([0-9]{1,3})$`)
	separated   = lazy(`^([245X])[.,\-_ :;/]+([0-9]{1,3})[.,\-_ :;/]+([0-9]{1,3})$`)
	glued       = lazy(`^([2-5][0-9][0-9])([245]\.[0-9]{1,3}\.[0-9]{1,3})$`)
)

// digits replaces letters that people type for digits.
var digits = strings.NewReplacer("O", "0", "L", "1", "I", "1")

// readCode reads a code. read describes how the code was read when it was spelled in
// another way, else it is "". An X for the class is read as 5.
func readCode(s string) (reply uint16, e registry.Enhanced, read string, ok bool) {
	if m := both().FindStringSubmatch(s); m != nil {
		e, ok = parseX(m[2])
		return number(m[1]), e, "", ok
	}
	if replyOnly().MatchString(s) {
		_, known := registry.LookupReply(number(s))
		return number(s), e, "", known || s[0] > '1'
	}
	if enhancedOnly().MatchString(s) {
		if e, ok := parseX(s); ok {
			return 0, e, "", true
		}
		if code := strings.ReplaceAll(s, ".", ""); len(code) == 3 && (s[0] == '1' || s[0] == '3') {
			// 1.0.1, 3.5.4 in a list of error codes
			if _, known := registry.LookupReply(number(code)); known {
				return number(code), e, code + ", the reply or error number without the dots", true
			}
		}
	}
	if m := glued().FindStringSubmatch(s); m != nil {
		e, ok = parseX(m[2])
		return number(m[1]), e, m[1] + " " + m[2], ok
	}
	for _, form := range []*regexp.Regexp{runTogether(), runLeft(), separated()} {
		if m := form.FindStringSubmatch(s); m != nil {
			code := m[1] + "." + unpad(m[2]) + "." + unpad(m[3])
			if e, ok := parseX(code); ok {
				return 0, e, code, true
			}
		}
	}
	if t := digits.Replace(s); t != s && !strings.ContainsAny(t, "ABCDEFGHJKMNPQRSTUVWYZ") {
		if reply, e, read, ok := readCode(t); ok {
			if read == "" {
				read = registry.Code(reply, e)
			}
			return reply, e, read, true
		}
	}
	return 0, e, "", false
}

// parseX reads an enhanced code whose class may be X.
func parseX(s string) (registry.Enhanced, bool) {
	if strings.HasPrefix(s, "X") {
		s = "5" + s[1:]
	}
	return registry.ParseEnhanced(s)
}

func unpad(s string) string {
	if t := strings.TrimLeft(s, "0"); t != "" {
		return t
	}
	return "0"
}

func number(s string) uint16 {
	n, _ := strconv.ParseUint(s, 10, 16)
	return uint16(n)
}

// codes adds the entries of a reply code and an enhanced code, one of the two may be
// missing, and those of codes with the same digits: 571 is mostly 5.7.1, and a list
// with 4.2.1 may mean the reply 421.
func (x *Explainer) codes(a *Answer, reply uint16, e registry.Enhanced, text string, open bool) {
	if !e.IsZero() {
		entry, exact := registry.LookupEnhanced(e)
		code := e.String()
		if open {
			code = "X" + code[1:]
		}
		c := a.add(entry, code)
		if !exact {
			c.Notes = append([]string{fmt.Sprintf(
				"%s is not registered; this is %s, the general code of its subject, as RFC 3463 asks.", code,
				entry.Code)}, c.Notes...)
		}
		c.vendors(registry.Vendors(reply, e, text))
		if !exact && len(c.Vendors) > 0 {
			c.inventor(c.Vendors[0])
		}
	}
	if reply != 0 {
		entry, exact := registry.LookupReply(reply)
		if entry != nil {
			c := a.add(entry, strconv.Itoa(int(reply)))
			if !exact {
				c.Notes = append(
					[]string{fmt.Sprintf("No standard defines %d; this is its class, %s.", reply,
						entry.Code)}, c.Notes...)
			}
			if e.IsZero() {
				c.vendors(registry.Vendors(reply, e, text))
			}
		}
	}
	if reply != 0 && !e.IsZero() && int(reply/100) != int(e.Class) {
		a.Notes = append(a.Notes,
			fmt.Sprintf("The codes disagree: %d is %s, %s is %s. Most mail servers go by the first.",
				reply, class(strconv.Itoa(int(reply)), registry.KindReply), e,
				class(e.String(), registry.KindEnhanced)))
	}
	if text == "" {
		x.sameDigits(a, reply, e, open)
	}
}

// inventor gives an unregistered code the meaning that its vendor gives it.
func (c *Code) inventor(v Vendor) {
	c.Name = v.Meaning
	c.Meaning = v.Vendor + " uses it: " + strings.TrimSuffix(v.Meaning, ".") + "."
	if v.Cause != "" {
		c.Cause = v.Cause
	}
	if v.Action != "" {
		c.Action = v.Action
	}
}

// sameDigits adds the codes that an input may stand for when its dots were dropped or
// inserted.
func (x *Explainer) sameDigits(a *Answer, reply uint16, e registry.Enhanced, open bool) {
	if reply == 0 && !open && e.Subject < 10 && e.Detail < 10 {
		code := uint16(e.Class)*100 + e.Subject*10 + e.Detail
		if entry, exact := registry.LookupReply(code); exact && entry.Standing != "folk" {
			c := a.add(entry, entry.Code)
			c.Notes = append([]string{fmt.Sprintf(
				"Some lists write the reply %d as %s. By the standard %s means what is said above.", code, e,
				e)}, c.Notes...)
		}
	}
	if entry, exact := registry.LookupReply(reply); exact && e.IsZero() && entry.Standing == "folk" &&
		reply >= 400 {
		dotted := registry.Enhanced{Class: uint8(reply / 100), Subject: reply / 10 % 10, Detail: reply % 10}
		if general, known := registry.LookupEnhanced(dotted); known {
			c := a.add(general, dotted.String())
			c.Notes = append([]string{fmt.Sprintf("%d is mostly this status, written without its dots.",
				reply)},
				c.Notes...)
			c.vendors(registry.Vendors(0, dotted, ""))
		}
	}
}

// reply explains a text.
func (x *Explainer) reply(a *Answer, text string, by said) {
	quote := dsn.Quoted(text)
	r := registry.ParseReply([]byte(quote))
	if r.Code == 0 && r.Enhanced.IsZero() {
		if m := mentioned().FindStringSubmatch(text); m != nil {
			r.Code = number(m[1] + m[2])
			if i := strings.Index(text, m[0]); i >= 0 {
				rest := strings.TrimLeft(text[i+len(m[0]):], " :)")
				r.Enhanced, _ = registry.ScanEnhanced([]byte(rest))
			}
		} else if m := statusField().FindStringSubmatch(text); m != nil {
			r.Enhanced, _ = registry.ParseEnhanced(m[1])
		}
	}
	provider := registry.Provider(by.host)
	if named := namedProvider(text); named != "" && !registry.IsProvider(provider) {
		provider = named
	}
	if provider == "" && exchange().MatchString(quote) {
		provider = "Microsoft" // Exchange's meaning of the codes applies
	}
	x.codes(a, r.Code, r.Enhanced, text, false)
	if r.Code == 0 && r.Enhanced.IsZero() && !by.status.IsZero() {
		x.codes(a, 0, by.status, text, false)
	}
	if inner := registry.InnerReply([]byte(quote)); inner != nil {
		if i := registry.ParseReply(inner); i.Code != r.Code || i.Enhanced != r.Enhanced {
			a.Notes = append(a.Notes, fmt.Sprintf("The text passes on another server's reply: %s.",
				registry.Code(i.Code, i.Enhanced)))
			x.codes(a, i.Code, i.Enhanced, text, false)
		}
	}
	for _, e := range registry.LookupPhrases(text) {
		a.add(e, "")
		if code, ok := registry.ParseEnhanced(e.Status); ok && r.Code == 0 && r.Enhanced.IsZero() &&
			by.status.IsZero() {
			x.codes(a, 0, code, text, false)
		}
	}
	if len(a.Codes) == 0 {
		for _, v := range registry.VendorsByTag(text) {
			a.addTag(v)
		}
	}
	for _, found := range registry.FindTags(quote) {
		a.Tags = append(a.Tags, newTag(found.Tag, found.Word))
	}
	a.Contains = lift(text)
	if by.state == registry.StatePending && r.Code/100 == 5 {
		by.state = registry.StateBounced
	}
	x.reason(a, registry.Failure{
		Provider:  provider,
		Reply:     r.Code,
		Enhanced:  r.Enhanced,
		MTAStatus: by.status,
		Signature: string(registry.AppendSignature(nil, registry.Unwrap([]byte(quote)))),
		Stage:     stage(text),
	}, by.state)
}

// exchange finds Exchange's own names of what happened.
var exchange = lazy(`\b(?:RESOLVER|STOREDRV|SMTPSEND|ROUTING|QUEUE)\.[A-Z]`)

// mentioned finds a reply code that is not at the beginning of a text but
// behind a word that announces one: "SMTP Error (state 13): 503 …".
var mentioned = lazy(`(?i)\b(?:smtp|error|reply|response|status|code|message|responsecode)\b[^0-9]{0,12}(?:\(state [0-9]+\)\W*)?\b([2-5][0-9][0-9])\b|\b([2-5][0-9][0-9]) (?:error|reply)\b`)

// statusField finds a status in a line of a log or of a delivery report.
var statusField = lazy(`(?i)\b(?:status|dsn)\s*[:=]\s*([245]\.[0-9]{1,3}\.[0-9]{1,3})\b`)

// namedProvider returns the operator whose domain a text names, as replies do
// in links and host names.
func namedProvider(text string) string {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !isHostRune(r) }) {
		host := strings.Trim(word, ".-")
		if strings.Contains(host, "@") || !strings.Contains(host, ".") {
			continue
		}
		if p := registry.Provider(host); registry.IsProvider(p) {
			return p
		}
	}
	return ""
}

func isHostRune(r rune) bool {
	return r == '.' || r == '-' || r == '@' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z'
}

// reason classifies f and adds the verdict.
func (x *Explainer) reason(a *Answer, f registry.Failure, state registry.State) {
	v := x.Rules.Classify(f)
	if v.Reason == "unknown" && len(a.Codes) > 0 && a.Codes[0].entry.Reason != "" {
		v = registry.Verdict{
			Reason:     a.Codes[0].entry.Reason,
			Rule:       "phrase " + a.Codes[0].Code,
			DecidedBy:  registry.ByText,
			Confidence: registry.ConfidenceMedium,
		}
	}
	if f.Signature == "" && f.Enhanced.Class == 2 || f.Reply >= 200 && f.Reply < 400 {
		return // it is not a failure
	}
	x.verdict(a, f, v, state)
}

// verdict adds a verdict about f.
func (x *Explainer) verdict(a *Answer, f registry.Failure, v registry.Verdict, state registry.State) {
	info := v.Reason.Info()
	direction := registry.DirectionOutgoing
	if f.Stage == registry.StageLocal {
		direction = registry.DirectionLocal
	}
	a.Reason = &Reason{
		Reason:     string(v.Reason),
		Group:      info.Group,
		Rule:       v.Rule,
		Name:       info.Name,
		Meaning:    info.Meaning,
		Cause:      info.Cause,
		Action:     info.Action,
		Recipient:  info.Recipient,
		Provider:   f.Provider,
		DecidedBy:  v.DecidedBy.String(),
		Confidence: v.Confidence.String(),
		Page:       a.page(f.Provider),
		Advice: registry.Advice(v.Reason, registry.Situation{
			Provider:  f.Provider,
			Direction: direction,
			State:     state,
			DecidedBy: v.DecidedBy,
		}),
	}
	a.Reason.Disagreement = x.disagreement(f, v)
}

// page returns the page of the list that refused, or of the provider.
func (a *Answer) page(provider string) string {
	if a.Contains != nil && a.Contains.List != "" {
		if page := registry.Page(a.Contains.List); page != "" {
			return page
		}
	}
	return registry.Page(provider)
}

// disagreement describes which applies when the code of a reply and its words disagree,
// "" when they agree.
func (x *Explainer) disagreement(f registry.Failure, v registry.Verdict) string {
	code, specific := x.Rules.ByCode(f)
	if !specific || code.Reason == v.Reason || f.Signature == "" {
		return ""
	}
	name := code.Reason.Info().Name
	by := "the words of the reply hold, because codes are often chosen carelessly"
	switch v.DecidedBy {
	case registry.ByStage:
		by = "the stage at which it failed holds: " + stageRule(f.Stage)
	case registry.ByProvider:
		by = "what the provider itself means by it holds"
	case registry.ByCode:
		by = "the reply that is passed on holds, because it is the cause"
	}
	e := f.Enhanced
	if e.IsZero() && f.Reply == 0 {
		e = f.MTAStatus
	}
	return fmt.Sprintf("The code %s alone would say %q (%s); %s.", registry.Code(f.Reply, e), name,
		code.Reason, by)
}

// stageRule describes what a server knows at a stage.
func stageRule(s registry.Stage) string {
	switch {
	case s < registry.StageMail:
		return "before MAIL FROM only the client is known"
	case s == registry.StageMail:
		return "before RCPT TO nothing is about the recipient"
	}
	return "before DATA nothing is about the message"
}

// stage finds the point of the dialogue that a log or a bounce names.
func stage(text string) registry.Stage {
	for _, s := range []struct {
		words string
		stage registry.Stage
	}{
		{"my name was rejected", registry.StageEHLO}, {"does not like recipient", registry.StageRcpt}, {"failed after I sent the message", registry.StageEndOfData}, // qmail
		{"after initial connection", registry.StageConnect}, {"refused to talk to me", registry.StageBanner},
		{"after EHLO", registry.StageEHLO}, {"after HELO", registry.StageEHLO},
		{"in reply to EHLO", registry.StageEHLO}, {"in reply to HELO", registry.StageEHLO},
		{"after MAIL FROM", registry.StageMail}, {"in reply to MAIL FROM", registry.StageMail},
		{"after RCPT TO", registry.StageRcpt}, {"in reply to RCPT TO", registry.StageRcpt},
		{"end of data", registry.StageEndOfData}, {"end of DATA", registry.StageEndOfData},
		{"after DATA", registry.StageData}, {"in reply to DATA", registry.StageData},
	} {
		if strings.Contains(text, s.words) {
			return s.stage
		}
	}
	return registry.StageUnknown
}

// add adds an entry, once. code is its spelling in the input, "" for that of the entry.
func (a *Answer) add(e *registry.Entry, code string) *Code {
	if code == "" {
		code = e.Code
	}
	for i := range a.Codes {
		if a.Codes[i].Code == code && a.Codes[i].Kind == e.Kind {
			return &a.Codes[i]
		}
	}
	a.Codes = append(a.Codes, Code{
		Code:        code,
		Kind:        e.Kind,
		Name:        e.Name,
		Class:       class(code, e.Kind),
		Registered:  e.Registered,
		Standing:    e.Standing,
		Meaning:     e.Meaning,
		Cause:       e.Cause,
		Action:      e.Action,
		Recipient:   e.Recipient,
		Reference:   e.Reference,
		Unconfirmed: e.Unconfirmed,
		Vendors:     []Vendor{},
		Notes:       slices.Clone(e.Notes),
		entry:       e,
	})
	c := &a.Codes[len(a.Codes)-1]
	if c.Notes == nil {
		c.Notes = []string{}
	}
	return c
}

// addTag adds a vendor's own name of a failure, such as Exim's defer (-53).
func (a *Answer) addTag(v *registry.Vendor) {
	info := v.Reason.Info()
	e := &registry.Entry{
		Code:        v.Name + " " + v.Code,
		Kind:        registry.KindPseudo,
		Name:        v.Meaning,
		Reason:      v.Reason,
		Meaning:     v.Meaning,
		Cause:       v.Cause,
		Action:      v.Action,
		Recipient:   info.Recipient,
		Reference:   v.Reference,
		Unconfirmed: v.Unconfirmed,
	}
	a.add(e, "")
}

func (c *Code) vendors(list []*registry.Vendor) {
	if len(c.Vendors) > 0 { // the code occurs twice
		return
	}
	for _, v := range list {
		c.Vendors = append(c.Vendors, Vendor{
			Vendor:      v.Name,
			Code:        v.Code,
			Meaning:     v.Meaning,
			Cause:       v.Cause,
			Action:      v.Action,
			Unconfirmed: v.Unconfirmed,
		})
	}
}

// class returns the meaning of the first digit in a word.
func class(code, kind string) string {
	if kind == registry.KindPseudo || code == "" {
		return ""
	}
	switch code[0] {
	case '2':
		return "success"
	case '3':
		return "intermediate"
	case '4':
		return "temporary"
	case '5':
		return "permanent"
	}
	return "" // X: the class is open
}

// IsCode reports whether an input is nothing but a code, however it is
// spelled, a reason or an operator's tag.
func IsCode(input string) bool {
	x := Explainer{Rules: registry.DefaultRules()}
	text := strings.Join(strings.Fields(input), " ")
	return x.code(&Answer{}, text) || x.named(&Answer{}, text)
}
