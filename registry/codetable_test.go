package registry

import (
	"encoding/csv"
	"os"
	"regexp"
	"strings"
	"testing"
)

// sharedCSV reads one of the files of facts that lie beside the checkout.
func sharedCSV(t *testing.T, name string) []map[string]string {
	t.Helper()
	f, err := os.Open("../../shared/registry/" + name)
	if err != nil {
		t.Skip("no files of facts beside the checkout")
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, key := range rows[0] {
			m[key] = row[i]
		}
		list = append(list, m)
	}
	return list
}

func TestEntriesAreWhole(t *testing.T) {
	for _, e := range Entries() {
		for what, s := range map[string]string{
			"name": e.Name, "meaning": e.Meaning, "cause": e.Cause, "action": e.Action, "recipient": e.Recipient, "brief": e.Brief, "reference": e.Reference,
		} {
			if s == "" {
				t.Errorf("%s has no %s", e.Code, what)
			}
		}
		if len(e.Name) > maxBrief || len(e.Brief) > maxBrief {
			t.Errorf("%s: %q, %q: too long for a line", e.Code, e.Name, e.Brief)
		}
		if e.Status != "" {
			if _, ok := ParseEnhanced(e.Status); !ok {
				t.Errorf("%s: status %q", e.Code, e.Status)
			}
		}
	}
	if n := len(codes().enhanced); n != 81 {
		t.Errorf("%d enhanced codes, the registry has 81", n)
	}
}

func TestVendorsAreWhole(t *testing.T) {
	known := map[string]bool{}
	for _, name := range providers() {
		known[name] = true
	}
	seen := map[string]bool{}
	for _, v := range AllVendors() {
		if v.Name == "" || v.Code == "" || v.Meaning == "" || v.Reference == "" {
			t.Errorf("%+v is not whole", v)
		}
		if v.Provider != "" && !known[v.Provider] {
			t.Errorf("%s: no provider %q", v.Name, v.Provider)
		}
		if seen[v.Name+v.Code] {
			t.Errorf("%s %s is given twice", v.Name, v.Code)
		}
		seen[v.Name+v.Code] = true
	}
	for _, r := range DefaultRules().rules {
		for _, name := range r.providers {
			if !known[name] {
				t.Errorf("rule %s: no provider %q", r.name, name)
			}
		}
	}
}

// TestEnhancedComplete compares with the IANA registry.
func TestEnhancedComplete(t *testing.T) {
	for _, row := range sharedCSV(t, "enhanced.csv") {
		code := row["code"]
		if strings.Contains(code, "YYY") {
			continue // classes and subjects: TestExplainEverything
		}
		e, ok := ParseEnhanced("5" + code[1:])
		if !ok {
			t.Fatalf("code %q", code)
		}
		entry, exact := LookupEnhanced(e)
		if !exact || entry.Code != code || entry.Registered != row["name"] && code != "X.6.10" {
			t.Errorf("%s is %q, registered as %q", code, entry.Registered, row["name"])
		}
		if entry.Basic != row["basic_codes"] && row["basic_codes"] != "" && !strings.Contains(row["basic_codes"], "(") {
			t.Errorf("%s: basic codes %q, want %q", code, entry.Basic, row["basic_codes"])
		}
	}
}

func TestRepliesComplete(t *testing.T) {
	for _, row := range sharedCSV(t, "reply.csv") {
		e, ok := codes().reply[uint16(row["code"][0]-'0')*100+uint16(row["code"][1]-'0')*10+uint16(row["code"][2]-'0')]
		if !ok {
			t.Errorf("no reply code %s", row["code"])
			continue
		}
		if e.Standing != row["kind"] && e.Code != "422" {
			t.Errorf("%s is %q, want %q", e.Code, e.Standing, row["kind"])
		}
		if e.Unconfirmed != (row["source"] == "memory") {
			t.Errorf("%s: unconfirmed %v, source %q", e.Code, e.Unconfirmed, row["source"])
		}
	}
}

func TestVendorsComplete(t *testing.T) {
	have := map[string]*Vendor{}
	for _, v := range AllVendors() {
		have[v.Name+"|"+v.Code] = v
	}
	for _, row := range sharedCSV(t, "vendor.csv") {
		v := have[row["vendor"]+"|"+row["code"]]
		if v == nil {
			t.Errorf("no row %s %s", row["vendor"], row["code"])
		} else if row["source"] == "memory" && !v.Unconfirmed {
			t.Errorf("%s %s is not marked as unconfirmed", v.Name, v.Code)
		}
	}
}

// TestNoSentenceOfASeed looks for sentences of the seeds in our texts.
func TestNoSentenceOfASeed(t *testing.T) {
	files, err := os.ReadDir("../../shared/seeds")
	if err != nil {
		t.Skip("no seeds beside the checkout")
	}
	squeeze := regexp.MustCompile(`[^a-z0-9]+`)
	var ours strings.Builder
	for _, e := range Entries() {
		ours.WriteString(squeeze.ReplaceAllString(strings.ToLower(e.Meaning+" "+e.Cause+" "+e.Action+" "+e.Recipient+" "+strings.Join(e.Notes, " ")), " ") + " | ")
	}
	for _, v := range AllVendors() {
		ours.WriteString(squeeze.ReplaceAllString(strings.ToLower(v.Cause+" | "+v.Action), " ") + " | ")
	}
	sentences := regexp.MustCompile(`[.!?\n]`)
	for _, file := range files {
		text, err := os.ReadFile("../../shared/seeds/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, sentence := range sentences.Split(string(text), -1) {
			sentence = strings.TrimSpace(squeeze.ReplaceAllString(strings.ToLower(sentence), " "))
			if len(strings.Fields(sentence)) >= 7 && strings.Contains(ours.String(), sentence) {
				t.Errorf("%s: %q is in our texts", file.Name(), sentence)
			}
		}
	}
}

func TestLookupFallsBack(t *testing.T) {
	tests := []struct {
		code  string
		want  string
		exact bool
	}{
		{"5.1.1", "X.1.1", true},
		{"4.1.1", "X.1.1", true},
		{"5.7.999", "X.7.0", false},
		{"4.4.9", "X.4.0", false},
		{"5.8.1", "X.0.0", false},
		{"5.0.1", "X.0.0", false},
	}
	for _, test := range tests {
		e, _ := ParseEnhanced(test.code)
		if entry, exact := LookupEnhanced(e); entry.Code != test.want || exact != test.exact {
			t.Errorf("%s is %s (exact %v), want %s", test.code, entry.Code, exact, test.want)
		}
	}
	for code, want := range map[uint16]string{550: "550", 577: "577", 599: "5xx", 299: "2xx", 111: "111"} {
		if entry, _ := LookupReply(code); entry == nil || entry.Code != want {
			t.Errorf("reply %d is %v, want %s", code, entry, want)
		}
	}
	if entry, _ := LookupReply(999); entry != nil {
		t.Errorf("999 is %v", entry)
	}
}

func TestProviderMeaning(t *testing.T) {
	tests := []struct {
		reply    uint16
		code     string
		provider string
		want     Reason
	}{
		{550, "5.7.27", "Google", "authentication"},
		{550, "5.7.27", "", "bad-sender"},
		{421, "4.7.29", "Google", "tls"},
		{550, "5.1.10", "Microsoft", "user-unknown"},
		{556, "5.1.10", "example.com", "null-mx"},
		{550, "5.4.1", "Microsoft", "user-unknown"},
		{451, "4.4.1", "", "connection"},
		{550, "5.7.620", "Microsoft", "blocklist"},
		{451, "4.7.650", "Microsoft", "rate-limited"},
		{550, "5.4.5", "Google", "rate-limited"},
		{550, "5.2.2", "", "mailbox-full"},
	}
	for _, test := range tests {
		f := Failure{Provider: test.provider, Reply: test.reply}
		f.Enhanced, _ = ParseEnhanced(test.code)
		if v := DefaultRules().Classify(f); v.Reason != test.want {
			t.Errorf("%d %s of %q: %v, want %s", test.reply, test.code, test.provider, v, test.want)
		}
	}
}

func TestBrief(t *testing.T) {
	tests := []struct {
		reply        uint16
		code         string
		provider     string
		reason       Reason
		name, advice string
	}{
		{550, "5.1.1", "", "user-unknown", "No such user", "Remove the address from your lists, or correct the typing error."},
		{550, "5.1.1", "", "rate-limited", "Sending too fast or too much", "Slow down: fewer connections and messages per hour to this provider."},
		{550, "5.7.27", "Google", "authentication", "SPF did not pass (IANA: sender has null MX)", "Set up SPF"},
		{550, "", "", "policy", "Refused by policy", "Read the reply's text or link; it names the rule. Ask if it does not."},
		{0, "", "", "unknown", "Unknown", "Read the reply; neither its text nor its codes are known yet."},
		{0, "", "", "from-another-version", "Unknown", "Read the reply; neither its text nor its codes are known yet."},
	}
	for _, test := range tests {
		e, _ := ParseEnhanced(test.code)
		if name, advice := Brief(test.reply, e, test.provider, test.reason); name != test.name || advice != test.advice {
			t.Errorf("Brief(%d, %s, %s, %s) = %q, %q", test.reply, test.code, test.provider, test.reason, name, advice)
		}
	}
	for _, v := range AllVendors() {
		for _, info := range Reasons() {
			if name, advice := Brief(v.reply, Enhanced{5, uint16(max(v.enhanced.subject, 0)), v.enhanced.lowDetail}, v.Provider, info.Reason); name == "" || advice == "" || len(name) > maxBrief || len(advice) > maxBrief {
				t.Errorf("%s %s, %s: %q, %q", v.Name, v.Code, info.Reason, name, advice)
			}
		}
	}
}

func TestVendorsByTag(t *testing.T) {
	e, _ := ParseEnhanced("4.7.0")
	has := func(list []*Vendor, code string) bool {
		for _, v := range list {
			if v.Code == code {
				return true
			}
		}
		return false
	}
	if list := Vendors(421, e, "421 4.7.0 [TSS04] Messages deferred"); !has(list, "421 4.7.0 [TSS04]") || !has(list, "421 4.7.0") {
		t.Errorf("421 4.7.0 [TSS04]: %v", list)
	}
	if list := Vendors(421, e, "421 4.7.0 Try again"); has(list, "421 4.7.0 [TSS04]") {
		t.Error("a tag that is not there is found")
	}
	if list := Vendors(554, Enhanced{}, "554 delivery error: dd Not a valid recipient"); !has(list, "554 delivery error: dd") {
		t.Errorf("554 delivery error: dd: %v", list)
	}
}

func BenchmarkLookup(b *testing.B) {
	e := Enhanced{5, 7, 26}
	b.Run("enhanced", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			LookupEnhanced(e)
		}
	})
	b.Run("brief", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Brief(550, e, "Google", "authentication")
		}
	})
	b.Run("brief-range", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Brief(550, Enhanced{5, 7, 620}, "Microsoft", "blocklist")
		}
	})
}
