package ingest_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"mailfail/store"
	"mailfail/store/sqlite/sqlitetest"
)

// Of a long reply the beginning is kept, whichever format and kind of line has it;
// code, signature and numbers are those of the whole.
func TestLongReply(t *testing.T) {
	const postfix = "2026-11-20T10:00:00.000000+00:00 mx postfix/"
	for name, line := range map[string]string{
		"attempt": postfix + "smtp[7]: A000000001: to=<u@d.example>, relay=mx.example[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=5.1.1, " +
			"status=bounced (host mx.example[192.0.2.1] said: 550 5.1.1 User unknown %s (in reply to RCPT TO command))\n",
		"rejection": postfix + "smtpd[7]: NOQUEUE: reject: RCPT from c.example[192.0.2.1]: 550 5.1.1 <u@d.example>: User unknown %s; " +
			"from=<s@x.example> to=<u@d.example> proto=ESMTP helo=<c>\n",
		"exim": "2026-11-20 10:00:00 +0000 1aBcDe-000001-AB ** u@d.example R=dnslookup T=remote_smtp H=mx.example [192.0.2.1]: " +
			"SMTP error from remote mail server after RCPT TO:<u@d.example>: 550 5.1.1 User unknown %s\n",
	} {
		t.Run(name, func(t *testing.T) {
			texts, signatures := map[bool]string{}, map[bool]string{}
			for _, long := range []bool{false, true} {
				dir := t.TempDir()
				log := filepath.Join(dir, "mail.log")
				words := strings.TrimSpace(strings.Repeat("words ", 300))
				if long {
					words = strings.TrimSpace(strings.Repeat("words ", 100_000/6))
				}
				writeFile(t, log, fmt.Appendf(nil, line, words))
				db := openStore(t)
				read(t, db, log)
				if n := sqlitetest.Int(t, db, "SELECT (SELECT count(*) FROM attempts) + (SELECT count(*) FROM rejections)"); n != 1 {
					t.Fatalf("%d failures, want 1", n)
				}
				if _, err := db.Events(t.Context(), store.Window{}, store.Filter{}, store.OutcomeNames, 0, func(e *store.Event) error {
					texts[long], signatures[long] = string(e.Text), fmt.Sprint(e.Reply, e.Enhanced, e.Reason, e.Signature)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			whole, cut := texts[false], texts[true]
			if strings.Contains(whole, "[cut:") || !strings.Contains(whole, "words words") {
				t.Errorf("a reply of 2 kB: %q", whole)
			}
			if len(cut) > store.MaxReply+40 || !strings.HasSuffix(cut, " bytes in all]") {
				t.Errorf("a reply of 100 kB: %d bytes, %.80q", len(cut), cut)
			}
			if signatures[false] != signatures[true] {
				t.Errorf("of 2 kB %q, of 100 kB %q", signatures[false], signatures[true])
			}
		})
	}
}
