package ingest_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"mailfail/store"
)

// placedLog is mail for two through a content filter: Sieve puts one into a folder and
// throws the other away; then mail that a gateway's filter keeps, and mail that passes
// a second host, which cannot deliver it.
const placedLog = `Nov 20 01:00:00 mx postfix/smtpd[9]: 4A5B6C7D8E: client=out.snd.example[192.0.2.7]
Nov 20 01:00:00 mx postfix/cleanup[9]: 4A5B6C7D8E: message-id=<m1@snd.example>
Nov 20 01:00:01 mx postfix/qmgr[10]: 4A5B6C7D8E: from=<a@snd.example>, size=100, nrcpt=2 (queue active)
Nov 20 01:00:02 mx postfix/smtpd[9]: 5A5B6C7D8F: client=localhost[127.0.0.1], orig_queue_id=4A5B6C7D8E
Nov 20 01:00:02 mx postfix/cleanup[9]: 5A5B6C7D8F: message-id=<m1@snd.example>
Nov 20 01:00:02 mx postfix/qmgr[10]: 5A5B6C7D8F: from=<a@snd.example>, size=100, nrcpt=2 (queue active)
Nov 20 01:00:02 mx amavis[11]: (11-06) Passed CLEAN {RelayedInbound}, [192.0.2.7]:59654 <a@snd.example> -> <u@h.example>,<v@h.example>, Queue-ID: 4A5B6C7D8E, Message-ID: <m1@snd.example>, mail_id: T0, Hits: -2, size: 100, queued_as: 5A5B6C7D8F, 915 ms
Nov 20 01:00:02 mx postfix/smtp[9]: 4A5B6C7D8E: to=<u@h.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 5A5B6C7D8F)
Nov 20 01:00:02 mx postfix/smtp[9]: 4A5B6C7D8E: to=<v@h.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 5A5B6C7D8F)
Nov 20 01:00:02 mx postfix/qmgr[10]: 4A5B6C7D8E: removed
Nov 20 01:00:03 mx dovecot: lmtp(u@h.example)<7><x>: sieve: msgid=<m1@snd.example>: stored mail into mailbox 'Junk'
Nov 20 01:00:03 mx dovecot: lmtp(v@h.example)<7><x>: sieve: msgid=<m1@snd.example>: marked message to be discarded if not explicitly delivered (discard action)
Nov 20 01:00:03 mx postfix/lmtp[9]: 5A5B6C7D8F: to=<u@h.example>, relay=mx[private/dovecot-lmtp], delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 <u@h.example> x Saved)
Nov 20 01:00:03 mx postfix/lmtp[9]: 5A5B6C7D8F: to=<v@h.example>, relay=mx[private/dovecot-lmtp], delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 <v@h.example> x Saved)
Nov 20 01:00:03 mx postfix/qmgr[10]: 5A5B6C7D8F: removed
Nov 20 01:01:00 gw postfix/cleanup[9]: 6A5B6C7D8E: message-id=<m2@snd.example>
Nov 20 01:01:01 gw postfix/qmgr[10]: 6A5B6C7D8E: from=<a@snd.example>, size=100, nrcpt=1 (queue active)
Nov 20 01:01:01 gw pmg-smtp-filter[12]: 20C0FFEE0A1B2: new mail message-id=<m2@snd.example>#012
Nov 20 01:01:02 gw pmg-smtp-filter[12]: 20C0FFEE0A1B2: moved mail for <w@h.example> to spam quarantine - 20C0FFEE0A1B3 (rule: Quarantine)
Nov 20 01:01:02 gw pmg-smtp-filter[12]: 20C0FFEE0A1B2: processing time: 1.1 seconds (1, 0.1, 0)
Nov 20 01:01:02 gw postfix/smtp[9]: 6A5B6C7D8E: to=<w@h.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1, dsn=2.5.0, status=sent (250 2.5.0 OK (20C0FFEE0A1B2))
Nov 20 01:01:02 gw postfix/qmgr[10]: 6A5B6C7D8E: removed
Nov 20 01:02:00 a postfix/cleanup[9]: 7A5B6C7D8E: message-id=<m3@snd.example>
Nov 20 01:02:01 a postfix/qmgr[10]: 7A5B6C7D8E: from=<a@snd.example>, size=100, nrcpt=1 (queue active)
Nov 20 01:02:02 a postfix/smtp[9]: 7A5B6C7D8E: to=<x@far.example>, relay=b[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 8A5B6C7D8F)
Nov 20 01:02:02 a postfix/qmgr[10]: 7A5B6C7D8E: removed
Nov 20 01:02:02 b postfix/cleanup[9]: 8A5B6C7D8F: message-id=<m3@snd.example>
Nov 20 01:02:03 b postfix/qmgr[10]: 8A5B6C7D8F: from=<a@snd.example>, size=100, nrcpt=1 (queue active)
Nov 20 01:02:04 b postfix/smtp[9]: 8A5B6C7D8F: to=<x@far.example>, relay=c[192.0.2.10]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host c[192.0.2.10] said: 550 5.1.1 no such user (in reply to RCPT TO command))
Nov 20 01:02:04 b postfix/qmgr[10]: 8A5B6C7D8F: removed
`

// TestPlaced finds all legs of a message by each of its ids, with where it went in the
// end, and counts as removed what was thrown away, wherever reading stopped.
func TestPlaced(t *testing.T) {
	takesLong(t)
	lines := strings.SplitAfter(placedLog, "\n")
	for _, step := range []int{len(lines), 1} {
		db := openStore(t)
		path := filepath.Join(t.TempDir(), "mail.log")
		for i := step; ; i += step {
			writeFile(t, path, []byte(strings.Join(lines[:min(i, len(lines))], "")))
			readKeeping(t, db, math.MaxInt64, path)
			if i >= len(lines) {
				break
			}
		}
		n, err := db.Numbers(t.Context(), store.Window{}, store.Filter{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := n.Totals
		if r.Delivered != 2 || r.Removed != 2 || r.Bounced != 1 || r.HandedOver != 2 {
			t.Errorf("in steps of %d: got %+v", step, r)
		}
		for what, want := range map[string]string{
			"4A5B6C7D8E": "handed over 4A5B6C7D8E u@h.example; handed over 4A5B6C7D8E v@h.example; delivered 5A5B6C7D8F u@h.example; " +
				"dovecot: discarded v@h.example; dovecot: stored in Junk u@h.example | 5A5B6C7D8F v@h.example removed",
			"6A5B6C7D8E":       "pmg-smtp-filter: quarantined w@h.example | 6A5B6C7D8E w@h.example removed",
			"7A5B6C7D8E":       "delivered 7A5B6C7D8E x@far.example | 8A5B6C7D8F x@far.example bounced",
			"8A5B6C7D8F":       "delivered 7A5B6C7D8E x@far.example | 8A5B6C7D8F x@far.example bounced",
			"<m3@snd.example>": "delivered 7A5B6C7D8E x@far.example | 8A5B6C7D8F x@far.example bounced",
			"u@h.example":      "handed over 4A5B6C7D8E u@h.example; delivered 5A5B6C7D8F u@h.example; dovecot: stored in Junk u@h.example | ",
		} {
			if got := legs(t, db, what); got != want {
				t.Errorf("%s, in steps of %d:\ngot  %s\nwant %s", what, step, got, want)
			}
		}
	}
}

// legs returns what is known of a message as a line.
func legs(t *testing.T, db store.Reader, what string) string {
	t.Helper()
	found, err := db.Delivered(t.Context(), what)
	if err != nil {
		t.Fatal(err)
	}
	var steps, ends []string
	for _, d := range found.Rows {
		step := store.Steps[d.Step] + " " + string(d.QueueID)
		if d.Step == store.StepPlaced {
			step = string(d.Place)
		}
		steps = append(steps, fmt.Sprintf("%s %s", step, d.Recipient))
	}
	stories, _, err := db.Trace(t.Context(), what)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stories {
		for _, r := range s.Recipients {
			ends = append(ends, fmt.Sprintf("%s %s %s", s.QueueID, r.Address, r.State))
		}
	}
	return strings.Join(steps, "; ") + " | " + strings.Join(ends, "; ")
}
