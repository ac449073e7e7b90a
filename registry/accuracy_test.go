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

// labelledSets are the labelled replies and the shares that must not get
// worse, in percent: the part that rules may be written from, the part that
// only measures, and batches that were labelled before the rules were run on
// them.
var labelledSets = []struct {
	name  string
	least float64
}{
	{"replies-rules.txt", 99.0},
	{"replies-measure.txt", 95.0},
	{"replies-batch-1.txt", 99.0},
	{"replies-batch-2.txt", 96.0},
	{"replies-batch-3.txt", 96.0},
	{"replies-batch-4.txt", 97.0},
	{"replies-batch-5.txt", 96.0},
	{"replies-batch-6.txt", 97.0},
	{"replies-batch-7.txt", 95.0},
	{"replies-batch-8.txt", 97.0},
	{"replies-batch-9.txt", 97.0},
	{"replies-batch-10.txt", 97.0},
	{"replies-batch-11.txt", 96.0},
	{"replies-batch-12.txt", 96.0},
	{"replies-batch-13.txt", 95.0},
	{"replies-batch-14.txt", 94.0},
	{"replies-batch-15.txt", 92.0},
	{"replies-batch-16.txt", 96.0},
	{"replies-batch-17.txt", 93.0},
	{"replies-batch-18.txt", 93.0},
	{"replies-kinds.txt", 99.0},
}

// TestAccuracy publishes how many of the labelled replies are given the reason
// that belongs to them, by set, by reason and by confidence:
//
//	go test ./registry -run Accuracy -v
func TestAccuracy(t *testing.T) {
	var grades [4]share
	for _, set := range labelledSets {
		t.Run(strings.TrimSuffix(set.name, ".txt"), func(t *testing.T) {
			reasons := map[Reason]share{}
			var all share
			for _, l := range readLabelled(t, set.name) {
				v := DefaultRules().Classify(l.failed)
				right := v.Reason == l.want
				reasons[l.want] = reasons[l.want].plus(right)
				grades[v.Confidence] = grades[v.Confidence].plus(right)
				all = all.plus(right)
				if !right {
					t.Logf("%d: %s, classified as %s by %s (%v, %v): %q", l.line, l.want, v.Reason, v.Rule, v.DecidedBy, v.Confidence, l.text)
				}
			}
			var table strings.Builder
			for _, info := range Reasons() {
				if s := reasons[info.Reason]; s.of > 0 {
					fmt.Fprintf(&table, "%-20s %v\n", info.Reason, s)
				}
			}
			t.Logf("%v right\n%s", all, table.String())
			if all.percent() < set.least {
				t.Errorf("%v right, want %.1f %%", all, set.least)
			}
		})
	}
	for c := ConfidenceLow; c <= ConfidenceHigh; c++ {
		t.Logf("confidence %v: %v right", c, grades[c])
	}
	if grades[ConfidenceHigh].percent() < 97 || grades[ConfidenceMedium].percent() <= grades[ConfidenceLow].percent() {
		t.Error("the confidence does not say how sure an answer is")
	}
}

// share counts how many of some are right.
type share struct{ right, of int }

func (s share) plus(right bool) share {
	if right {
		s.right++
	}
	s.of++
	return s
}

func (s share) percent() float64 { return 100 * float64(s.right) / float64(max(s.of, 1)) }

func (s share) String() string { return fmt.Sprintf("%d of %d, %.1f %%", s.right, s.of, s.percent()) }

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

// TestStages checks over all labelled replies and all stages that before RCPT TO
// nothing is about the recipient, and before DATA nothing about the message.
func TestStages(t *testing.T) {
	aboutRecipient := map[Reason]bool{"user-unknown": true, "moved": true, "bad-address": true, "mailbox-full": true, "mailbox-disabled": true, "restricted": true}
	aboutMessage := map[Reason]bool{"spam-content": true, "virus": true}
	for _, set := range labelledSets {
		for _, l := range readLabelled(t, set.name) {
			if l.failed.Reply == 0 {
				continue // no server said it
			}
			for stage := StageConnect; stage <= StageRcpt; stage++ {
				f := l.failed
				f.Stage = stage
				if v := DefaultRules().Classify(f); aboutMessage[v.Reason] || stage < StageRcpt && aboutRecipient[v.Reason] {
					t.Errorf("%s:%d: %s at stage %v by %s: %q", set.name, l.line, v.Reason, stage, v.Rule, l.text)
				}
			}
		}
	}
}

// TestNothingIsUnknown has texts that say nothing: no rule may guess, and what
// a code says of them is not sure.
func TestNothingIsUnknown(t *testing.T) {
	tests := []struct {
		text string
		want Reason
		most Confidence
	}{
		{"550 zork grue", "unknown", ConfidenceLow},
		{"554 5.0.0 E-4711", "unknown", ConfidenceLow},
		{"571", "policy", ConfidenceLow},
		{"550 5.7.1 qx", "policy", ConfidenceLow},
		{"451 qx", "system", ConfidenceLow},
		{"550 5.1.1 qx", "user-unknown", ConfidenceMedium},
		{"550 see our web page", "unknown", ConfidenceLow},
		{"550 please read the mail of the postmaster", "unknown", ConfidenceLow},
	}
	for _, test := range tests {
		v := DefaultRules().Classify(FailureOf(test.text, "", StageUnknown))
		if v.Reason != test.want || v.Confidence > test.most || v.DecidedBy == ByText {
			t.Errorf("%q is %s by %s (%v, %v)", test.text, v.Reason, v.Rule, v.DecidedBy, v.Confidence)
		}
	}
}
