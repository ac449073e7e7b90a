package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"mailfail/registry"
	"mailfail/report/investigate"
	"mailfail/store"
	"mailfail/templates"
)

// Schema is the schema of the JSON report: fields are added within it, never
// renamed.
const Schema = "mailfail/report/1"

type jsonReport struct {
	Schema     string          `json:"schema"`
	Window     jsonWindow      `json:"window"`
	Covered    jsonCovered     `json:"covered"` // by the lines read
	Notes      []string        `json:"notes"`
	Totals     jsonTotals      `json:"totals"`
	Domains    []jsonDomain    `json:"domains"`
	Codes      []jsonCode      `json:"codes"`
	Rejections []jsonCode      `json:"rejections"`
	Hops       []jsonHop       `json:"connections"`
	Failed     []jsonFailed    `json:"failed"`
	PutOff     []jsonPutOff    `json:"put_off"`
	Unknown    []jsonUnknown   `json:"unknown"`
	Verdict    string          `json:"verdict"`
	Problems   any             `json:"problems"` // as the causes of mailfail investigate
	Before     *jsonPeriod     `json:"before"`   // the time before, null unknown
	Usual      *jsonPeriod     `json:"usual"`    // the median of earlier times, null unknown
	Reasons    []jsonReason    `json:"reasons"`
	System     []jsonSystem    `json:"system"`
	Directions []jsonDirection `json:"directions"`
	Accounts   []jsonAccount   `json:"accounts,omitempty"` // that submitted mail
	Clients    []jsonClient    `json:"clients,omitempty"`  // that were refused
	Lists      []jsonList      `json:"lists,omitempty"`    // because of which mail was refused
	Feedback   *jsonFeedbacks  `json:"feedback,omitempty"` // bounces and complaints
	// only when the report is about all mail of some hosts
	Volumes   []jsonVolume `json:"volumes,omitempty"`
	Senders   []jsonSender `json:"senders,omitempty"` // domains, by volume
	Addresses []jsonSender `json:"sender_addresses,omitempty"`
	By        []string     `json:"by,omitempty"`
	Groups    []jsonGroup  `json:"groups,omitempty"`
}

// jsonPeriod is an earlier time for comparison.
type jsonPeriod struct {
	jsonCounts
	Messages int64 `json:"messages"`
	Days     int   `json:"days,omitempty"` // how many days the median covers
}

func newJSONPeriod(p *Period) *jsonPeriod {
	if p == nil {
		return nil
	}
	return &jsonPeriod{counts(&p.Tally, false), p.Messages, p.Days}
}

// jsonSystem is a trouble that a mail system reports about itself.
type jsonSystem struct {
	Kind    string           `json:"kind"`
	Host    registry.Foreign `json:"host"`
	Service registry.Foreign `json:"service"`
	Text    registry.Foreign `json:"text"`
	Count   int64            `json:"count"`
	First   *string          `json:"first"`
	Last    *string          `json:"last"`
}

// jsonDirection counts the recipients elsewhere, and those of this server.
type jsonDirection struct {
	Direction registry.Foreign `json:"direction"`
	jsonCounts
	jsonTop
}

// system adds the troubles that the mail systems report about themselves, and the
// directions.
func (j *jsonReport) system(r *Report, n int) {
	for _, t := range top(r.System, n) {
		j.System = append(j.System, jsonSystem{t.Kind, t.Host, t.Service, t.Text, t.N, r.time(t.First),
			r.time(t.Last)})
	}
	for _, d := range r.Directions {
		by := []store.Dimension{store.ByDirection}
		j.Directions = append(j.Directions, jsonDirection{d.Values[0], r.countsOf(by, &d), r.tops(by, &d)})
	}
}

// jsonReason counts the recipients in trouble for a reason.
type jsonReason struct {
	Reason  string   `json:"reason"` // "" not tried yet
	Name    string   `json:"name"`
	Failed  int64    `json:"failed"`
	Waiting int64    `json:"waiting"`
	Codes   []string `json:"codes"`
	Advice  string   `json:"advice"`
}

// jsonProblem is a group of recipients in trouble.
type jsonProblem struct {
	Where      map[string]string  `json:"where"` // the dimensions that narrow it down
	Reason     string             `json:"reason"`
	Code       string             `json:"code"`
	Began      *string            `json:"began"`
	Last       *string            `json:"last"`
	Recipients int64              `json:"recipients"`
	Failed     int64              `json:"failed"`
	Waiting    int64              `json:"waiting"`
	Severity   string             `json:"severity"`
	Title      string             `json:"title"`
	Examples   []registry.Foreign `json:"examples"`
	Action     string             `json:"action"`
	Next       []string           `json:"next"`
}

// people adds the verdict, the problems, the earlier times, and the recipients in
// trouble by reason.
func (j *jsonReport) people(r *Report, n int) {
	plain := *r
	plain.Files = nil // the JSON must not depend on where the logs are
	c := &composer{Report: &plain}
	problems := c.problems()
	_, verdict := c.verdict(len(problems.Problems))
	j.Verdict = verdict.String()
	j.Before, j.Usual = newJSONPeriod(r.Before), newJSONPeriod(r.Usual)
	if r.trouble == nil {
		return
	}
	stuck := c.stuck()
	list := make([]jsonProblem, 0)
	for _, p := range stuck {
		list = append(list, jsonProblem{Where: map[string]string{}, Severity: p.Severity,
			Title: p.Title.String(), Action: p.Do, Examples: []registry.Foreign{}, Next: p.next()})
	}
	for i, k := range c.clusters {
		p := &problems.Problems[len(stuck)+i]
		first, last := k.span()
		problem := jsonProblem{
			Where:      map[string]string{},
			Reason:     k.cause().reason,
			Code:       k.cause().code,
			Began:      r.time(first),
			Last:       r.time(last),
			Recipients: k.all(),
			Failed:     k.failed,
			Waiting:    k.waiting,
			Severity:   p.Severity,
			Title:      p.Title.String(),
			Action:     p.Do,
			Examples:   append(make([]registry.Foreign, 0), p.Quote...),
			Next:       p.next(),
		}
		for _, w := range k.where {
			problem.Where[whereName(w.dimension)] = w.value
		}
		list = append(list, problem)
	}
	if j.Problems = list; r.Found != nil {
		found := r.Found.JSON()
		for _, p := range stuck {
			found = append(found, investigate.JSONProblem{Rank: len(found) + 1,
				Kind: investigate.UntriedMail, Severity: p.Severity, Title: p.Title.String(),
				Began: r.Window.Since, BeganEarliest: r.Window.Since, BeganLatest: r.end(),
				Action: p.Do, Examples: []registry.Foreign{}, Next: p.next()})
		}
		j.Problems = found
	}
	for _, p := range top(r.trouble.allBy(store.ByReason), n) {
		reason := jsonReason{Reason: p.name, Name: reasonName(p.name), Failed: p.failed, Waiting: p.waiting,
			Codes: make([]string, 0), Advice: c.advice(p.cause())}
		for _, code := range r.trouble.pilesBy(p.leaves, store.ByCode) {
			reason.Codes = append(reason.Codes, code.name)
		}
		j.Reasons = append(j.Reasons, reason)
	}
}

// next returns the commands to go on with.
func (p *Problem) next() []string {
	if p.See == "" {
		return []string{}
	}
	return []string{p.See}
}

// whereName returns the name of a dimension in the JSON of mailfail investigate.
func whereName(d store.Dimension) string {
	if d == store.BySender {
		return "sender_domain"
	}
	return string(d)
}

type jsonWindow struct {
	Since *string `json:"since"`
	Until *string `json:"until"`
}

type jsonCovered struct {
	First *string `json:"first"`
	Last  *string `json:"last"`
}

type jsonCounts struct {
	Recipients   int64    `json:"recipients"`
	Delivered    int64    `json:"delivered"`
	Bounced      int64    `json:"bounced"`
	Expired      int64    `json:"expired"`
	Removed      int64    `json:"removed"`
	Pending      int64    `json:"pending"`
	HandedOver   int64    `json:"handed_over"`
	Attempts     int64    `json:"attempts"`
	Deferrals    int64    `json:"deferrals"`
	Failures     int64    `json:"failures"`
	Suspended    int64    `json:"suspended"`
	Deferred     int64    `json:"deferred"`
	Rejected     int64    `json:"rejected"`
	ForNow       int64    `json:"rejected_temporary"`
	Waiting      int64    `json:"waiting"` // pending, and tried before or untried for long
	Trouble      int64    `json:"trouble"` // failed or waiting
	FailureRate  *float64 `json:"failure_rate"`
	DeferralRate *float64 `json:"deferral_rate"`
}

type jsonTotals struct {
	jsonCounts
	Messages   *int64    `json:"messages"`    // null when a filter selects only failures
	Accepted   int64     `json:"accepted"`    // messages that came into the queue
	Untried    int64     `json:"untried"`     // accepted messages without a later record
	OwnBounces int64     `json:"own_bounces"` // recipients
	Lines      jsonLines `json:"lines"`
}

type jsonLines struct {
	Read       int64 `json:"read"`
	Understood int64 `json:"understood"`
	Irrelevant int64 `json:"irrelevant"`
	Unparsed   int64 `json:"unparsed"`
}

type jsonTop struct {
	TopCode   *string `json:"top_code"`
	TopReason *string `json:"top_reason"`
}

type jsonDomain struct {
	Domain registry.Foreign `json:"domain"`
	jsonCounts
	jsonTop
}

type jsonCode struct {
	Code       string           `json:"code"`
	Reply      *int             `json:"reply"`
	Enhanced   *string          `json:"enhanced"`
	Name       string           `json:"name"`
	Reason     string           `json:"reason"`
	Advice     string           `json:"advice"`
	Attempts   int64            `json:"attempts"`
	Deferrals  int64            `json:"deferrals"`
	Failures   int64            `json:"failures"`
	Recipients int64            `json:"recipients"`
	Domains    int64            `json:"domains"`
	Clients    *int64           `json:"clients,omitempty"` // of rejections
	FirstSeen  string           `json:"first_seen"`
	LastSeen   string           `json:"last_seen"`
	Example    registry.Foreign `json:"example"`
}

// jsonFailed are recipients that failed permanently, by their last failure.
type jsonFailed struct {
	jsonCause
	Recipients int64 `json:"recipients"`
	jsonPlace
}

// jsonPutOff counts temporary failures.
type jsonPutOff struct {
	jsonCause
	Deferrals int64 `json:"deferrals"`
	jsonPlace
}

// jsonHop counts the connections to a next hop. The fields about failures describe
// those with the most frequent code and reason.
type jsonHop struct {
	NextHop     registry.Foreign `json:"next_hop"`
	Connections *int64           `json:"connections"` // null when a filter selects only failures
	Failed      int64            `json:"failed"`
	Messages    *int64           `json:"messages"` // likewise
	TopCode     *string          `json:"top_code"`
	TopReason   *string          `json:"top_reason"`
	Name        string           `json:"name"`
	Advice      string           `json:"advice"`
	FirstSeen   *string          `json:"first_seen"` // of failures
	LastSeen    *string          `json:"last_seen"`
	Example     registry.Foreign `json:"example"`
}

func (r *Report) jsonHop(h *store.Hop) jsonHop {
	j := jsonHop{NextHop: h.Name, Failed: h.Failed, FirstSeen: r.time(h.First), LastSeen: r.time(h.Last),
		Example: h.Example}
	if !r.ofCause(nil) {
		j.Connections, j.Messages = &h.Connections, &h.Messages
	}
	if h.Failed > 0 {
		j.TopCode, j.TopReason = &h.Code, &h.Reason
		j.Name, j.Advice = meaning(h.Reply, h.Enhanced, h.Provider, h.Reason)
	}
	return j
}

type jsonCause struct {
	Code     string  `json:"code"`
	Reply    *int    `json:"reply"`
	Enhanced *string `json:"enhanced"`
	Name     string  `json:"name"`
	Reason   string  `json:"reason"`
	Advice   string  `json:"advice"`
}

type jsonPlace struct {
	Domains   int64            `json:"domains"`
	TopDomain registry.Foreign `json:"top_domain"`
}

// causeOf describes the cause of recipients that have this state now.
func causeOf(c *store.CauseRow, state registry.State) jsonCause {
	name, _ := meaning(c.Reply, c.Enhanced, c.Provider, c.Reason)
	line := advice(registry.Reason(c.Reason), registry.Situation{Provider: c.Provider.Raw(), State: state})
	return jsonCause{c.Code, given(c.Reply), given(c.Enhanced), name, c.Reason, line}
}

type jsonUnknown struct {
	Signature registry.Foreign `json:"signature"`
	Code      string           `json:"code"`
	Attempts  int64            `json:"attempts"`
	Example   registry.Foreign `json:"example"`
}

// jsonGroup is a row whose first fields are the dimensions.
type jsonGroup struct {
	dims   []store.Dimension
	values []registry.Foreign
	rest   any
}

// MarshalJSON writes the dimensions before the numbers.
func (g jsonGroup) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, d := range g.dims {
		v, err := json.Marshal(g.values[i])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s,", d, v)
	}
	rest, err := json.Marshal(g.rest)
	if err != nil {
		return nil, err
	}
	b.Write(rest[1:])
	return b.Bytes(), nil
}

// WriteJSON writes the report as JSON, with no more than n rows a table (0:
// all).
func (r *Report) WriteJSON(w io.Writer, n int) error {
	j := jsonReport{
		Schema:     Schema,
		Notes:      append([]string{}, r.Notes...),
		Window:     jsonWindow{r.time(r.Window.Since), r.time(r.Window.Until)},
		Covered:    jsonCovered{r.time(r.FirstLine), r.time(r.LastLine)},
		Totals:     r.jsonTotals(),
		Domains:    make([]jsonDomain, 0),
		Codes:      r.jsonCodes(r.Codes, n, false),
		Rejections: r.jsonCodes(r.Rejections, n, true),
		Unknown:    make([]jsonUnknown, 0),
		Problems:   make([]jsonProblem, 0),
		Reasons:    make([]jsonReason, 0),
		System:     make([]jsonSystem, 0),
		Directions: make([]jsonDirection, 0),
		Failed:     make([]jsonFailed, 0),
		PutOff:     make([]jsonPutOff, 0),
		Hops:       make([]jsonHop, 0),
	}
	j.people(r, n)
	j.system(r, n)
	j.Accounts, j.Clients, j.Lists, j.Feedback = r.jsonAccounts(n), r.jsonClients(n), r.jsonLists(n),
		r.jsonFeedbacks(n)
	j.Volumes, j.Senders, j.Addresses = r.jsonVolumes(), jsonSenders(r.Volumed, n),
		jsonSenders(r.Addresses, n)
	domains := slices.Clone(r.Domains)
	(&composer{Report: r}).byTrouble([]store.Dimension{store.ByDomain}, domains)
	for _, h := range top(r.Hops, n) {
		j.Hops = append(j.Hops, r.jsonHop(&h))
	}
	for _, d := range top(domains, n) {
		by := []store.Dimension{store.ByDomain}
		j.Domains = append(j.Domains, jsonDomain{d.Values[0], r.countsOf(by, &d), r.tops(by, &d)})
	}
	for _, f := range top(r.Failed, n) {
		j.Failed = append(j.Failed, jsonFailed{causeOf(&f, registry.StateBounced), f.N,
			jsonPlace{f.Domains, f.TopDomain}})
	}
	for _, f := range top(r.PutOff, n) {
		j.PutOff = append(j.PutOff, jsonPutOff{causeOf(&f, registry.StatePending), f.N,
			jsonPlace{f.Domains, f.TopDomain}})
	}
	for _, u := range top(r.Unknown, n) {
		j.Unknown = append(j.Unknown, jsonUnknown(u))
	}
	for _, d := range r.By {
		j.By = append(j.By, string(d))
	}
	for _, g := range top(r.Groups, n) {
		j.Groups = append(j.Groups, jsonGroup{r.By, g.Values, struct {
			jsonCounts
			jsonTop
		}{r.countsOf(r.By, &g), r.tops(r.By, &g)}})
	}
	return templates.WriteJSON(w, j, "  ")
}

func (r *Report) jsonTotals() jsonTotals {
	t := jsonTotals{jsonCounts: counts(&r.Totals, r.ofCause(nil)), Accepted: r.Accepted, Untried: r.Untried,
		OwnBounces: r.OwnBounces.Recipients, Lines: jsonLines(r.Lines)}
	if r.trouble != nil && !r.ofCause(nil) {
		t.Waiting = r.trouble.nWaiting
		t.Trouble = t.Bounced + t.Expired + t.Waiting
	}
	if !r.ofCause(nil) {
		t.Messages = &r.Messages
	}
	return t
}

func counts(t *store.Tally, ofCause bool) jsonCounts {
	failure, deferral := rates(t, ofCause)
	return jsonCounts{
		Recipients:   t.Recipients,
		Delivered:    t.Delivered,
		Bounced:      t.Bounced,
		Expired:      t.Expired,
		Removed:      t.Removed,
		Pending:      t.Pending,
		HandedOver:   t.HandedOver,
		Attempts:     t.Attempts,
		Deferrals:    t.Deferrals,
		Failures:     t.Failures,
		Suspended:    t.Suspended,
		Deferred:     t.Deferred,
		Rejected:     t.Rejected,
		ForNow:       t.RejectedTemporary,
		Waiting:      t.Pending,
		Trouble:      t.Bounced + t.Expired + t.Pending,
		FailureRate:  failure,
		DeferralRate: deferral,
	}
}

// countsOf returns the counts of a row, including the recipients that wait.
func (r *Report) countsOf(dims []store.Dimension, g *store.Group) jsonCounts {
	j := counts(&g.Tally, r.ofCause(dims))
	var failed int64
	failed, j.Waiting = r.inTrouble(dims, g)
	j.Trouble = failed + j.Waiting
	return j
}

// tops returns the code and the reason of a row: those of the recipients that failed or
// wait when these are known, else those of the failing attempts.
func (r *Report) tops(dims []store.Dimension, g *store.Group) jsonTop {
	if l := r.causeOf(dims, g.Values); l != nil {
		return jsonTop{&l.code, &l.reason}
	}
	if !g.HasTop {
		return jsonTop{}
	}
	return jsonTop{&g.TopCode, &g.TopReason}
}

func (r *Report) jsonCodes(rows []store.CodeRow, n int, rejections bool) []jsonCode {
	list := make([]jsonCode, 0, len(top(rows, n)))
	for _, c := range top(rows, n) {
		j := jsonCode{
			Code:       c.Code,
			Reason:     c.Reason,
			Attempts:   c.Attempts,
			Deferrals:  c.Deferrals,
			Failures:   c.Attempts - c.Deferrals,
			Recipients: c.Recipients,
			Domains:    c.Domains,
			FirstSeen:  *r.time(c.First),
			LastSeen:   *r.time(c.Last),
			Example:    c.Example,
		}
		if rejections {
			j.Failures, j.Clients = 0, &c.Clients
		}
		j.Reply, j.Enhanced = given(c.Reply), given(c.Enhanced)
		j.Name, j.Advice = meaningOf(&c, rejections)
		list = append(list, j)
	}
	return list
}

// given returns a pointer to v, nil for the zero value, which means none.
func given[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}

// time formats a time, nil for none.
func (r *Report) time(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.In(r.location).Format(time.RFC3339)
	return &s
}
