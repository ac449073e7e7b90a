package investigate

import (
	"encoding/json"
	"strings"
	"testing"

	"mailfail/registry"
)

func TestAddressIn(t *testing.T) {
	for _, tt := range []struct {
		text, ip, want registry.Foreign
	}{
		{"554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.7", "", "192.0.2.7"},
		{"421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred due to user complaints - 4.16.55.1; see https://example.com", "", "192.0.2.25"},
		{"550 5.7.1 Messages from [2001:db8::1] weren't sent", "", "2001:db8::1"},
		{"550-5.7.26 SPF [shop.test] with ip: [192.0.2.7] = did not pass", "", "192.0.2.7"},
		{"host mx.example.org[198.51.100.1] said: 554 no", "198.51.100.1", ""},
		{"554 from 192.0.2.7 and from 192.0.2.8", "", ""},
		{"554 at 10:20:30 from \x1b[31m", "", ""},
		{"554 from [127.0.0.1]", "", ""},
		{"554 no", "", ""},
	} {
		if got := addressIn(&Detail{Text: tt.text, IP: tt.ip}); got != tt.want {
			t.Errorf("%q names %q, want %q", tt.text, got, tt.want)
		}
	}
}

// Which of our addresses is listed, and where, is said beside the sentence.
func TestListed(t *testing.T) {
	for _, tt := range []struct{ name, other, list, want string }{
		{"one address", "192.0.2.7", "zen.spamhaus.org", "Your address 192.0.2.7 is listed at zen.spamhaus.org."},
		{"two addresses", "192.0.2.8", "zen.spamhaus.org", ""},
		{"hostile list", "192.0.2.7", "<script>", "Your address 192.0.2.7 is listed."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(plan{fails: func(minute int64, p *Place) bool { return minute >= noon && p.Host == "mx1" }})
			w.data.Details = func(ids []int64) map[int64]Detail {
				found := map[int64]Detail{}
				for _, id := range ids {
					address := []string{"192.0.2.7", tt.other}[id%2]
					found[id] = Detail{Text: registry.Foreign("554 5.7.1 Client host [" + address + "] blocked using " + tt.list)}
				}
				return found
			}
			r := Analyze(w.data)
			var said []string
			for _, f := range r.Problems[0].Facts() {
				said = append(said, f.String())
			}
			if all := strings.Join(said, "\n"); tt.want != "" && !strings.HasPrefix(all, tt.want+"\n") || tt.want == "" && strings.Contains(all, "Your address") {
				t.Errorf("facts:\n%s", all)
			}
			var b strings.Builder
			if err := r.WriteJSON(&b); err != nil {
				t.Fatal(err)
			}
			var j struct {
				Causes []struct {
					Address string `json:"our_address"`
				}
			}
			if err := json.Unmarshal([]byte(b.String()), &j); err != nil || (j.Causes[0].Address != "") != (tt.want != "") {
				t.Errorf("%v: %s", err, b.String())
			}
		})
	}
}
