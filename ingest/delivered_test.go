package ingest_test

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/registry"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// readKeeping reads logs with what was delivered at once.
func readKeeping(t *testing.T, db *sqlite.DB, keep time.Duration, path string) {
	t.Helper()
	families, errs := source.Expand([]string{path})
	opt := options
	opt.Keep.Delivered = keep
	res, err := ingest.Run(t.Context(), db, registry.DefaultRules(), families, opt)
	if len(errs)+len(res.Errs) > 0 || err != nil {
		t.Fatal(errs, res.Errs, err)
	}
}

var sentLine = regexp.MustCompile(`(\w+): to=<([^>]+)>.* status=(sent|deferred|bounced)`)

// Whoever was delivered at once is found by address and by queue id, however many
// batches the log was read in, and nobody else is.
func TestDelivered(t *testing.T) {
	log, _ := generated(t, few(200, 800))
	outcomes := map[[2]string]string{} // by queue id and address
	for _, m := range sentLine.FindAllStringSubmatch(string(log), -1) {
		key := [2]string{m[1], m[2]}
		if outcomes[key] != "" || m[3] != "sent" {
			m[3] = "no"
		}
		outcomes[key] = m[3]
	}
	for _, batches := range []int{1, few(8, 40)} {
		db := openStore(t)
		path := filepath.Join(t.TempDir(), "mail.log")
		lines := bytes.SplitAfter(log, []byte("\n"))
		for i := range batches {
			writeFile(t, path, bytes.Join(lines[:len(lines)*(i+1)/batches], nil))
			readKeeping(t, db, math.MaxInt64, path)
		}
		n := 0
		for key, outcome := range outcomes {
			if n++; n > few(60, 300) {
				break
			}
			for _, what := range key {
				found, err := db.Delivered(t.Context(), what)
				if err != nil || !found.From.IsZero() {
					t.Fatal(found.From, err)
				}
				is := false
				for _, d := range found.Rows {
					if string(d.QueueID) != what && string(d.Recipient) != what {
						t.Fatalf("%s: found %+v", what, d)
					}
					is = is || string(d.QueueID) == key[0] && strings.EqualFold(string(d.Recipient), key[1])
				}
				if is != (outcome == "sent") {
					t.Fatalf("in %d batches %s: found %v, outcome %s", batches, what, is, outcome)
				}
			}
		}
		kept, counted := sqlitetest.Int(t, db, "SELECT sum(rows) FROM deliveries"), sqlitetest.Int(t, db, "SELECT sum(recipients) FROM counts")
		if kept < counted || counted == 0 {
			t.Errorf("%d deliveries are kept, %d recipients counted", kept, counted)
		}
		if n := sqlitetest.Int(t, db, "SELECT count(*) FROM deliveries"); n > 24*7 {
			t.Errorf("%d blocks in a day", n)
		}
	}
}

// What is not kept, or no longer, is not said to be unknown.
func TestDeliveredFrom(t *testing.T) {
	const line = "%s mx postfix/smtp[7]: %s: to=<u@d.example>, relay=mx.example[192.0.2.1]:25, delay=1, delays=0.1/0/0.5/0.4, dsn=2.0.0, status=sent (250 ok)\n"
	now := time.Now().UTC().Truncate(time.Hour)
	var log strings.Builder
	for _, days := range []int{10, 1} {
		fmt.Fprintf(&log, line, now.AddDate(0, 0, -days).Format("2006-01-02T15:04:05.000000+00:00"), fmt.Sprintf("ABCDEF%d", days))
	}
	path := filepath.Join(t.TempDir(), "mail.log")
	writeFile(t, path, []byte(log.String()))
	for _, test := range []struct {
		keep  time.Duration
		found int
		from  time.Duration // before now, of the newest that is missing
	}{{0, 0, 24 * time.Hour}, {7 * 24 * time.Hour, 1, 240 * time.Hour}, {20 * 24 * time.Hour, 2, 0}} {
		db := openStore(t)
		readKeeping(t, db, test.keep, path)
		found, err := db.Delivered(t.Context(), "u@d.example")
		if err != nil || len(found.Rows) != test.found {
			t.Errorf("keep %v: %+v, %v", test.keep, found, err)
		}
		missing := now.Add(-test.from)
		if test.from > 0 && !found.From.After(missing) || test.found == 2 && !found.From.Before(now.AddDate(0, 0, -10)) {
			t.Errorf("keep %v: all from %v on, %v is missing", test.keep, found.From, missing)
		}
	}
}
