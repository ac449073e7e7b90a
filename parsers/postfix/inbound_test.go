package postfix

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"mailfail/parsers"
	"mailfail/registry"
)

// An offer is one line of inject.jsonl: a message offered to Postfix, and
// what it answered; each answer is [code, text].
type offer struct {
	Scenario  string
	Mail      []any
	Data, Eod []any
	Rcpts     []struct{ Code int }
}

// refusals counts the answers that refused something, by stage and code. Of a
// refused message the log has the class of the enhanced code only.
func refusals(t *testing.T, name string) map[string]int {
	counts := map[string]int{}
	count := func(stage registry.Stage, code int) {
		if code >= 400 {
			counts[fmt.Sprint(stage, " ", code)]++
		}
	}
	code := func(answer []any) int {
		if len(answer) == 0 {
			return 0
		}
		c, _ := answer[0].(float64)
		return int(c)
	}
	for _, line := range readLines(t, name) {
		var o offer
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatal(err)
		}
		count(registry.StageMail, code(o.Mail))
		for _, r := range o.Rcpts {
			count(registry.StageRcpt, r.Code)
		}
		if c := max(code(o.Data), code(o.Eod)); c >= 400 {
			counts[fmt.Sprint(registry.StageEndOfData)]++
		}
	}
	return counts
}

// rawClient spoke no proper SMTP and is not in inject.jsonl.
const rawClient = "127.0.3.6"

// TestInbound compares the rejections of a log with what the clients were
// told. An address that is none is answered with 501, which the log leaves out.
func TestInbound(t *testing.T) {
	inject := filepath.Join(testdata, "inbound/inject.jsonl")
	want := refusals(t, inject)
	got := map[string]int{}
	s := newStream(t)
	for _, line := range readLines(t, filepath.Join(testdata, "inbound/mail.log")) {
		s.Parse(line, func(r *parsers.Record) {
			if r.Kind != parsers.Rejection || string(r.ClientIP) == rawClient {
				return
			}
			if len(r.Client)+len(r.ClientIP) == 0 && r.Stage != registry.StageEndOfData {
				t.Errorf("no client: %s", line)
			}
			key := fmt.Sprint(r.Stage, " ", r.Reply.Code)
			switch {
			case r.Stage == registry.StageEndOfData:
				key = fmt.Sprint(r.Stage)
			case parsers.Has(r.Reply.Text, "Illegal address syntax "):
				key = fmt.Sprint(r.Stage, " 501")
			}
			got[key]++
		})
	}
	keys := slices.Sorted(maps.Keys(want))
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			keys = append(keys, k)
		}
	}
	for _, k := range keys {
		if want[k] != got[k] {
			t.Errorf("%s: Postfix answered %d times, the log has %d", k, want[k], got[k])
		}
	}
}
