package anonymous

import (
	"strings"
	"testing"

	"mailfail/store/fleet"
)

// No column of any table lets a person through.
func TestRow(t *testing.T) {
	n := NewNames([]byte("key"), false)
	for _, table := range fleet.Tables {
		row := make(fleet.Row, len(table.Columns))
		persons := map[string]bool{"address": true, "account": true, "recipient": true, "message_id": true, "text": true, "signature": true, "addresses": true, "ids": true}
		for i, c := range table.Columns {
			switch {
			case persons[c.Name] && c.Type == fleet.Text:
				row[i].Text = "<joe.secret@a.test>"
			case c.Name == "sender" && table != fleet.Series && table != fleet.Submissions:
				row[i].Text = "joe.secret@a.test"
			default:
				row[i].Text = "mx.a.test"
			}
		}
		sent := n.Row(table, row)
		if sent == (table == fleet.Deliveries) {
			t.Errorf("%s: sent: %v", table.Name, sent)
		}
		for i, c := range table.Columns {
			if strings.Contains(row[i].Text, "secret") {
				t.Errorf("%s.%s: %s", table.Name, c.Name, row[i].Text)
			}
			if !persons[c.Name] && c.Name != "sender" && row[i].Text != "mx.a.test" {
				t.Errorf("%s.%s: %s, which is no person", table.Name, c.Name, row[i].Text)
			}
		}
	}
	empty := fleet.Row{1: {Null: true}, 6: {Null: true}, 12: {}}
	if n.Row(fleet.Messages, empty); empty[6].Text != "" {
		t.Errorf("an unknown sender became %q", empty[6].Text)
	}
}
