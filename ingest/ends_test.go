package ingest_test

import (
	"bytes"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

var endMessages = flag.Int("end-messages", 3000, "messages of TestDeliveredMailLeavesNothingOpen")

// delivered is what servers log of one message with one recipient that is delivered
// at once, without the time, host and program.
var delivered = []struct{ format, lines string }{
	{"postfix", `postfix/smtpd[1]: %[1]s: client=pc.sender.example[192.0.2.1]
postfix/cleanup[2]: %[1]s: message-id=<%[1]s@sender.example>
postfix/qmgr[3]: %[1]s: from=<a@sender.example>, size=860, nrcpt=1 (queue active)
postfix/smtp[4]: %[1]s: to=<u%[2]d@d%[3]d.example>, relay=mx.d%[3]d.example[192.0.2.7]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)
postfix/qmgr[3]: %[1]s: removed`},
	{"sendmail", `sm-mta[1]: %[1]s: from=<a@sender.example>, size=860, class=0, nrcpts=1, msgid=<%[1]s@sender.example>, proto=ESMTP, daemon=MTA, relay=pc.sender.example [192.0.2.1]
sm-mta[1]: %[1]s: to=<u%[2]d@d%[3]d.example>, delay=00:00:01, xdelay=00:00:01, mailer=esmtp, pri=30860, relay=mx.d%[3]d.example. [192.0.2.7], dsn=2.0.0, stat=Sent (250 2.0.0 Ok)`},
}

// A message ends with its last recipient where the log has no line for its end.
func TestDeliveredMailLeavesNothingOpen(t *testing.T) {
	sizes, messages := map[string]int64{}, few(1000, *endMessages)
	for _, server := range delivered {
		var log bytes.Buffer
		for i := range messages {
			at := time.Date(2026, 11, 22, 0, 0, i, 0, time.UTC).Format(time.Stamp)
			id := fmt.Sprintf("4AM%011d", i)
			for line := range strings.SplitSeq(fmt.Sprintf(server.lines, id, i%700, i%50), "\n") {
				fmt.Fprintf(&log, "%s mx1 %s\n", at, line)
			}
		}
		path := filepath.Join(t.TempDir(), "mail.log")
		writeFile(t, path, log.Bytes())
		db := openStore(t)
		if res := read(t, db, path); res.Lines.Unparsed > 0 {
			t.Errorf("%s: %d lines not understood", server.format, res.Lines.Unparsed)
		}
		if sum := sqlitetest.Sum(t, db); sum.Delivered != int64(messages) {
			t.Errorf("%s: %d recipients delivered, not %d", server.format, sum.Delivered, messages)
		}
		bytesOf(t, db, server.format, sizes)
	}
	if s, p := sizes["sendmail"], sizes["postfix"]; s*10 > p*12 {
		t.Errorf("the database of sendmail takes %d bytes, of the same mail from Postfix %d", s, p)
	}
	t.Logf("%d messages: %v bytes", messages, sizes)
}

// bytesOf adds up what is in the tables, and fails when a message is open.
func bytesOf(t *testing.T, db *sqlite.DB, format string, sums map[string]int64) {
	t.Helper()
	sizes, err := db.Sizes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sizes {
		sums[format] += s.Bytes
		if s.Table == "open" && s.Rows > 0 {
			t.Errorf("%s: %d messages are open", format, s.Rows)
		}
	}
}
