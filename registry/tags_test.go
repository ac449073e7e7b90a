package registry

import (
	"strings"
	"testing"
)

func TestLookupTag(t *testing.T) {
	tests := []struct {
		word, vendor string
		reason       Reason
	}{
		{"TSS04", "Yahoo", "rate-limited"},
		{"[TSS04]", "Yahoo", "rate-limited"},
		{"tss04", "Yahoo", "rate-limited"},
		{"TSS11", "Yahoo", "reputation"},
		{"AS(201806281)", "Exchange Online", "rate-limited"},
		{"as(4711)", "Exchange Online", ""},
		{"OFR_506", "Orange", "spam-content"},
		{"ofr_506", "Orange", "spam-content"},
		{"OFR005_104", "Orange", "rate-limited"},
		{"OFR_777", "Orange", ""},
		{"S3150", "Outlook.com", "blocklist"},
		{"(S3140)", "Outlook.com", "blocklist"},
		{"AUP#1310", "Charter and Cox", "reputation"},
		{"AUP#I-1320", "Cox", "client-refused"},
		{"IB607", "GoDaddy", "rate-limited"},
		{"(DIAL)", "T-Online", "client-refused"},
	}
	for _, test := range tests {
		tag := LookupTag(test.word)
		if tag == nil || tag.Vendor != test.vendor || tag.Reason != test.reason {
			t.Errorf("%s: %+v, want %s %s", test.word, tag, test.vendor, test.reason)
		}
	}
	for _, word := range []string{"", "550", "5.1.1", "TSS", "AS()", "AS(x)", "42003", "hello", "OFR_"} {
		if tag := LookupTag(word); tag != nil {
			t.Errorf("%q is %s", word, tag.Pattern)
		}
	}
}

func TestFindTags(t *testing.T) {
	tests := []struct{ text, want string }{
		{"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", "TSS04"},
		{"451 4.7.500 Server busy. Please try again later. AS(201806281)", "AS(201806281)"},
		{"554 See http://postmaster.example/smtp-error-codes.php#BL000000", "BL000000"},
		{"550 5.1.1 User unknown", ""},
		{"550 OFR_416 and again OFR_416 [416]", "OFR_416"},
	}
	for _, test := range tests {
		got := ""
		for _, tag := range FindTags(test.text) {
			got += tag.Pattern
		}
		if got != test.want {
			t.Errorf("%q: %q, want %q", test.text, got, test.want)
		}
	}
}

// TestTagFile checks that every tag is found by its own name, and that faults are
// reported.
func TestTagFile(t *testing.T) {
	for _, tag := range tags() {
		if found := LookupTag(tag.Pattern); found == nil && !strings.Contains(tag.Pattern, "@") {
			t.Errorf("%s is not found by its own name", tag.Pattern)
		}
	}
	for _, bad := range []string{"tag X\n", "tag X\n  vendor a\n  what b\n  reason nonsense\n", "tog X\n  vendor a\n  what b\n"} {
		if _, err := parseTags(bad); err == nil {
			t.Errorf("parseTags(%q): no error", bad)
		}
	}
}

func TestPage(t *testing.T) {
	for name, want := range map[string]bool{"Google": true, "zen.spamhaus.org": true, "b.barracudacentral.org": true, "example.com": false, "": false} {
		if got := Page(name); (got != "") != want {
			t.Errorf("Page(%q) = %q", name, got)
		}
	}
}
