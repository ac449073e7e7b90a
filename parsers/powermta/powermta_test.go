package powermta

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

const header = "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType," +
	"dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool"

// row returns a row of the usual columns.
func row(kind, rcpt, status, diag, mta, category string) string {
	return fmt.Sprintf(`%s,2026-11-22 06:40:10+0100,2026-11-22 06:40:00+0100,a@snd.example,%s,,x,%s,"%s",%s,%s,smtp,app,smtp,192.0.2.9,192.0.2.25,"ENHANCEDSTATUSCODES,PIPELINING",1047,v1,job7,,far.example/v1,pool`,
		kind, rcpt, status, strings.ReplaceAll(diag, `"`, `""`), mta, category)
}

var log = []string{
	header,
	row("d", "b@far.example", "2.0.0 (success)", "smtp;250 2.0.0 ok", "mx.far.example (192.0.2.25)", ""),
	row("b", "c@far.example", "5.1.1 (bad destination mailbox address)", `smtp;550 5.1.1 no "c", sorry`, "mx.far.example (192.0.2.25)", "bad-mailbox"),
	row("t", "d@far.example", "4.4.1 (no answer from host)", "", "mx.far.example (192.0.2.25)", ""),
	row("t", "d@far.example", "4.2.1 (mailbox busy)", "smtp;421 4.7.0 [TS01] deferred", "mx.far.example (192.0.2.25)", ""),
	row("b", "d@far.example", "4.4.7 (delivery time expired)", "", "", "message-expired"),
	row("b", "e@nowhere.example", "5.1.2 (bad destination system: no such domain)", "", "", "bad-domain"),
	row("r", "f@far.example", "", "", "", ""),
	row("tq", "", "4.4.1 (no answer from host)", "", "", ""),
	row("rb", "b@far.example", "5.2.1", "smtp;550 5.2.1 disabled", "", "inactive-mailbox"),
	row("f", "b@far.example", "", "", "", ""),
	row("x", "b@far.example", "", "", "", ""),
	`b,2026-11-22 06:40:10+0100,"open`,
	"bounceCat;rcpt;type;timeQueued;dsnStatus;dsnMta\r", // of another file that follows
	"quota-issues;g@far.example;b;1795329600;5.2.2 (mailbox full);mx1.far.example (192.0.2.26)\r",
	"",
}

var want = []string{
	"0",
	"arrival job7-b1 from=<a@snd.example> recipients=1\n" +
		`attempt job7-b1 delivered from=<a@snd.example> to=b@far.example relay=mx.far.example ip=192.0.2.25 service=v1 code=250/2.0.0 dsn=2.0.0 delay=10s "250 2.0.0 ok"`, "0",
	"arrival job7-c1 from=<a@snd.example> recipients=1\n" +
		`attempt job7-c1 failed from=<a@snd.example> to=c@far.example relay=mx.far.example ip=192.0.2.25 service=v1 at=/remote code=550/5.1.1 dsn=5.1.1 delay=10s "550 5.1.1 no \"c\", sorry"`, "0",
	"arrival job7-d1 from=<a@snd.example> recipients=1\n" +
		`attempt job7-d1 deferred from=<a@snd.example> to=d@far.example relay=mx.far.example ip=192.0.2.25 service=v1 at=connect/network dsn=4.4.1 delay=10s "4.4.1 (no answer from host)"`, "0",
	"arrival job7-d1 from=<a@snd.example> recipients=1\n" +
		`attempt job7-d1 deferred from=<a@snd.example> to=d@far.example relay=mx.far.example ip=192.0.2.25 service=v1 at=/remote code=421/4.7.0 dsn=4.2.1 delay=10s "421 4.7.0 [TS01] deferred"`, "0",
	"arrival job7-d1 from=<a@snd.example> recipients=1\n" +
		`attempt job7-d1 failed given-up from=<a@snd.example> to=d@far.example ip=192.0.2.25 service=v1 at=/local dsn=4.4.7 delay=10s "4.4.7 (delivery time expired)"`, "0",
	"arrival job7-e1 from=<a@snd.example> recipients=1\n" +
		`attempt job7-e1 failed from=<a@snd.example> to=e@nowhere.example ip=192.0.2.25 service=v1 at=dns/dns dsn=5.1.2 delay=10s "5.1.2 (bad destination system: no such domain)"`, "0",
	"arrival job7-f1 from=<a@snd.example> size=1047 recipients=1 service=v1\nexpected job7-f1 from=<a@snd.example> to=f@far.example service=v1", "0",
	`connection deferred relay=far.example at=connect/network "4.4.1 (no answer from host)"`, "0",
	`attempt b1 failed from-bounce from=<a@snd.example> to=b@far.example at=/remote code=550/5.2.1 dsn=5.2.1 nth=1 "550 5.2.1 disabled"`, "0",
	`complaint b1 from=<a@snd.example> to=b@far.example ip=192.0.2.9`, "0",
	"2", "2", "0",
	`attempt g1 failed to=g@far.example relay=mx1.far.example ip=192.0.2.26 at=/local dsn=5.2.2 "5.2.2 (mailbox full)"`, "0",
	"1",
}

// TestFile reads a file with two headers. Hashes in the names of messages are
// written as the recipient's first letter and a number.
func TestFile(t *testing.T) {
	var got []string
	names := map[string]string{}
	p := New(parsers.Options{Location: time.UTC})
	for _, line := range log {
		var records []string
		result := p.Parse(&parsers.Entry{Message: []byte(line)}, func(r *parsers.Record) {
			parserstest.Check(t, line, r)
			id := string(r.ID)
			at := strings.IndexByte(id, '-') + 1
			if hash := id[at:]; names[hash] == "" && len(r.Address) > 0 {
				names[hash] = string(r.Address[:1]) + "1"
			}
			records = append(records, parserstest.Show(r))
		})
		if records != nil {
			got = append(got, strings.Join(records, "\n"))
		}
		got = append(got, fmt.Sprint(int(result)))
	}
	for i := range got {
		for hash, name := range names {
			got[i] = strings.ReplaceAll(got[i], hash, name)
		}
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("record %d:\ngot  %q\nwant %q", i, got[i:], want[min(i, len(want)):])
		}
	}
}

// reports is a file of bounces and complaints. H stands for the hash of the row.
var reports = []struct{ row, want string }{
	{"type,timeLogged,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,dsnReportingMta,bounceCat,srcType,srcMta,envId,format,feedbackType,userAgent,reportingMTA,dlvSourceIp,header_message-ID", ""},
	{`rb,2026-11-22 06:40:10+0100,a@snd.example,b@far.example,rfc822;B+x@far.example,,5.1.1 (bad destination mailbox address),"smtp;550 5.1.1 no ""b""",mx.far.example (192.0.2.25),MX9.far.example (192.0.2.26),bad-mailbox,smtp,mx9.far.example (192.0.2.26),,dsn,,,,,<7@snd.example>`,
		`mx9.far.example attempt 7@snd.example failed from-bounce from=<a@snd.example> to=b@far.example orig=B+x@far.example id=<7@snd.example> relay=mx.far.example ip=192.0.2.25 at=/remote code=550/5.1.1 dsn=5.1.1 nth=1 "550 5.1.1 no \"b\""`},
	{`rb,2026-11-22 06:40:10+0100,,b@far.example,rfc822;b@far.example,,4.4.7 (delivery time expired),,,,message-expired,smtp,,,qmail,,,,,`,
		` attempt H failed given-up from-bounce to=b@far.example dsn=4.4.7 nth=1 "4.4.7 (delivery time expired)"`},
	{`rb,2026-11-22 06:40:10+0100,a@snd.example,,,,5.1.1,,,,bad-mailbox,smtp,,,dsn,,,,,`, ""},
	{`rs,2026-11-22 06:40:10+0100,a@snd.example,b@far.example,,delayed,4.4.1,,,,,smtp,,,dsn,,,,,`, ""},
	{`f,2026-11-22 06:40:10+0100,<a@snd.example>,<b@far.example>,,,,,,,,,,,arf,abuse,AOL SComp,dns; mx9.far.example,192.0.2.26,<7@snd.example>`,
		` complaint 7@snd.example from=<a@snd.example> to=b@far.example id=<7@snd.example> relay=mx9.far.example ip=192.0.2.26 "abuse"`},
	{`f,2026-11-22 06:40:10+0100,,,,,,,,,,,,,jmrp,,,,192.0.2.26,`, ` complaint H ip=192.0.2.26 "jmrp"`},
	{"type,timeLogged,format,header_To,header_Return-Path,reportedDomain,header_X-FBLId", ""},
	{"f,2026-11-22 06:40:10+0100,arf,b@far.example,<a@snd.example>,snd.example,1234", ` complaint H "arf"`},
}

// TestReports reads the rows of reports, each with all above it.
func TestReports(t *testing.T) {
	p := New(parsers.Options{Location: time.UTC})
	for _, l := range reports {
		got, hash := "", strconv.FormatUint(hashOf(offset, []byte(l.row)), 36)
		result := p.Parse(&parsers.Entry{Message: []byte(l.row)}, func(r *parsers.Record) {
			parserstest.Check(t, l.row, r)
			if want := time.Date(2026, 11, 22, 5, 40, 10, 0, time.UTC); !r.Time.Equal(want) {
				t.Errorf("%s: at %s", l.row, r.Time)
			}
			got += string(r.Host) + " " + strings.Replace(parserstest.Show(r), " "+hash, " H", 1)
		})
		if isRow := !strings.HasPrefix(l.row, "type"); got != l.want || (result == parsers.Irrelevant) != (isRow && got == "") || result == parsers.Unparsed {
			t.Errorf("%s\ngot  %q (%d)\nwant %q", l.row, got, result, l.want)
		}
	}
}

// rows returns the rows of reports.
func rows() (all []string) {
	for _, l := range reports {
		all = append(all, l.row)
	}
	return all
}

func TestClaim(t *testing.T) {
	for line, want := range map[string]parsers.Claim{
		header: parsers.MineFromHereOn,
		"type,bounceCat,timeLogged,timeQueued,orig,rcpt,dsnAction,dsnStatus,dsnDiag,vmta,jobId,envId,queue": parsers.MineFromHereOn,
		"type\ttimeLogged\ttimeQueued\trcpt\tsrcMta\tsrcIp\tvmta\tjobId\tdsnStatus\tdsnMsg\t":               parsers.NotMine, // Haraka
		"type,time,recipient": parsers.NotMine,
		reports[0].row:        parsers.MineFromHereOn,
		reports[7].row:        parsers.MineFromHereOn,
		log[1]:                parsers.NotMine,
	} {
		if got := claim(&parsers.Entry{Message: []byte(line)}); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

func TestSplit(t *testing.T) { parserstest.Split(t, "powermta", "", append(rows(), log...)...) }

func BenchmarkLines(b *testing.B) { parserstest.Bench(b, "powermta", "", log...) }

func FuzzLines(f *testing.F) {
	parserstest.Fuzz(f, "powermta", "", strings.Join(log, "\n"), strings.Join(rows(), "\n"))
}

func TestNoAllocations(t *testing.T) {
	parserstest.NoAllocFile(t, "powermta", append(rows(), log...)...)
}
