package postfix

import (
	"fmt"
	"strings"
	"testing"
)

// TestFilters reads deliveries to servers on this host: a filter that lets mail
// through, one that keeps it, and a mailbox.
func TestFilters(t *testing.T) {
	for _, test := range []struct{ service, relay, reply, want string }{
		{"smtp", "127.0.0.1[127.0.0.1]:10025", "250 2.5.0 OK (1A2B3C4D5E6F70819)", "handed-over"}, // PMG, kept or let through
		{"lmtp", "127.0.0.1[127.0.0.1]:10024", "250 2.5.0 OK (20C0FFEE0A1B2)", "handed-over"},     // PMG's transport "scan"
		{"lmtp", "127.0.0.1[127.0.0.1]:10023", "250 2.7.0 BLOCKED (20C0FFEE0A1B2)", "discarded"},
		{"lmtp", "127.0.0.1[127.0.0.1]:24", "250 2.5.0 Ok <a@b.example>", "attempt"},
		{"smtp", "localhost[::1]:10026", "250 Ok", "handed-over"},
		{"smtp", "127.0.0.1[127.0.0.1]:10024", "250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4F2AB1C3D5", "handed-over"},
		{"lmtp", "127.0.0.1[127.0.0.1]:10024", "250 2.6.0 from MTA([127.0.0.1]:10025): 250 Ok", "handed-over"},
		{"smtp", "127.0.0.1[127.0.0.1]:10024", "250 2.7.0 Ok, discarded, id=05088-01 - spam", "discarded"},
		{"lmtp", "127.0.0.1[127.0.0.1]:10024", "250 2.5.0 Ok, id=1234-01, DISCARD(bounce.suppressed)", "discarded"},
		{"smtp", "127.0.0.1[127.0.0.1]:10025", "250 Virus Detected; Discarded Email", "discarded"},
		{"smtp", "127.0.0.1[127.0.0.1]:10025", "250 2.0.0 Ok: queued as 4F2AB1C3D5", "attempt"}, // the tracker knows whether it came back
		{"lmtp", "127.0.0.1[127.0.0.1]:24", "250 2.0.0 <a@b.example> kFs1 Saved", "attempt"},
		{"lmtp", "localhost[127.0.0.1]:2003", "250 2.1.5 Ok", "attempt"},
		{"smtp", "127.0.0.1[127.0.0.1]:2525", "250 2.6.0 message stored in mailbox", "attempt"},
		{"smtp", "mx.far.example[127.0.0.1]:25", "250 ok", "attempt"},
		{"smtp", "mx.far.example[192.0.2.1]:25", "250 ok quarantine", "attempt"},
	} {
		line := fmt.Sprintf("8EF04546C0: to=<joe@example.org>, relay=%s, delay=2, delays=0/0/0/2, dsn=2.0.0, status=sent (%s)", test.relay, test.reply)
		records, _ := parse("postfix/"+test.service, line)
		if got, _, _ := strings.Cut(strings.Join(records, "\n"), " "); got != test.want {
			t.Errorf("%s: got %q, want %s", line, records, test.want)
		}
	}
}
