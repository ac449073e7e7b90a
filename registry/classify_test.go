package registry

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// failureOf makes a failure of a text the way a log parser does, as far as
// examples need it.
func failureOf(text string) Failure {
	f := Failure{Signature: string(AppendSignature(nil, []byte(text)))}
	rest := f.Signature
	if len(rest) >= 3 && rest[0] >= '2' && rest[0] <= '5' && kinds[rest[1]] == isDigit && kinds[rest[2]] == isDigit && (len(rest) == 3 || rest[3] == ' ') {
		f.Reply = uint16(rest[0]-'0')*100 + uint16(rest[1]-'0')*10 + uint16(rest[2]-'0')
		rest = strings.TrimPrefix(rest[3:], " ")
	}
	f.Enhanced, _ = ScanEnhanced([]byte(strings.TrimPrefix(rest, "#")))
	return f
}

// TestRuleExamples checks that the rules decide their own examples, with and
// without a rule file in front.
func TestRuleExamples(t *testing.T) {
	rules := DefaultRules()
	for _, r := range rules.rules {
		if len(r.text) > 0 && len(r.examples) == 0 && len(r.stages) == 0 {
			t.Errorf("rule %s has no example", r.name)
		}
		for _, example := range r.examples {
			f := failureOf(example)
			if v := rules.Classify(f); v.Rule != r.name {
				t.Errorf("%q\n is decided by %s (%s), not %s (%s)\n signature %q", example, v.Rule, v.Reason, r.name, r.reason, f.Signature)
			}
		}
	}
}

func TestEveryReasonIsUsed(t *testing.T) {
	used := map[Reason]bool{"unknown": true}
	for _, r := range DefaultRules().rules {
		used[r.reason] = true
	}
	for _, info := range Reasons() {
		if !used[info.Reason] {
			t.Errorf("no rule gives %s", info.Reason)
		}
		for what, s := range map[string]string{"group": info.Group, "name": info.Name, "brief": info.Brief, "meaning": info.Meaning, "cause": info.Cause, "action": info.Action, "recipient": info.Recipient} {
			if s == "" {
				t.Errorf("reason %s has no %s", info.Reason, what)
			}
		}
		if len(info.Name) > 72 || len(info.Brief) > 72 {
			t.Errorf("reason %s: %q and %q should fit a line of 72", info.Reason, info.Name, info.Brief)
		}
	}
}

// TestCodesMislead has texts whose codes say something else.
func TestCodesMislead(t *testing.T) {
	tests := []struct {
		text string
		want Reason
	}{
		{"550 5.1.1 <bob@example.com> 192.0.2.1 has sent to too many recipients this hour. IB607", "rate-limited"},
		{"550 5.1.0 <news@example.com> sender rejected. Please see https://www.example.net/errors", "bad-sender"},
		{"552 Too many recipients", "too-many-recipients"},
		{"552 4.2.2 mailbox full", "mailbox-full"},
		{"450 5.2.3 Msg Size greater than allowed by Remote Host", "too-big"},
		{"550 5.7.1 <bob@example.com>: Recipient address rejected: User unknown", "user-unknown"},
		{"550 5.1.1 Our rules: mailbox is full", "mailbox-full"},
		{"554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", "mailbox-full"},
		{"550 5.7.350 Remote server returned message detected as spam -> 554 5.7.1 Blocked", "spam-content"},
		{"451 4.4.0 Primary target IP address responded with: \"421 4.7.0 Too many connections\"", "rate-limited"},
		{"550 5.1.1", "user-unknown"},
		{"5.4.7", "expired"},
		{"550 5.7.999", "policy"},
		{"421", "system"},
		{"452 4.5.3 Try again", "too-many-recipients"},
		{"452 4.2.2 Please try again later", "mailbox-full"},
		{"421 4.7.0 Try again later, closing connection", "system"},
		{"550 5.2.1 Rejected", "mailbox-disabled"},
		{"550 5.7.1 Rejected", "policy"},
		{"", "unknown"},
		{"qwertz", "unknown"},
	}
	for _, test := range tests {
		if v := DefaultRules().Classify(failureOf(test.text)); v.Reason != test.want {
			t.Errorf("%q: %s by %s, want %s", test.text, v.Reason, v.Rule, test.want)
		}
	}
}

func TestLoadRules(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my.rules")
	write := func(s string) {
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rule ours\n  reason greylisted\n  text User unknown\n  provider Example | Other\n  reply 5xx\n")
	rules, err := LoadRules(path)
	if err != nil {
		t.Fatal(err)
	}
	if rules.Version() == DefaultRules().Version() || len(rules.Version()) < 8 {
		t.Errorf("version %q", rules.Version())
	}
	f := failureOf("550 5.1.1 User unknown")
	if v := rules.Classify(f); v.Reason != "user-unknown" {
		t.Errorf("another provider's failure: %v", v)
	}
	f.Provider = "Other"
	if v := rules.Classify(f); v != (Verdict{"greylisted", "ours", ByText, ConfidenceMedium}) {
		t.Errorf("got %v", v)
	}
	for _, bad := range []string{
		"rule x\n  reason nonsense\n  text a\n",
		"rule x\n  reason dns\n",
		"rule x\n  text a\n",
		"rule x\n  reason dns\n  text a | | b\n",
		"rule x\n  reason dns\n  text a*b\n",
		"rule x\n  reason dns\n  reply 77\n",
		"rule x\n  reason dns\n  enhanced 5.1\n",
		"rule x\n  reason dns\n  enhanced 5.a.1\n",
		"rule x\n  reason dns\n  stage lunch\n",
		"rule x\n  reason dns\n  source sun\n",
		"rule x\n  reason dns\n  colour red\n",
		"rule x\n  reason dns\n  text a\nrule x\n  reason dns\n  text b\n",
		"  reason dns\n",
		"roule x\n",
	} {
		write(bad)
		if _, err := LoadRules(path); err == nil || !strings.Contains(err.Error(), "line ") && !strings.Contains(err.Error(), "phrase") {
			t.Errorf("LoadRules(%q): %v", bad, err)
		}
	}
	if _, err := LoadRules(path + ".missing"); err == nil {
		t.Error("a missing file is read")
	}
}

func TestPhrases(t *testing.T) {
	p, err := newPhrases([]string{"full", "fuller*", "*overfull", "user unknown", "(bl)", "he", "she*", "*ers"})
	if err != nil {
		t.Fatal(err)
	}
	list := []string{"full", "fuller*", "*overfull", "user unknown", "(bl)", "he", "she*", "*ers"}
	tests := []struct{ text, want string }{
		{"the mailbox is full", "full"},
		{"fully", ""},
		{"fullerton", "fuller*"},
		{"anoverfull", "*overfull"},
		{"full-text", "full"},
		{"user unknownx, user unknown", "user unknown"},
		{"x(bl)y", "(bl)"},
		{"she he hers", "he she* *ers"},
		{"ushers", "*ers"},
		{"", ""},
	}
	for _, test := range tests {
		var set found
		p.find([]byte(test.text), &set)
		var got []string
		for i, text := range list {
			if set.has(uint16(i)) {
				got = append(got, text)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%q holds %q, want %q", test.text, got, test.want)
		}
	}
}

// TestNear has a subject and what is said of it, near and far.
func TestNear(t *testing.T) {
	r, err := compileRules(source{"test", "words box\n  are mailbox | boîte\nrule full\n  reason mailbox-full\n  near @box\n  near full | pleine\n"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		text string
		want Reason
	}{
		{"your mailbox is quite full", "mailbox-full"},
		{"full is the mailbox", "mailbox-full"},
		{"LA BOÎTE DE ANN EST PLEINE", "mailbox-full"},
		{"the mailbox is not the thing here that we call full", "unknown"},
		{"no such mailbox. The disk is full", "unknown"},
		{"no mailbox, see the page in full", "unknown"},
		{"mailboxfull", "unknown"},
	}
	for _, test := range tests {
		if v := r.Classify(Failure{Signature: test.text}); v.Reason != test.want || v.Reason != "unknown" && v.Confidence != ConfidenceMedium {
			t.Errorf("%q is %s (%v), want %s", test.text, v.Reason, v.Confidence, test.want)
		}
	}
	for _, bad := range []string{
		"rule x\n  reason dns\n  near @missing\n  near y\n",
		"rule x\n  reason dns\n  near y\n",
		"rule x\n  reason dns\n  near y\n  near z\n  near a\n",
	} {
		if _, err := compileRules(source{"test", bad}); err == nil {
			t.Errorf("compileRules(%q): no error", bad)
		}
	}
}

func TestFolded(t *testing.T) {
	tests := []struct{ text, want string }{
		{"Überfüllt, GRÖSSE, größe", "uberfullt, grosse, grosse"},
		{"Caixa não encontrada; été; SKRZYNKA PEŁNA; Ő", "caixa nao encontrada; ete; skrzynka pelna; o"},
		{"Почтовый ЯЩИК, ещё", "почтовый ящик, еще"},
		{"user’s 宛先 \xff\xc3", "user's 宛先 \xff\xc3"},
	}
	for _, test := range tests {
		if got := string(appendFolded(nil, test.text)); got != test.want {
			t.Errorf("%q is folded to %q, want %q", test.text, got, test.want)
		}
	}
}

func TestClassifyAllocates(t *testing.T) {
	f := failureOf("550 5.1.1 <bob@example.com>: Recipient address rejected: User unknown in local recipient table")
	rules := DefaultRules()
	if n := testing.AllocsPerRun(100, func() { rules.Classify(f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzClassify(f *testing.F) {
	for _, r := range DefaultRules().rules {
		for _, example := range r.examples {
			f.Add(example)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := DefaultRules().Classify(Failure{Signature: text, Reply: 550})
		if _, ok := reasonTable()[v.Reason]; !ok {
			t.Errorf("%q has reason %q", text, v.Reason)
		}
	})
}

// FuzzRules reads files of rules: whatever those decide is a reason that there is.
func FuzzRules(f *testing.F) {
	for _, text := range []string{
		"rule ours\n  reason greylisted\n  text User unknown\n  provider Example | Other\n  reply 5xx\n",
		"words a\n  are x | y*\n    | {n}\nrule r\n  reason unknown\n  near @a\n  near z\n  not q\n  enhanced 4.7.500-699\n  weak yes\n",
		"rule r\n reason x", "words a\n are @a", "words a\n  are x | @a\nrule r\n  reason unknown\n  near @a\n  near z\n", "rule r\n  reason unknown\n  stage mail rcpt\n  source dns\n  example 550 x\n", "\x00\xff",
	} {
		f.Add(text, "550 5.1.1 User unknown x y1 z")
	}
	f.Fuzz(func(t *testing.T, text, reply string) {
		if len(text) > 10_000 {
			return
		}
		rules, err := compileRules(source{"fuzz", text})
		if err != nil {
			return
		}
		failure := failureOf(reply)
		v := rules.Classify(failure)
		if _, ok := reasonTable()[v.Reason]; !ok {
			t.Errorf("%q has reason %q", reply, v.Reason)
		}
		if again, err := compileRules(source{"fuzz", text}); err != nil || again.Classify(failure) != v {
			t.Errorf("read twice: %v, %v", err, v)
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	rules := DefaultRules()
	for name, text := range map[string]string{
		"short": "550 5.1.1 <bob@example.com>: User unknown",
		"long":  "550-5.7.1 [192.0.2.1      12] Our system has detected that this message is likely 550-5.7.1 unsolicited mail. To reduce the amount of spam sent to Gmail, this 550-5.7.1 message has been blocked. Please visit 550 5.7.1  https://support.google.com/mail/?p=UnsolicitedMessageError for more information. x1 - gsmtp",
		"none":  "550 zzz yyy xxx",
	} {
		f := failureOf(text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rules.Classify(f)
			}
		})
	}
}

func BenchmarkCompileRules(b *testing.B) {
	for b.Loop() {
		if _, err := compileRules(source{"rules.txt", rulesText}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestRulesWithoutEnd(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip("no /dev/zero")
	}
	if _, err := LoadRules("/dev/zero"); err == nil || !strings.Contains(err.Error(), "is it a file of rules?") {
		t.Errorf("LoadRules of a device without end: %v", err)
	}
}

// TestWordsInWords checks that lists hold others, but neither themselves nor more than
// all phrases, however often each names the one before.
func TestWordsInWords(t *testing.T) {
	const use = "rule r\n  reason moved\n  text @b\n"
	rules, err := compileRules(source{"test", "words a\n  are x | y\nwords b\n  are @a | z | @a\n" + use})
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{"550 x", "550 z"} {
		if v := rules.Classify(failureOf(reply)); v.Reason != "moved" {
			t.Errorf("%q has reason %q", reply, v.Reason)
		}
	}
	for text, want := range map[string]string{
		"words b\n  are x | @b\n" + use:                          `test: line 1: words b: no words "b" above`,
		"words b\n  are @a\nwords a\n  are @b\n" + use:           `test: line 1: words b: no words "a" above`,
		"words a\n  are x\nwords b\n  are  | @a\n" + use:         `test: line 3: words b: empty phrase in "| @a"`,
		"words b\n  are x\n" + strings.Replace(use, "b", "c", 1): `test: line 5: no words "c" above`,
	} {
		if _, err := compileRules(source{"test", text}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	var deep strings.Builder
	deep.WriteString("words l0\n  are x | y\n")
	for i := range 40 {
		fmt.Fprintf(&deep, "words l%d\n  are @l%d | @l%d\n", i+1, i, i)
	}
	if _, err := compileRules(source{"test", deep.String() + "rule r\n  reason moved\n  text @l40\n"}); err != nil {
		t.Error(err)
	}
}

// TestAsks checks that a reason depends on no provider but those that are asked for.
func TestAsks(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
	rules := DefaultRules()
	asked := 0
	for _, provider := range append(Providers(), "alder.example") {
		if rules.Asks(provider) {
			asked++
			continue
		}
		for _, r := range rules.rules {
			for _, example := range r.examples {
				f := FailureOf(example, "", StageRcpt)
				want := rules.Classify(f)
				f.Provider = provider
				if got := rules.Classify(f); got != want {
					t.Errorf("%s says %q: %+v, want %+v", provider, example, got, want)
				}
			}
		}
	}
	if asked == 0 || !rules.Asks("Google") {
		t.Errorf("%d providers are asked for", asked)
	}
}

// TestAsksRulesOfUser checks that providers in rules of the user are asked for.
func TestAsksRulesOfUser(t *testing.T) {
	rules, err := compileRules(source{"own", "rule own\n  reason policy\n  provider alder.example\n  text no\n"})
	if err != nil {
		t.Fatal(err)
	}
	if !rules.Asks("alder.example") || rules.Asks("birch.example") {
		t.Error("other providers are asked for than the rule names")
	}
}

// Exchange writes in the form of a reply that nobody answered.
func TestNoConnectionInTheFormOfAReply(t *testing.T) {
	f := Failure{Signature: "421 4.4.1 Connection timed out.", Stage: StageConnect, Source: SourceNetwork, Reply: 421}
	if got := DefaultRules().Classify(f).Reason; got != "connection" {
		t.Errorf("of the network: %s", got)
	}
	f.Source = SourceRemote
	if got := DefaultRules().Classify(f).Reason; got != "client-refused" {
		t.Errorf("said by a server: %s", got)
	}
}
