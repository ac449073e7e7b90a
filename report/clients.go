package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/templates"
)

// ByClient groups refusals by the client whose mail was refused, ByList by the block
// list that caused the refusal. Neither can be combined: only rejections have a client
// or a list.
const (
	ByClient store.Dimension = "client"
	ByList   store.Dimension = "list"
)

// Client is a client whose mail was refused, or a block list.
type Client struct {
	Name, IP    registry.Foreign // IP is "" for a block list
	Times       int64
	First, Last time.Time
	Code        string // Code and Reason of the most refusals
	Reason      string

	causes map[clientCause]int64
}

type clientCause struct{ code, reason string }

// mostClients bounds how many clients are distinguished; further ones are counted
// together.
const mostClients = 50_000

// clientOf returns the client or the block list that a refusal is counted by. ok is
// false when the report is by list and the refusal does not name a list.
func (r *Report) clientOf(e *store.Event) (c Client, ok bool) {
	if r.isBy(ByClient) {
		return Client{Name: e.Client, IP: e.ClientIP}, true
	}
	c.Name = registry.Foreign(strings.ToLower(registry.ListIn(e.Text.Raw())))
	return c, c.Name != "" || e.Reason == "blocklist"
}

// clients counts refusals by client, or by list.
func (r *Report) clients(ctx context.Context, q store.Reader) error {
	if !r.isBy(ByClient) && !r.isBy(ByList) {
		return nil
	}
	found := map[registry.Foreign]*Client{}
	others := int64(0)
	_, err := q.Events(ctx, r.Window, r.Filter, []string{"rejected"}, 0, func(e *store.Event) error {
		of, ok := r.clientOf(e)
		if !ok {
			return nil
		}
		key := cmp.Or(of.IP, of.Name)
		c := found[key]
		switch {
		case c == nil && len(found) >= mostClients:
			others += e.Times
			return nil
		case c == nil:
			c = &of
			c.First, c.causes = e.Time, map[clientCause]int64{}
			found[key] = c
		}
		c.Times, c.Last = c.Times+e.Times, e.Time
		c.causes[clientCause{e.Code(), e.Reason}] += e.Times
		return nil
	})
	if others > 0 {
		r.Notes = append(r.Notes,
			fmt.Sprintf("Only %s clients are counted separately; others were refused %s times.",
				templates.Count(mostClients), templates.Count(others)))
	}
	for _, c := range found {
		c.settle()
		r.Clients = append(r.Clients, *c)
	}
	slices.SortFunc(r.Clients, func(a, b Client) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Name, b.Name), cmp.Compare(a.IP, b.IP))
	})
	return err
}

// settle sets Code and Reason to those of the most frequent cause; of equally frequent
// causes the first in order.
func (c *Client) settle() {
	var most int64
	for k, n := range c.causes {
		if n > most || n == most &&
			cmp.Or(cmp.Compare(k.code, c.Code), cmp.Compare(k.reason, c.Reason)) < 0 {
			most, c.Code, c.Reason = n, k.code, k.reason
		}
	}
	c.causes = nil
}

// name returns the host name and its address.
func (c *Client) name() templates.Text {
	switch {
	case c.IP != "" && c.Name != "" && c.IP != c.Name:
		return templates.Say("%v[%v]", c.Name, c.IP)
	case c.IP != "":
		return templates.Name(c.IP)
	case c.Name != "":
		return templates.Name(c.Name)
	}
	return templates.Words("(unknown)")
}

// refusedClients is the table of clients whose mail was refused.
func (c *composer) refusedClients() Section {
	s, what := Section{ID: string(ByClient), Title: "Refused, by client"}, "client"
	if c.isBy(ByList) {
		s, what = Section{ID: string(ByList), Title: "Refused, by block list"}, "list"
	}
	if len(c.Clients) == 0 {
		return s
	}
	t := &Table{Columns: []Column{
		{Title: titleOfDimension(store.Dimension(what)), Name: true}, {Title: "Times", Number: true},
		{Title: "First"}, {Title: "Last"}, {Title: "Cause", Flex: true},
	}}
	for _, k := range top(c.Clients, c.rows(DefaultTop)) {
		cause := strings.TrimSpace(k.Code + " " + registry.Reason(k.Reason).Info().Incoming)
		t.Rows = append(t.Rows, Row{Cells: []templates.Text{
			k.name(), templates.Number(k.Times), templates.Words(c.clock(k.First)),
			templates.Words(c.clock(k.Last)),
			templates.Words(cause),
		}})
	}
	s.Table, s.More = t, more(len(c.Clients)-len(t.Rows), what)
	return s
}

func (r *Report) csvClients(c *csvWriter, n int) {
	if r.isBy(ByList) {
		c.row("list", "times", "first_seen", "last_seen", "top_code", "top_reason")
		for _, k := range top(r.Clients, n) {
			c.row(templates.CSV(k.Name), strconv.FormatInt(k.Times, 10), *r.time(k.First), *r.time(k.Last),
				templates.CSV(k.Code), k.Reason)
		}
		return
	}
	c.row("client", "client_ip", "times", "first_seen", "last_seen", "top_code", "top_reason")
	for _, k := range top(r.Clients, n) {
		c.row(templates.CSV(k.Name), templates.CSV(k.IP), strconv.FormatInt(k.Times, 10), *r.time(k.First),
			*r.time(k.Last),
			templates.CSV(k.Code), k.Reason)
	}
}

// jsonClient is a client whose mail was refused.
type jsonClient struct {
	Client    registry.Foreign `json:"client"`
	ClientIP  registry.Foreign `json:"client_ip"`
	Times     int64            `json:"times"`
	FirstSeen *string          `json:"first_seen"`
	LastSeen  *string          `json:"last_seen"`
	TopCode   string           `json:"top_code"`
	TopReason string           `json:"top_reason"`
}

// jsonList is a block list because of which mail was refused.
type jsonList struct {
	List      registry.Foreign `json:"list"` // "" when the reply does not name it
	Times     int64            `json:"times"`
	FirstSeen *string          `json:"first_seen"`
	LastSeen  *string          `json:"last_seen"`
	TopCode   string           `json:"top_code"`
	TopReason string           `json:"top_reason"`
}

func (r *Report) jsonLists(n int) (list []jsonList) {
	if !r.isBy(ByList) {
		return nil
	}
	for _, k := range top(r.Clients, n) {
		list = append(list, jsonList{k.Name, k.Times, r.time(k.First), r.time(k.Last), k.Code, k.Reason})
	}
	return list
}

func (r *Report) jsonClients(n int) (list []jsonClient) {
	if !r.isBy(ByClient) {
		return nil
	}
	for _, k := range top(r.Clients, n) {
		list = append(list, jsonClient{k.Name, k.IP, k.Times, r.time(k.First), r.time(k.Last),
			k.Code, k.Reason})
	}
	return list
}
