package registry

import "testing"

func TestListIn(t *testing.T) {
	for text, want := range map[string]string{
		"554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using zen.spamhaus.org; https://www.spamhaus.org/": "zen.spamhaus.org",
		"550 192.0.2.10 is listed at bl.spamcop.net.": "bl.spamcop.net",
		"550 5.7.1 Message rejected: listed in SORBS": "SORBS",
		"550 5.1.1 no such user in the list":          "",
		"":                                            "",
	} {
		if got := ListIn(text); got != want {
			t.Errorf("ListIn(%q) = %q, want %q", text, got, want)
		}
	}
}
