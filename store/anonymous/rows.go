package anonymous

import (
	"slices"
	"strings"

	"mailfail/store/fleet"
)

// Row puts pseudonyms into a row before it leaves this host, and reports whether the row
// may be sent. Blocks of deliveries may not: they serve only to find persons.
func (n *Names) Row(t *fleet.Table, row fleet.Row) bool {
	if t == fleet.Deliveries {
		return false
	}
	if t == fleet.Totals {
		n.totals(row)
		return true
	}
	for i, c := range t.Columns {
		if c.Type != fleet.Text && c.Type != fleet.MaybeText || row[i].Null {
			continue
		}
		row[i].Text = n.column(t, c.Name)(row[i].Text)
	}
	return true
}

// totals puts pseudonyms into the values of totals, except the names of instances.
func (n *Names) totals(row fleet.Row) {
	for i, value := range row[totalsValue].Texts {
		if row[totalsDimension].Ints[i] != fleet.TotalsOfInstances {
			row[totalsValue].Texts[i] = n.Name(value)
		}
	}
}

// Columns of totals.
var (
	totalsDimension = columnOf(fleet.Totals, "dimension")
	totalsValue     = columnOf(fleet.Totals, "value")
)

func columnOf(t *fleet.Table, name string) int {
	return slices.IndexFunc(t.Columns, func(c fleet.Column) bool { return c.Name == name })
}

// column returns the function that turns the values of a column into pseudonyms.
func (n *Names) column(t *fleet.Table, name string) func(string) string {
	switch name {
	case "address", "recipient", "account":
		return n.Address
	case "sender":
		if t == fleet.Series || t == fleet.Submissions { // the column holds only the domain
			return n.Name
		}
		return n.Address
	case "addresses":
		return func(s string) string {
			words := strings.Fields(s)
			for i := range words {
				words[i] = n.Address(words[i])
			}
			return strings.Join(words, " ")
		}
	case "ids": // the host has already used them to match the bounce
		return func(string) string { return "" }
	case "message_id":
		return n.messageID
	case "text", "signature":
		return func(s string) string { return n.Text(s) }
	case "host", "client", "client_ip", "ip", "domain", "sender_domain", "relay", "provider":
		return n.Name
	}
	return func(s string) string { return s }
}
