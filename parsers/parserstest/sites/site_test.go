package sites

import (
	"reflect"
	"slices"
	"testing"
)

// Every kind makes a site, the same one each time, whose incident happens on
// the last day and meets somebody.
func TestMake(t *testing.T) {
	for i, kind := range slices.Concat(Incidents, QuietDays) {
		t.Run(kind, func(t *testing.T) {
			if testing.Short() && i%3 > 0 {
				t.Skip("some kinds are enough for a quick run")
			}
			opt := Options{Seed: 3, Kind: kind, Messages: 600, Hosts: 2, Days: 3}
			s := Make(opt)
			if len(s.Messages) < 600 {
				t.Errorf("%d messages", len(s.Messages))
			}
			if !slices.IsSortedFunc(s.Messages, func(a, b *Message) int { return a.At.Compare(b.At) }) {
				t.Error("the messages are not in order of time")
			}
			truth := &s.Truth
			if truth.Incident != slices.Contains(Incidents, kind) || truth.Incident && (len(truth.Met) == 0 || len(truth.Where) == 0) {
				t.Errorf("truth %+v", truth)
			}
			if truth.Incident && (truth.Begin.Before(s.Last) || !truth.Begin.Before(s.End)) {
				t.Errorf("it begins at %s, on another day than %s", truth.Begin, s.Last)
			}
			if again := Make(opt); !reflect.DeepEqual(again.Truth.Where, truth.Where) || len(again.Messages) != len(s.Messages) {
				t.Error("another site the second time")
			}
		})
	}
}
