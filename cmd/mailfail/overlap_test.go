package main

import (
	"slices"
	"testing"

	"mailfail/parsers"
	_ "mailfail/parsers/all"
	"mailfail/store"
)

// TestOverlaps compares what formats say of each other with what a store leaves out:
// it knows the formats by name only.
func TestOverlaps(t *testing.T) {
	want := []string{
		store.BouncesFormat + " attempt " + parsers.AnyLog,
		store.SendFormat + " attempt " + store.TrackingFormat,
		store.SendFormat + " connection " + store.ConnectivityFormat,
	}
	var got []string
	for _, f := range parsers.Formats() {
		for _, o := range f.Overlaps {
			got = append(got, f.Name+" "+o.Kind.String()+" "+o.Format)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("formats say %q, the store leaves out %q", got, want)
	}
}
