package ingest_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"mailfail/ingest"
	"mailfail/store/sqlite/sqlitetest"
)

// journalLine is what journalctl -o json prints of an entry.
func journalLine(n int, message string) string {
	return fmt.Sprintf(`{"_HOSTNAME":"mx1","__CURSOR":"s=a;i=%d","MESSAGE":"%s","__REALTIME_TIMESTAMP":"%d","_MACHINE_ID":"f00","SYSLOG_IDENTIFIER":"postfix/smtp"}`+"\n",
		n, message, 1_795_328_887_000_000+1000*n)
}

// journalctl -f repeats its last entries when it is started again; they count
// once. Hostile text cannot pass for a cursor.
func TestFollowJournalAgain(t *testing.T) {
	var lines []string
	for n := range 30 {
		text := fmt.Sprintf("A1B2C3D4%02X: to=<u%d@one.example>, relay=mx.one.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.one.example[192.0.2.1] said: 550 5.1.1 \\\"__CURSOR\\\":\\\"s=a;i=99\\\" (in reply to RCPT TO command))", n, n)
		lines = append(lines, journalLine(n, text))
	}
	db := openStore(t)
	for _, part := range [][]string{lines[:12], lines[2:20], lines[10:20], lines[18:], lines} {
		in, out := io.Pipe()
		following(t, db, 0, ingest.FollowOptions{Stdin: in}, func() {
			if _, err := io.WriteString(out, strings.Join(part, "")); err != nil {
				t.Error(err)
			}
			out.Close()
		}, "-")
	}
	if got := sqlitetest.Sum(t, db); got.Failures != 30 || got.Bounced != 30 {
		t.Errorf("%+v, want 30 failures", got)
	}
}
