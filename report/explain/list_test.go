package explain

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	"mailfail/registry"
)

func TestList(t *testing.T) {
	all := List(Filter{})
	if want := len(registry.Entries()) + len(registry.AllVendors()); len(all) != want {
		t.Errorf("%d rows, want %d", len(all), want)
	}
	tests := []struct {
		filter Filter
		has    string
		hasNot string
	}{
		{Filter{Class: "4"}, "421", "550"},
		{Filter{Class: "4"}, "X.1.1", "5.7.509"},
		{Filter{Subject: "7"}, "X.7.26", "X.1.1"},
		{Filter{Subject: "7"}, "421 4.7.28", "550"},
		{Filter{Vendor: "gmail"}, "421 4.7.28", "X.7.28"},
		{Filter{Reason: "greylisted"}, "greylisted", "X.1.1"},
		{Filter{Kind: "reason"}, "user-unknown", "550"},
		{Filter{Kind: "reply"}, "550", "X.1.1"},
	}
	for _, test := range tests {
		has, hasNot := false, false
		for _, r := range List(test.filter) {
			has = has || r.Code == test.has
			hasNot = hasNot || r.Code == test.hasNot
		}
		if !has || hasNot {
			t.Errorf("%+v: has %s: %v, has %s: %v", test.filter, test.has, has, test.hasNot, hasNot)
		}
	}
	if n := len(List(Filter{Kind: "reason"})); n != len(registry.Reasons()) {
		t.Errorf("%d reasons", n)
	}
}

func TestWriteList(t *testing.T) {
	rows := List(Filter{Subject: "7"})
	write := func(format string) string {
		var b strings.Builder
		if err := WriteList(&b, rows, format, 80); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for line := range strings.Lines(write("text")) {
		if len([]rune(line)) > 81 {
			t.Errorf("wide line %q", line)
		}
	}
	records, err := csv.NewReader(strings.NewReader(write("csv"))).ReadAll()
	if err != nil || len(records) != len(rows)+1 {
		t.Errorf("%d records, %v", len(records), err)
	}
	var m struct {
		Schema string
		Codes  []Row
	}
	if err := json.Unmarshal([]byte(write("json")), &m); err != nil || len(m.Codes) != len(rows) || m.Schema != "mailfail/codes/1" {
		t.Errorf("%d codes, %q, %v", len(m.Codes), m.Schema, err)
	}
	if n := strings.Count(write("markdown"), "\n"); n != len(rows)+2 {
		t.Errorf("%d lines of markdown", n)
	}
}
