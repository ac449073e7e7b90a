package mailgun

import (
	"strings"
	"testing"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

// text returns an event as the API has it.
func text(kind, more, status string) string {
	return `{"event":"` + kind + `","id":"W3X4JOhFT-OZidZGKKr9iA","timestamp":1795329600.25,"log-level":"info",` + more +
		`"envelope":{"sender":"a@snd.example","sending-ip":"192.0.2.9","targets":"b@far.example","transport":"smtp"},` +
		`"flags":{"is-routed":false,"is-test-mode":false,"is-delayed-bounce":false},"user-variables":{"event":"\"items\": [","items":1},` +
		`"message":{"attachments":[],"headers":{"from":"A <a@snd.example>","message-id":"1@snd.example","to":"b@far.example","subject":"hi"},"size":341},` +
		`"delivery-status":` + status + `,"recipient":"b@far.example","recipient-domain":"far.example","tags":[],"campaigns":[]}`
}

const (
	in = "arrival 1@snd.example from=<a@snd.example> id=<1@snd.example> size=341\n"
	of = " from=<a@snd.example> to=b@far.example id=<1@snd.example>"
)

var lines = []parserstest.Line{
	{Text: text("accepted", `"method":"SMTP","originating-ip":"192.0.2.1","authenticated-as":"postmaster@snd.example",`, `{}`),
		Want: "arrival 1@snd.example from=<a@snd.example> account=postmaster@snd.example clientip=192.0.2.1 id=<1@snd.example> size=341\nexpected 1@snd.example" + of},
	{Text: text("delivered", "", `{"attempt-no":1,"code":250,"message":"OK","description":"","mx-host":"mx.far.example","tls":true,"session-seconds":1.2}`),
		Want: in + "attempt 1@snd.example delivered" + of + ` relay=mx.far.example code=250/ "250 OK"`},
	{Text: text("failed", `"severity":"permanent","reason":"bounce",`, `{"attempt-no":1,"code":550,"enhanced-code":"5.1.1","message":"5.1.1 no \u00fcser","description":"","mx-host":"mx.far.example","bounce-type":"hard"}`),
		Want: in + "attempt 1@snd.example failed" + of + ` relay=mx.far.example at=/remote code=550/5.1.1 dsn=5.1.1 "550 5.1.1 no üser"`},
	{Text: text("failed", `"severity":"temporary","reason":"generic",`, `{"attempt-no":2,"code":421,"message":"421 4.7.0 later","description":null,"mx-host":"mx.far.example","retry-seconds":600}`),
		Want: in + "attempt 1@snd.example deferred" + of + ` relay=mx.far.example at=/remote code=421/4.7.0 "421 4.7.0 later"`},
	{Text: text("failed", `"severity":"temporary","reason":"generic",`, `{"code":498,"message":"No MX for far.example","description":""}`),
		Want: in + "attempt 1@snd.example deferred" + of + ` at=dns/dns "No MX for far.example"`},
	{Text: text("failed", `"severity":"permanent","reason":"suppress-bounce",`, `{"code":605,"message":"","description":"Not delivering to previously bounced address"}`),
		Want: in + "attempt 1@snd.example failed" + of + ` at=route/local "Not delivering to previously bounced address"`},
	{Text: text("failed", `"severity":"permanent","reason":"old",`, `{"code":602,"message":"Too old","attempt-no":9}`),
		Want: in + "attempt 1@snd.example failed given-up" + of + ` at=route/local "Too old"`},
	{Text: text("rejected", `"reject":{"reason":"Sandbox subdomains are for test purposes only.","description":""},`, `null`),
		Want: `rejection from=<a@snd.example> to=b@far.example at=end-of-data/local "Sandbox subdomains are for test purposes only."`},
	{Text: `{"signature":{"timestamp":"1795329600","token":"x","signature":"y"},"event-data":` + text("delivered", "", `{"code":250,"message":"250 2.0.0 ok"}`) + `}`,
		Want: in + "attempt 1@snd.example delivered" + of + ` code=250/2.0.0 "250 2.0.0 ok"`},
	{Text: `{"items":[` + text("delivered", "", `{"code":250,"message":"250 2.0.0 ok"}`) + `,` + text("opened", "", "{}") + `],"paging":{"next":"https://api.mailgun.net/v3/x"}}`,
		Want: in + "attempt 1@snd.example delivered" + of + ` code=250/2.0.0 "250 2.0.0 ok"`},
	{Text: `[` + text("opened", "", "{}") + `]`, Result: parsers.Irrelevant},
	{Text: `[` + text("opened", "", "{}") + `,`, Result: parsers.Unparsed},
	{Text: text("opened", "", "{}"), Result: parsers.Irrelevant},
	{Text: text("complained", "", "{}"), Want: "complaint 1@snd.example" + of + ` "abuse"`},
	{Text: text("vanished", "", "{}"), Result: parsers.Unparsed},
	{Text: text("failed", "", "{"), Result: parsers.Unparsed},
	{Text: strings.Replace(text("failed", "", "{}"), "1795329600.25", `"now"`, 1), Result: parsers.Unparsed},
}

func TestLines(t *testing.T) { parserstest.Lines(t, "mailgun", lines) }

func texts() (all []string) {
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

func TestSplit(t *testing.T) { parserstest.Split(t, "mailgun", "", texts()...) }

func TestNoAllocations(t *testing.T) { parserstest.NoAlloc(t, "mailgun", "", texts()...) }

func BenchmarkLines(b *testing.B) { parserstest.Bench(b, "mailgun", "", texts()...) }

func FuzzLines(f *testing.F) { parserstest.Fuzz(f, "mailgun", "", texts()...) }
