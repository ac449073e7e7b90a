package anonymous

import (
	"strings"
	"testing"
)

// Nobody is named in a text, and what the text says stays.
func TestText(t *testing.T) {
	n := NewNames([]byte("key"), false)
	for _, test := range []struct{ text, keeps string }{
		{"550 5.1.1 <zebedee@one.example>: Recipient address rejected: User unknown", "@one.example>: Recipient address rejected: User unknown"},
		{"550 5.1.1 User zebedee unknown", "unknown"},
		{"550 User is unknown", "550 User is unknown"},
		{"452 4.2.2 <zebedee>: mailbox full", ": mailbox full"},
		{"452 4.2.2 The mailbox is over quota", "452 4.2.2 The mailbox is over quota"},
		{`550 sender 'zebedee' may not write to "zebedee"`, "may not write to"},
		{"550 Mailbox zebedee does not exist", "does not exist"},
		{"535 authentication failed, sasl_username=zebedee", "535 authentication failed, sasl_username="},
		{"550 \"zebedee\"@one.example is unknown", "@one.example is unknown"},
		{"550 no zebedee here", "here"}, // known
		{"421 4.7.0 [192.0.2.1] try again later", "421 4.7.0 [192.0.2.1] try again later"},
	} {
		got := n.Text(test.text, "zebedee@one.example")
		if strings.Contains(got, "zebedee") || !strings.Contains(got, test.keeps) {
			t.Errorf("%q became %q", test.text, got)
		}
	}
	if got := n.Text("User unknown; host mx.one.example[192.0.2.1]"); got != "User unknown; host mx.one.example[192.0.2.1]" {
		t.Errorf("without persons: %q", got)
	}
}

// A pseudonym stands for one name under one key.
func TestAddress(t *testing.T) {
	n, other, all := NewNames([]byte("key"), false), NewNames([]byte("another"), false), NewNames([]byte("key"), true)
	a := n.Address("Zebedee@One.example")
	if !strings.HasSuffix(a, "@One.example") || strings.Contains(strings.ToLower(a), "zebedee") {
		t.Error(a)
	}
	if !strings.EqualFold(a, n.Address("zebedee@one.example")) || n.Address("zebedee@two.example")[:8] == a[:8] || other.Address("zebedee@one.example") == a {
		t.Errorf("%s is not one person's", a)
	}
	if got := n.Text("to <zebedee@one.example>"); !strings.EqualFold(got, "to <"+a+">") {
		t.Errorf("%s in a text is %s", a, got)
	}
	for _, same := range []string{"", "<>"} {
		if got := n.Address(same); got != same {
			t.Errorf("%q became %q", same, got)
		}
	}
	if got := all.Address("zebedee@one.example"); strings.Contains(got, "one.example") || !strings.HasSuffix(got, ".invalid") {
		t.Error(got)
	}
}

// Whatever stands around it, an address in brackets names nobody.
func FuzzText(f *testing.F) {
	f.Add("550 5.1.1 ", ": User unknown", "a@b.example")
	f.Fuzz(func(t *testing.T, before, after, known string) {
		const person = "zebedee"
		if strings.Contains(strings.ToLower(before+after+known), person) {
			t.Skip()
		}
		for _, all := range []bool{false, true} {
			if got := NewNames([]byte("key"), all).Text(before+" <"+person+"@one.example> "+after, known); strings.Contains(got, person) {
				t.Errorf("%q", got)
			}
		}
	})
}
