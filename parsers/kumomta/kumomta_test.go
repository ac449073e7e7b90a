package kumomta

import (
	"strings"
	"testing"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

// record returns a log record of a type, as KumoMTA writes it, with the reply of a
// server; more comes first of its other fields.
func record(kind, response, more string) string {
	return `{"type":"` + kind + `","id":"1d98076abbbc11ed940250ebf67f93bd","sender":"a@snd.example","recipient":"b@far.example",` +
		`"queue":"promo:acme@far.example","site":"src1->(mx1|mx2)?.far.example@smtp_client","size":1047,"response":` + response + `,` + more +
		`"timestamp":1795329600,"created":1795329590,"num_attempts":1,"bounce_classification":"Uncategorized",` +
		`"egress_pool":"pool0","egress_source":"src1","source_address":{"address":"192.0.2.9:53210"},"feedback_report":null,` +
		`"meta":{"authn_id":"acme"},"headers":{"Message-ID":"<1@snd.example>","Subject":"\"queue\" {"},"delivery_protocol":"ESMTP",` +
		`"reception_protocol":"ESMTP","nodeid":"557f3ad4-2c8c-11ee-976e-782d7e12e173","tls_cipher":"TLS_AES_256_GCM_SHA384",` +
		`"tls_protocol_version":"TLSv1.3","tls_peer_subject_name":["C=US","CN=mx1.far.example"],"session_id":"9bcd689e-23d9-41b7-a015-63a1382f8b57"}`
}

// oob returns the record of a bounce that came in, with the reply that it quotes; more
// are further headers of it.
func oob(response, more string) string {
	text := record("OOB", response, `"peer_address":{"name":"MX9.far.example","addr":"0.0.0.0"},`)
	return strings.Replace(text, `"\"queue\" {"`, `"failed"`+more, 1)
}

const (
	peer    = `"peer_address":{"name":"mx1.far.example.","addr":"192.0.2.25"},`
	client  = `"peer_address":{"name":"app.snd.example","addr":"192.0.2.1"},`
	nobody  = `"peer_address":null,`
	unknown = `{"code":550,"enhanced_code":{"class":5,"subject":1,"detail":1},"content":"no \"b\" here\nsorry","command":"RCPT TO:<b@far.example>"}`
	head    = "1d98076abbbc11ed940250ebf67f93bd"
	in      = "arrival " + head + " from=<a@snd.example> id=<1@snd.example>\n"
	of      = " from=<a@snd.example> to=b@far.example id=<1@snd.example>"
)

var lines = []parserstest.Line{
	{Text: record("Reception", `{"code":250,"enhanced_code":null,"content":""}`, client),
		Want: "arrival " + head + " from=<a@snd.example> account=acme client=app.snd.example clientip=192.0.2.1 id=<1@snd.example> size=1047 recipients=1\n" +
			"expected " + head + of},
	{Text: record("Delivery", `{"code":250,"enhanced_code":{"class":2,"subject":0,"detail":0},"content":"OK ids=8a5","command":"."}`, peer),
		Want: in + "attempt " + head + " delivered" + of + ` relay=mx1.far.example ip=192.0.2.25 code=250/2.0.0 tls=TLSv1.3 delay=10s "250 2.0.0 OK ids=8a5"`},
	{Text: record("Bounce", unknown, peer),
		Want: in + "attempt " + head + " failed" + of + ` relay=mx1.far.example ip=192.0.2.25 at=rcpt/remote code=550/5.1.1 tls=TLSv1.3 delay=10s "550 5.1.1 no \"b\" here\nsorry"`},
	{Text: record("TransientFailure", `{"code":421,"enhanced_code":null,"content":"too busy","command":"MAIL FROM:<a@snd.example>"}`, peer),
		Want: in + "attempt " + head + " deferred" + of + ` relay=mx1.far.example ip=192.0.2.25 at=mail/remote code=421/ tls=TLSv1.3 delay=10s "421 too busy"`},
	{Text: record("TransientFailure", `{"code":400,"enhanced_code":null,"content":"KumoMTA internal: failed to connect to any candidate hosts: connect to 192.0.2.25:25: Connection refused (os error 111)"}`, nobody),
		Want: in + "attempt " + head + " deferred" + of + ` at=connect/network tls=TLSv1.3 delay=10s "failed to connect to any candidate hosts: connect to 192.0.2.25:25: Connection refused (os error 111)"`},
	{Text: record("TransientFailure", `{"code":451,"enhanced_code":{"class":4,"subject":4,"detail":4},"content":"KumoMTA internal: MX consisted solely of hosts on the skip_hosts list"}`, nobody),
		Want: in + "attempt " + head + " deferred" + of + ` at=dns/dns dsn=4.4.4 tls=TLSv1.3 delay=10s "MX consisted solely of hosts on the skip_hosts list"`},
	{Text: record("Expiration", `{"code":551,"enhanced_code":{"class":5,"subject":4,"detail":7},"content":"Next delivery time would be at 2026-11-29T12:00:00Z which exceeds the expiry time EXPIRES"}`, nobody),
		Want: in + "expired " + head + of + ` delay=10s "Next delivery time would be at 2026-11-29T12:00:00Z which exceeds the expiry time EXPIRES"`},
	{Text: record("AdminBounce", `{"code":551,"enhanced_code":{"class":5,"subject":7,"detail":1},"content":"Administrator: cleaning up"}`, nobody),
		Want: in + "discarded " + head + of + ` delay=10s "Administrator: cleaning up"`},
	{Text: record("Delayed", `{"code":451,"enhanced_code":{"class":4,"subject":4,"detail":1},"content":"KumoMTA internal: no sources for far.example pool=\"pool0\" are eligible for selection at this time"}`, nobody),
		Want: in + "suspended " + head + of + ` at=route/local dsn=4.4.1 delay=10s "no sources for far.example pool=\"pool0\" are eligible for selection at this time"`},
	{Text: strings.Replace(record("Rejection", `{"code":550,"enhanced_code":{"class":5,"subject":7,"detail":1},"content":"relaying not permitted","command":"RCPT TO:<b@far.example>"}`, client), `"meta":{"authn_id":"acme"},"headers":{"Message-ID":"<1@snd.example>","Subject":"\"queue\" {"}`, `"meta":{},"headers":{}`, 1),
		Want: `rejection from=<a@snd.example> to=b@far.example client=app.snd.example clientip=192.0.2.1 at=rcpt/local code=550/5.7.1 "550 5.7.1 relaying not permitted"`},
	{Text: strings.Replace(record("XferOut", `{"code":250,"enhanced_code":null,"content":""}`, peer), `"b@far.example"`, `["b@far.example","<c@far.example>"]`, 1),
		Want: in + "handed-over " + head + of + " delay=10s\nhanded-over " + head + " from=<a@snd.example> to=c@far.example id=<1@snd.example> delay=10s"},
	{Text: strings.Replace(record("Delivery", `{"code":200,"enhanced_code":null,"content":"OK"}`, nobody), `"reception_protocol":"ESMTP"`, `"reception_protocol":"LogRecord"`, 1), Result: parsers.Irrelevant},
	{Text: record("Feedback", `{"code":0,"enhanced_code":null,"content":""}`, client), Result: parsers.Irrelevant},
	{Text: strings.Replace(record("Feedback", `{"code":0,"enhanced_code":null,"content":""}`, client), `"feedback_report":null`, `"feedback_report":{"feedback_type":"abuse",`+
		`"user_agent":"Example-FBL/1.0","version":1,"arrival_date":"2026-11-22T06:00:00Z","original_mail_from":"<news@snd.example>",`+
		`"reporting_mta":{"mta_type":"dns","name":"mx1.far.example"},"original_rcpto_to":["<b@far.example>"],"extensions":{},`+
		`"original_message":"From: <news@snd.example>\r\nMessage-ID: <7@snd.example>\r\n\r\nMessage-ID: <8@snd.example>\r\n"}`, 1),
		Want: "complaint " + head + ` from=<news@snd.example> to=b@far.example id=<7@snd.example> relay=mx1.far.example ip=192.0.2.1 "abuse"`},
	// A bounce that came in: its Message-ID is not that of what it returns.
	{Text: oob(`{"code":552,"enhanced_code":{"class":5,"subject":2,"detail":2},"content":"5.2.2 mailbox full","command":null}`, ""),
		Want: "attempt " + head + ` failed from-bounce from=<a@snd.example> to=b@far.example at=/remote code=552/5.2.2 dsn=5.2.2 nth=1 "552 5.2.2 mailbox full"`},
	{Text: oob(`{"code":552,"enhanced_code":{"class":5,"subject":2,"detail":2},"content":"full","command":null}`, `,"In-Reply-To":"<7@snd.example>"`),
		Want: `attempt 7@snd.example failed from-bounce from=<a@snd.example> to=b@far.example id=<7@snd.example> at=/remote code=552/ dsn=5.2.2 nth=1 "552 full"`},
	{Text: oob(`{"code":550,"enhanced_code":{"class":4,"subject":4,"detail":7},"content":"","command":null}`, `,"references":"<6@snd.example>\r\n <7@snd.example>"`),
		Want: `attempt 7@snd.example failed given-up from-bounce from=<a@snd.example> to=b@far.example id=<7@snd.example> dsn=4.4.7 nth=1`},
	{Text: oob(`{"code":550,"enhanced_code":{"class":5,"subject":1,"detail":1},"content":"554-5.7.1 no\n554 5.7.1 spam","command":null}`, `,"References":["<6@snd.example>"],"In-Reply-To":"<no id>"`),
		Want: "attempt " + head + ` failed from-bounce from=<a@snd.example> to=b@far.example at=/remote code=554/5.7.1 dsn=5.1.1 nth=1 "554-5.7.1 no\n554 5.7.1 spam"`},
	{Text: strings.Replace(oob(`{"code":550,"enhanced_code":null,"content":"no"}`, ""), `"b@far.example"`, `"b c@far.example"`, 1), Result: parsers.Irrelevant},
	{Text: strings.Replace(oob(`{"code":550,"enhanced_code":null,"content":"no"}`, ""), `"id":"`, `"ids":"`, 1), Result: parsers.Unparsed},
	{Text: record("Later", `{}`, ""), Result: parsers.Unparsed},
	{Text: record("Delivery", `{`, ""), Result: parsers.Unparsed},
	{Text: `{"queue":"","num_attempts":0,"bounce_classification":"","site":""}`, Result: parsers.Unparsed},
}

func TestLines(t *testing.T) { parserstest.Lines(t, "kumomta", lines) }

// TestReporter: the host of a bounce is the server that reports.
func TestReporter(t *testing.T) {
	p, n := New(parsers.Options{}), 0
	p.Parse(&parsers.Entry{Message: []byte(oob(unknown, ""))}, func(r *parsers.Record) {
		if n++; string(r.Host) != "mx9.far.example" {
			t.Errorf("host %q", r.Host)
		}
	})
	if n != 1 {
		t.Errorf("%d records", n)
	}
}

func TestTime(t *testing.T) {
	for in, want := range map[string]string{
		"1795329600":               "2026-11-22T06:40:00Z",
		"1795329600.25":            "2026-11-22T06:40:00.25Z",
		"2026-11-22T08:40:00.5Z":   "2026-11-22T08:40:00.5Z",
		"yesterday":                "0001-01-01T00:00:00Z",
		"99999999999999999999":     "0001-01-01T00:00:00Z",
		"2026-11-22T08:40:00+9:00": "0001-01-01T00:00:00Z",
	} {
		if got := timeOf([]byte(in)).Format("2006-01-02T15:04:05.999Z07:00"); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// texts returns the lines that are records.
func texts() (all []string) {
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

func TestSplit(t *testing.T) { parserstest.Split(t, "kumomta", "", texts()...) }

func TestNoAllocations(t *testing.T) { parserstest.NoAlloc(t, "kumomta", "", texts()...) }

func BenchmarkLines(b *testing.B) { parserstest.Bench(b, "kumomta", "", texts()...) }

func FuzzLines(f *testing.F) { parserstest.Fuzz(f, "kumomta", "", texts()...) }
