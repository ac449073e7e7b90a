package ses

import (
	"testing"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

const (
	mail = `"mail":{"timestamp":"2026-11-22T06:40:00.012Z","messageId":"0100-1","source":"A B <a@snd.example>","sourceArn":"arn:aws:ses:x",` +
		`"sendingAccountId":"123456789012","sourceIp":"192.0.2.1","callerIdentity":"app","destination":["b@far.example","C <c@far.example>"],"headersTruncated":false,` +
		`"headers":[{"name":"From","value":"x"},{"name":"messageId","value":"{"}],"commonHeaders":{"from":["A B <a@snd.example>"],"messageId":"<1@snd.example>","subject":"\"hi\""},` +
		`"tags":{"ses:configuration-set":["c"]}}`
	of  = "0100-1"
	in  = "arrival 0100-1 from=<a@snd.example> account=app clientip=192.0.2.1 id=<1@snd.example> recipients=2\n"
	msg = " from=<a@snd.example> to=b@far.example id=<1@snd.example>"
)

// bounce returns the event of a bounce of a recipient.
func bounce(kind, sub, recipient, more string) string {
	return `{"eventType":"Bounce","bounce":{"bounceType":"` + kind + `","bounceSubType":"` + sub + `","bouncedRecipients":[` + recipient + `],` +
		`"timestamp":"2026-11-22T06:40:02.669Z","feedbackId":"0100-2",` + more + `"reportingMTA":"dns; a8-70.smtp-out.amazonses.com"},` + mail + `}`
}

const unknown = `{"emailAddress":"b@far.example","action":"failed","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"}`

var lines = []parserstest.Line{
	{Text: `{"eventType":"Send",` + mail + `,"send":{}}`,
		Want: in + "expected " + of + msg + "\nexpected " + of + " from=<a@snd.example> to=c@far.example id=<1@snd.example>"},
	{Text: `{"notificationType":"Delivery",` + mail + `,"delivery":{"timestamp":"2026-11-22T06:40:03.5Z","recipients":["b@far.example"],"processingTimeMillis":546,` +
		`"reportingMTA":"a8-70.smtp-out.amazonses.com","smtpResponse":"250 ok:  Message 64111812 accepted","remoteMtaIp":"192.0.2.25"}}`,
		Want: in + "attempt " + of + " delivered" + msg + ` ip=192.0.2.25 code=250/ delay=546ms "250 ok:  Message 64111812 accepted"`},
	{Text: bounce("Permanent", "General", unknown+`,{"emailAddress":"c@far.example"}`, `"remoteMtaIp":"192.0.2.25",`),
		Want: in + "attempt " + of + " failed" + msg + ` ip=192.0.2.25 at=/remote code=550/5.1.1 dsn=5.1.1 delay=2.657s "550 5.1.1 user unknown"` + "\n" +
			"attempt " + of + ` failed from=<a@snd.example> to=c@far.example id=<1@snd.example> ip=192.0.2.25 delay=2.657s "Permanent"`},
	{Text: bounce("Permanent", "OnAccountSuppressionList", `{"emailAddress":"b@far.example","action":"failed","status":"5.1.1","diagnosticCode":"Amazon SES did not send the message to this address because it is on the suppression list for your account."}`, ""),
		Want: in + "attempt " + of + " failed" + msg + ` at=route/local dsn=5.1.1 delay=2.657s "Amazon SES did not send the message to this address because it is on the suppression list for your account."`},
	{Text: bounce("Transient", "MailboxFull", `{"emailAddress":"b@far.example","action":"failed","status":"4.4.7","diagnosticCode":"smtp; 452 4.2.2 full"}`, ""),
		Want: in + "attempt " + of + " failed given-up" + msg + ` at=/remote code=452/4.2.2 dsn=4.4.7 delay=2.657s "452 4.2.2 full"`},
	{Text: `{"eventType":"DeliveryDelay",` + mail + `,"deliveryDelay":{"timestamp":"2026-11-22T07:40:00.012Z","delayType":"TransientCommunicationFailure",` +
		`"expirationTime":"2026-11-23T00:00:00Z","delayedRecipients":[{"emailAddress":"b@far.example","status":"4.4.1","diagnosticCode":"smtp; 421 4.4.1 unable to connect"},` +
		`{"emailAddress":"c@far.example","status":"4.4.1","diagnosticCode":"unable to connect to remote host"}]}}`,
		Want: in + "attempt " + of + " deferred" + msg + ` at=/remote code=421/4.4.1 dsn=4.4.1 delay=1h0m0s "421 4.4.1 unable to connect"` + "\n" +
			"attempt " + of + ` deferred from=<a@snd.example> to=c@far.example id=<1@snd.example> at=connect/network dsn=4.4.1 delay=1h0m0s "unable to connect to remote host"`},
	{Text: `{"eventType":"Reject",` + mail + `,"reject":{"reason":"Bad content"}}`,
		Want: in + "attempt " + of + " failed" + msg + ` at=route/local "Bad content"` + "\nattempt " + of + ` failed from=<a@snd.example> to=c@far.example id=<1@snd.example> at=route/local "Bad content"`},
	{Text: `{"version":"0","source":"aws.ses","detail-type":"Email Bounced","time":"2026-11-22T06:40:03Z","detail":` + bounce("Permanent", "General", unknown, "") + `}`,
		Want: in + "attempt " + of + " failed" + msg + ` at=/remote code=550/5.1.1 dsn=5.1.1 delay=2.657s "550 5.1.1 user unknown"`},
	{Text: "[" + bounce("Permanent", "General", unknown, "") + `,{"eventType":"Open",` + mail + "}]",
		Want: in + "attempt " + of + " failed" + msg + ` at=/remote code=550/5.1.1 dsn=5.1.1 delay=2.657s "550 5.1.1 user unknown"`},
	{Text: `[{"eventType":"Open",` + mail + "}", Result: parsers.Unparsed},
	{Text: `{"eventType":"Complaint",` + mail + `,"complaint":{"complainedRecipients":[{"emailAddress":"b@far.example"}],` +
		`"timestamp":"2026-11-22T08:00:00.000Z","feedbackId":"0100","userAgent":"Far Feedback","complaintFeedbackType":"abuse"}}`,
		Want: "complaint " + of + msg + ` "abuse"`},
	{Text: `{"eventType":"Complaint",` + mail + `,"complaint":{}}`, Result: parsers.Unparsed},
	{Text: `{"eventType":"Bounce",` + mail + `}`, Result: parsers.Unparsed},
	{Text: `{"eventType":"Later",` + mail + `}`, Result: parsers.Unparsed},
	{Text: `{"eventType":"Bounce",` + mail, Result: parsers.Unparsed},
}

func TestLines(t *testing.T) { parserstest.Lines(t, "ses", lines) }

func texts() (all []string) {
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

func TestSplit(t *testing.T) { parserstest.Split(t, "ses", "", texts()...) }

func TestNoAllocations(t *testing.T) { parserstest.NoAlloc(t, "ses", "", texts()...) }

func BenchmarkLines(b *testing.B) { parserstest.Bench(b, "ses", "", texts()...) }

func FuzzLines(f *testing.F) { parserstest.Fuzz(f, "ses", "", texts()...) }
