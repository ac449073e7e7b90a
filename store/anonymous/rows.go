package anonymous

import (
	"slices"
	"strings"

	"mailfail/store/fleet"
)

// Row gives the values of a row pseudonyms before it leaves this host. Blocks of
// deliveries are not sent at all: of them nothing but persons is asked.
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

// totals gives pseudonyms to the values of totals, but for the names of instances.
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

// column returns what turns the values of a column into pseudonyms.
func (n *Names) column(t *fleet.Table, name string) func(string) string {
	switch name {
	case "address", "recipient", "account":
		return n.Address
	case "sender":
		if t == fleet.Series || t == fleet.Submissions { // its domain
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
	case "ids": // by them the host has found out what they are for
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
