package registry

import (
	"strings"
	"testing"
)

// wordingsTried is how many of the texts of a wording the test tries, spread
// over all of them.
const wordingsTried = 200

// TestWordings tries the ways in which servers say a reason. Hardly any may be
// read wrongly: they are combined, so that some say what nobody does.
func TestWordings(t *testing.T) {
	wrong, all := 0, 0
	for _, l := range readLabelled(t, "wordings.txt") {
		texts := wordings(strings.TrimSpace(l.text))
		for i := 0; i < len(texts); i += 1 + len(texts)/wordingsTried {
			all++
			v := DefaultRules().Classify(FailureOf(texts[i], l.relay, l.stage))
			if v.Reason != l.want {
				wrong++
				t.Logf("%d: %s, classified as %s by %s (%v): %q", l.line, l.want, v.Reason, v.Rule, v.Confidence, texts[i])
			}
		}
	}
	t.Logf("%d of %d read wrongly", wrong, all)
	if all < 8_000 || wrong*500 > all {
		t.Errorf("%d of %d wordings are read wrongly, want at most 0.2 %%", wrong, all)
	}
}

// wordings returns the texts that a wording with alternatives stands for.
func wordings(text string) []string {
	before, rest, ok := strings.Cut(text, "(")
	if !ok {
		return []string{text}
	}
	alternatives, rest, _ := strings.Cut(rest, ")")
	var all []string
	for _, tail := range wordings(rest) {
		for alternative := range strings.SplitSeq(alternatives, "|") {
			all = append(all, before+alternative+tail)
		}
	}
	return all
}

func TestWordingsOf(t *testing.T) {
	got := strings.Join(wordings("(550|554 5.7.1) (no|bad) user"), ";")
	if want := "550 no user;554 5.7.1 no user;550 bad user;554 5.7.1 bad user"; got != want {
		t.Errorf("got %s", got)
	}
}
