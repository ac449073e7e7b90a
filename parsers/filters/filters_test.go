package filters

import (
	"testing"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

var lines = []parserstest.Line{
	{Program: "dovecot", Text: "lmtp(ann@far.example)<7><x/1>: sieve: msgid=<m@y>: stored mail into mailbox 'Junk'",
		Want: `placed to=ann@far.example id=<m@y> service=dovecot place="dovecot: stored in Junk"`},
	{Program: "dovecot", Text: "lmtp(7, ann@far.example): wArTL0TxF2AccAAA: sieve: msgid=<m@y>: stored mail into mailbox 'INBOX' ",
		Want: `placed to=ann@far.example id=<m@y> service=dovecot place="dovecot: stored in INBOX"`},
	{Program: "dovecot", Text: "lda(ann)<7><x>: msgid=<m@y>: saved mail to INBOX",
		Want: `placed to=ann id=<m@y> service=dovecot place="dovecot: stored in INBOX"`},
	{Program: "dovecot", Text: "lmtp(ann@far.example)<7><x>: sieve: msgid=<m@y>: marked message to be discarded if not explicitly delivered (discard action)",
		Want: `placed removed to=ann@far.example id=<m@y> service=dovecot place="dovecot: discarded"`},
	{Program: "dovecot", Text: "lmtp(ann@far.example)<7><x>: sieve: msgid=<m@y>: discard action: Marked message to be discarded if not explicitly delivered",
		Want: `placed removed to=ann@far.example id=<m@y> service=dovecot place="dovecot: discarded"`},
	{Program: "dovecot", Text: "lmtp(ann@far.example)<7><x>: sieve: msgid=<m@y>: fileinto action: stored mail into mailbox 'Lists/Go'",
		Want: `placed to=ann@far.example id=<m@y> service=dovecot place="dovecot: stored in Lists/Go"`},
	{Program: "dovecot", Text: "lmtp(ann@far.example)<7><x>: sieve: msgid=unspecified: forwarded to <bob@other.example>",
		Want: `placed to=ann@far.example service=dovecot place="dovecot: forwarded to bob@other.example"`},
	{Program: "dovecot", Text: "lmtp(ann@far.example)<7><x>: sieve: msgid=<m@y>: sent vacation response to <bob@other.example>", Result: parsers.Irrelevant},
	{Program: "amavis", Text: `(10410-08) Blocked SPAM {DiscardedInbound,Quarantined}, [192.0.2.1]:4 [192.0.2.1] <"> -> <x"@snd.example> -> <b@far.example>,<"c,d"@far.example>, quarantine: s/spam-x.gz, Queue-ID: 4F5C64474F, Message-ID: <m@snd.example>, mail_id: eFt, Hits: 15.4, size: 1315, 2426 ms`,
		Want: "placed 4F5C64474F removed to=b@far.example id=<m@snd.example> service=amavis place=\"amavis: quarantined\"\n" +
			"placed 4F5C64474F removed to=\"c,d\"@far.example id=<m@snd.example> service=amavis place=\"amavis: quarantined\""},
	{Program: "amavis", Text: `(10410-08) Blocked BANNED (exe) {DiscardedOutbound}, LOCAL [192.0.2.1]:4 <a@x> -> <b@far.example>, Queue-ID: 4F5C64474F, Message-ID: <m@x>, mail_id: eFt, Hits: -, size: 5, 26 ms`,
		Want: `placed 4F5C64474F removed to=b@far.example id=<m@x> service=amavis place="amavis: discarded"`},
	{Program: "amavis", Text: `(10410-08) Blocked SPAM {RejectedInbound}, [192.0.2.1]:4 <a@x> -> <b@far.example>, Queue-ID: 4F5C64474F, mail_id: eFt`},
	{Program: "rspamd", Text: `<a1b2c3>; proxy; rspamd_task_write_log: id: <m@x>, qid: <3A3D26C44C>, ip: 192.0.2.1, from: <a@x>, (default: F (add header): [8.10/15.00] [BAYES_SPAM(5.10){99.9%;},R_X(3.0){}]), len: 9, time: 2.1ms, dns req: 1, digest: <d>, rcpts: <b@far.example,c@far.example>, mime_rcpts: <b@far.example>`,
		Want: "placed 3A3D26C44C to=b@far.example id=<m@x> service=rspamd place=\"rspamd: marked as spam, 8.10/15.00\"\n" +
			"placed 3A3D26C44C to=c@far.example id=<m@x> service=rspamd place=\"rspamd: marked as spam, 8.10/15.00\""},
	{Program: "pmg-smtp-filter", Text: "20C0FFEE0A1B2: block mail to <b@far.example> (rule: Block Viruses)",
		Want: `placed removed to=b@far.example service=pmg-smtp-filter place="pmg-smtp-filter: discarded"`},
}

// TestOthers leaves other lines of these programs to nobody.
func TestOthers(t *testing.T) {
	for _, l := range [][2]string{
		{"dovecot", "imap-login: Login: user=<a@hosted.example>, method=PLAIN, rip=10.0.0.1"},
		{"dovecot", "lmtp(7): Disconnect from local: Client has quit the connection (state=READY)"},
		{"amavis", "(10410-08) Passed CLEAN {RelayedInbound}, [192.0.2.1]:4 <a@x> -> <b@far.example>, Queue-ID: 4F5C64474F"},
		{"rspamd", "<a1b2c3>; task; rspamd_task_write_log: id: <m@x>, qid: <3A3D26C44C>, (default: F (no action): [0.10/15.00] []), rcpts: <b@far.example>"},
		{"pmg-smtp-filter", "20C0FFEE0A1B2: SA score=7/5 time=2.1 bayes=0.9 autolearn=no hits=X(1)"},
		{"postfix/smtp", "20C0FFEE0A1B2: block mail to <b@far.example> (rule: Block Viruses)"},
	} {
		if claim(&parsers.Entry{Program: []byte(l[0]), Message: []byte(l[1])}) != parsers.NotMine {
			t.Errorf("%s: %s is claimed", l[0], l[1])
		}
	}
}

func TestLines(t *testing.T) { parserstest.Lines(t, "filters", lines) }

// gatewayLines are those of one message: the id that all of them begin with stands
// for its Message-ID.
var gatewayLines = []string{
	"20C0FFEE0A1B2: new mail message-id=<m@x>#012",
	"20C0FFEE0A1B2: moved mail for <b@far.example> to spam quarantine - 20C0FFEE0A1B3 (rule: Quarantine/Mark Spam (Level 3))",
	"20C0FFEE0A1B2: block mail to <c@far.example> (rule: Block Viruses)",
	"20C0FFEE0A1B2: processing time: 2.1 seconds (1.9, 0.1, 0)",
}

func TestGateway(t *testing.T) {
	var got []string
	p := New(parsers.Options{})
	for _, l := range gatewayLines {
		e := parsers.Entry{Program: []byte("pmg-smtp-filter"), Message: []byte(l)}
		if r := p.Parse(&e, func(r *parsers.Record) { got = append(got, parserstest.Show(r)) }); r != parsers.Understood {
			t.Errorf("%s: got %d", l, r)
		}
	}
	want := []string{
		`placed removed to=b@far.example id=<m@x> service=pmg-smtp-filter place="pmg-smtp-filter: quarantined"`,
		`placed removed to=c@far.example id=<m@x> service=pmg-smtp-filter place="pmg-smtp-filter: discarded"`,
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestSplit(t *testing.T) { parserstest.Split(t, "filters", "pmg-smtp-filter", gatewayLines...) }

func TestNoAllocation(t *testing.T) {
	for _, l := range lines {
		if l.Program != "pmg-smtp-filter" {
			parserstest.NoAlloc(t, "filters", l.Program, l.Text)
		}
	}
}

func FuzzDovecot(f *testing.F) { parserstest.Fuzz(f, "filters", "dovecot", texts("dovecot")...) }
func FuzzAmavis(f *testing.F)  { parserstest.Fuzz(f, "filters", "amavis", texts("amavis")...) }
func FuzzRspamd(f *testing.F)  { parserstest.Fuzz(f, "filters", "rspamd", texts("rspamd")...) }
func FuzzGateway(f *testing.F) { parserstest.Fuzz(f, "filters", "pmg-smtp-filter", gatewayLines...) }

// texts returns the lines of a program.
func texts(program string) (found []string) {
	for _, l := range lines {
		if l.Program == program {
			found = append(found, l.Text)
		}
	}
	return found
}
