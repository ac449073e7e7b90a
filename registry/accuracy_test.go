package registry

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// labelled is a reply with the reason that belongs to it.
type labelled struct {
	line   int
	want   Reason
	stage  Stage
	relay  string
	text   string
	failed Failure
}

// readLabelled reads one half of the labelled replies.
func readLabelled(t *testing.T, name string) (list []labelled) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	relay := ""
	for n, line := range strings.Split(string(data), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '=' {
			relay = strings.TrimSpace(line[1:])
			continue
		}
		label, text, _ := strings.Cut(line, " ")
		reason, stage, _ := strings.Cut(label, "@")
		l := labelled{line: n + 1, want: Reason(reason), relay: relay, text: text}
		if _, ok := reasonTable()[l.want]; !ok || text == "" {
			t.Fatalf("%s:%d: no reason or no text", name, n+1)
		}
		if i := slices.Index(stageNames[:], stage); i > 0 {
			l.stage = Stage(i)
		} else if stage != "" {
			t.Fatalf("%s:%d: no stage %q", name, n+1, stage)
		}
		l.failed = FailureOf(text, relay, l.stage)
		list = append(list, l)
	}
	return list
}

// The shares that must not get worse, in percent.
const (
	leastRules   = 99.0
	leastMeasure = 90.0
)

// TestAccuracy publishes how many of the labelled replies are given the reason
// that belongs to them, by reason, for the half that rules may be written from
// and the half that only measures:
//
//	go test ./registry -run Accuracy -v
func TestAccuracy(t *testing.T) {
	for _, half := range []struct {
		name  string
		least float64
	}{
		{"replies-rules.txt", leastRules},
		{"replies-measure.txt", leastMeasure},
	} {
		t.Run(strings.TrimSuffix(half.name, ".txt"), func(t *testing.T) {
			list := readLabelled(t, half.name)
			right, total := map[Reason]int{}, map[Reason]int{}
			for _, l := range list {
				total[l.want]++
				if v := DefaultRules().Classify(l.failed); v.Reason == l.want {
					right[l.want]++
				} else {
					t.Logf("%d: %s, classified as %s by %s (%v, %v): %q", l.line, l.want, v.Reason, v.Rule, v.DecidedBy, v.Confidence, l.text)
				}
			}
			sum := 0
			var table strings.Builder
			for _, info := range Reasons() {
				if n := total[info.Reason]; n > 0 {
					sum += right[info.Reason]
					fmt.Fprintf(&table, "%-20s %3d of %3d\n", info.Reason, right[info.Reason], n)
				}
			}
			share := 100 * float64(sum) / float64(len(list))
			t.Logf("%d of %d right, %.1f %%\n%s", sum, len(list), share, table.String())
			if share < half.least {
				t.Errorf("%.1f %% right, want %.1f %%", share, half.least)
			}
		})
	}
}

// TestReasonsPage checks that docs/reasons.md defines every reason, and that
// its examples are given the reason they stand under.
func TestReasonsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := map[Reason]int{}
	reason := Reason("")
	for line := range strings.Lines(string(page)) {
		line = strings.TrimRight(line, "\n")
		if name, ok := strings.CutPrefix(line, "## "); ok {
			reason = Reason(name)
			examples[reason] = 0
		}
		text, ok := strings.CutPrefix(line, "    ")
		if !ok {
			continue
		}
		examples[reason]++
		relay, stage := "", Stage(0)
		if i := strings.LastIndex(text, " ["); i > 0 && strings.HasSuffix(text, "]") {
			for word := range strings.SplitSeq(text[i+2:len(text)-1], ", ") {
				if n := slices.Index(stageNames[:], word); n > 0 {
					stage = Stage(n)
				} else {
					relay = word
				}
			}
			text = text[:i]
		}
		if v := DefaultRules().Classify(FailureOf(text, relay, stage)); v.Reason != reason {
			t.Errorf("%s: %q is %s by %s", reason, text, v.Reason, v.Rule)
		}
	}
	for _, info := range Reasons() {
		if n, ok := examples[info.Reason]; !ok || n < 3 {
			t.Errorf("%s has %d examples", info.Reason, n)
		}
	}
}
