package registry

import (
	"strconv"
	"strings"
	"testing"
)

// TestSeedCodes looks up every code that the lists of codes beside the checkout
// have. An enhanced code has to be known by itself or, where nobody registered
// it, to some vendor or under its subject.
func TestSeedCodes(t *testing.T) {
	n := 0
	for _, row := range sharedCSV(t, "seed-codes.csv") {
		code := row["canonical_code"]
		switch row["canonical_kind"] {
		case KindEnhanced:
			if strings.Contains(code, "YYY") {
				continue // classes and subjects: TestExplainEverything
			}
			class := code[:1]
			if class == "X" {
				class = "5"
			}
			e, ok := ParseEnhanced(class + code[1:])
			if !ok {
				t.Errorf("%s: no enhanced code %q", row["spelled"], code)
				continue
			}
			if entry, exact := LookupEnhanced(e); !exact && len(Vendors(0, e, "")) == 0 && entry.Name == "" {
				t.Errorf("%s: nothing is known of %s", row["spelled"], code)
			}
		case KindReply:
			reply, err := strconv.ParseUint(code, 10, 16)
			if err != nil {
				continue // a class
			}
			if entry, exact := LookupReply(uint16(reply)); entry == nil || !exact {
				t.Errorf("%s: nothing is known of %s", row["spelled"], code)
			}
		case KindPseudo:
			if _, ok := ParseEnhanced(code); !ok {
				continue // a number that is no code, as the file says
			}
			if v := DefaultRules().Classify(FailureOf(row["spelled"], "", StageUnknown)); v.Reason == "unknown" {
				t.Errorf("%q is unknown", row["spelled"])
			}
		}
		n++
	}
	if n < 250 {
		t.Errorf("%d codes and phrases looked up", n)
	}
}
