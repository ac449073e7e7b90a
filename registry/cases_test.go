package registry

import "testing"

// TestCases has replies that were once read wrongly, one group a kind.
func TestCases(t *testing.T) {
	const microsoft, google = "far.mail.protection.outlook.com", "gmail-smtp-in.l.google.com"
	tests := []struct {
		kind  string
		relay string
		stage Stage
		text  string
		want  Reason
	}{
		// A word rule stood before what Exchange says of itself.
		{"socket", microsoft, 0, "450 4.4.316 Connection refused [Message=Socket error code 10061] [LastAttemptedServerName=mx.alder.example]", "connection"},
		{"socket", "", 0, "450 4.4.315 Connection timed out [Message=Socket error code 10060] [LastAttemptedIP=192.0.2.7:25]", "connection"},
		{"socket", "", 0, "[{LED=450 4.4.317 Cannot connect to remote server [Message=Socket error code 10060]};{MSG=};{FQDN=mx.alder.example};{IP=192.0.2.7};{LRT=}]", "connection"},
		{"socket", "", 0, "550 5.4.318 Message expired, connection reset(SuspiciousRemoteServerError)", "connection-lost"},
		{"codes of Microsoft", microsoft, StageAuth, "550 5.7.30 Basic authentication is not supported for Client Submission.", "login"},
		{"codes of Microsoft", "", 0, "504 5.7.4 Unrecognized authentication type", "login"},
		{"codes of Microsoft", microsoft, 0, "550 5.1.10", "user-unknown"},
		{"restricted", "", 0, "550 5.7.134 RESOLVER.RST.SenderNotAuthenticatedForMailbox; authentication required; delivery restriction check failed", "restricted"},
		{"send as", "", 0, "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; cannot submit", "bad-sender"},
		{"outbound spam", "", 0, "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; actual verdict is Suspend", "reputation"},
		{"threads", "", 0, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "rate-limited"},
		{"relay", "", 0, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", "relay-denied"},
		{"agent", "", 0, "550 4.3.2 QUEUE.TransportAgent; message deleted by transport agent", "local"},
		{"conformant", "", 0, "421 4.4.0 Remote server response was not RFC conformant", "syntax"},
		{"range", "", 0, "550 5.7.501 Access denied, spam abuse detected from IP range.", "reputation"},
		{"send as", "", 0, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "bad-sender"},

		// A second reply inside.
		{"inner", "", 0, "550 5.4.300 Message expired -> 451 5.7.3 STARTTLS is required to send mail", "tls"},
		{"inner", "", 0, "550 5.4.300 Message expired -> 452 4.2.2 The mailbox is over quota", "mailbox-full"},
		{"inner", "", 0, "550 5.4.300 Message expired -> 450 4.7.1 Client host rejected: cannot find your hostname", "reverse-dns"},
		{"inner", microsoft, 0, "550 5.4.300 Message expired -> 451 4.7.0 Greylisted, come back later", "greylisted"},
		{"inner", "", 0, "550 5.4.300 Message expired -> 421 4.7.0 Too many connections", "rate-limited"},

		// A list that answers its asker with an error lists nobody.
		{"resolver", "", StageRcpt, "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org; Error: open resolver; https://check.spamhaus.org/returnc/pub/192.0.2.53/", "system"},
		{"resolver", "", 0, "550 Error: excessive number of queries; https://www.spamhaus.org/returnc/vol/", "system"},
		{"resolver", "", 0, "550 192.0.2.9 listed at dbl.example (127.255.255.254)", "system"},

		// The stage.
		{"stage", "", StageMail, "550-Requested action not taken: mailbox unavailable 550 invalid DNS MX or A/AAAA resource record", "bad-sender"},
		{"stage", "", StageMail, "550 mailbox unavailable", "bad-sender"},
		{"stage", "", StageMail, "550 5.1.1 user unknown", "bad-sender"},
		{"stage", "", StageBanner, "550 no such user here", "client-refused"},
		{"stage", "", StageBanner, "554 mailbox unavailable", "client-refused"},
		{"stage", "", StageEndOfData, "550 Requested action not taken: mailbox unavailable", "policy"},
		{"stage", "", StageBanner, "421 Too many spams from your IP (192.0.2.9)", "reputation"},
		{"stage", "", StageBanner, "421 4.2.2 mailbox full", "storage-full"},
		{"stage", "", StageMail, "550 Sender address has null MX", "bad-sender"},
		{"stage", "", StageMail, "550 Reject due to SPF policy", "authentication"},
		{"stage", "", StageMail, "553 5.1.0 alder.example does not exist", "bad-sender"},

		// Postfix's own words.
		{"milter", "", StageData, "550 5.7.1 Command rejected", "policy"},
		{"milter", "", StageEndOfData, "5.7.1 Command rejected", "policy"},
		{"milter", "", StageEndOfData, "4.7.1 Service unavailable - try again later", "system"},
		{"milter", "", StageEndOfData, "451 4.7.1 Service unavailable - try again later", "system"},
		{"pipe", "", StageLocal, "user unknown. Command output: Invalid user specified. ", "user-unknown"},
		{"pipe", "", StageLocal, "service unavailable. Command output: 5.2.1 Mailbox is disabled", "mailbox-disabled"},
		{"greylist", "", 0, "450 4.2.0 <eve@alder.example>: Recipient address rejected: Service is unavailable (try later)", "greylisted"},
		{"lookup", "", 0, "Temporary lookup error", "local"},
		{"exim", "", 0, "delivery cancelled; message timed out", "expired"},

		// Texts without a rule, or with the wrong one.
		{"cpanel", "", 0, "Domain alder.example has exceeded the max defers and failures per hour (5/5 (100%)) allowed. Message discarded.", "rate-limited"},
		{"cpanel", "", 0, `"Outgoing mail from "info@alder.example" has been suspended."`, "login"},
		{"cpanel", "", 0, "The mail server could not deliver mail to eve@nomx.example.  The account or domain may not exist, they may be blacklisted, or missing the proper dns entries.", "domain-unknown"},
		{"cpanel", "", 0, "Mail sent by user nobody being discarded due to sender restrictions in WHM->Tweak Settings", "policy"},
		{"helo", "", StageRcpt, "503-All RCPT commands were rejected with this error: 503-R1: HELO should be a FQDN or address literal (See RFC 2821 4.1.1.1)", "reverse-dns"},
		{"sendgrid", "", 0, "550 The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.", "bad-sender"},
		{"spam or virus", "", 0, "550 Message contains spam or virus", "spam-content"},
		{"t-online", "", 0, "554 IP=192.0.2.97 - Dialup/transient IP not allowed. Use a mailgateway. (DIAL)", "client-refused"},

		// Words that decided alone.
		{"ehlo", "", StageEHLO, "lost connection with mx.alder.example[192.0.2.20] while performing the EHLO handshake", "connection-lost"},
		{"ehlo", "", StageEHLO, "conversation with mx.alder.example[192.0.2.20] timed out while performing the HELO handshake", "connection-lost"},
		{"gmail", google, StageEndOfData, "550-5.7.26 The MAIL FROM domain [alder.example] has an SPF record with a hard fail policy (-all) but it fails to pass SPF checks with the ip: [192.0.2.9]. To best protect our users from spam and phishing, the message has been blocked.", "authentication"},
		{"gmail", "", 0, "421-4.7.32 Your email has been rate limited because the From: header isn't aligned with either the authenticated SPF or DKIM organizational domain.", "authentication"},
		{"gmail", "", 0, "421-4.7.29 Your email has been rate limited because this message wasn't sent over a TLS connection.", "tls"},
		{"gmail", google, 0, "550-5.7.1 Our system has detected an unusual rate of unsolicited mail originating from your IP address, it has been blocked.", "reputation"},
		{"gmail", google, 0, "421-4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your SPF domain.", "rate-limited"},
		{"exim", "", 0, "SMTP protocol synchronization error (next input sent too soon: pipelining was not advertised): rejected \"MAIL FROM:<a@alder.example>\"", "syntax"},
		{"exim", "", 0, "503 no HELO/EHLO given", "syntax"},
		{"quota", "", 0, "450 4.7.3 Organization queue quota exceeded.", "rate-limited"},
		{"mx", "", 0, "450 4.7.1 <eve@alder.example>: Recipient address rejected: \"alder.example:primary MX doesn't accept mail from us, sorry\"", "policy"},
		{"customer", "", 0, "550 5.1.1 Not our Customer", "user-unknown"},
		{"expired", "", 0, "422 License Expired", "system"},
		{"socket", "", 0, "The recipient server did not accept our requests to connect. [mx.alder.example 192.0.2.1: socket error]", "connection"},

		// The code against a plain text.
		{"code", "", 0, "550 5.2.1 <eve@alder.example>... Addressee unknown", "user-unknown"},
		{"code", google, 0, "553 5.1.2 The recipient address <eve..x@alder.example> is not a valid RFC-5321 address. x - gsmtp", "bad-address"},
		{"code", "", 0, "452 4.1.1 <eve@alder.example> too many recent messages; try again later", "rate-limited"},
		{"code", "", 0, "450 4.2.1 Please try again later.", "system"},
		{"code", "", 0, "501 5.1.3 Invalid address", "bad-address"},
		{"code", google, 0, "550 5.7.1 Relaying disallowed", "relay-denied"},
		{"code", "", 0, "553 you are trying to use me [mx] as a relay, but I have not been configured to let you", "relay-denied"},
		{"code", google, 0, "550 5.7.1 Unauthenticated email from alder.example is not accepted due to domain's", "authentication"},
		{"rejected", "", 0, "554 5.7.1 <eve@alder.example>: Recipient address rejected: NO-DOMAIN", "relay-denied"},
		{"rejected", "", 0, "540 5.7.1 <eve@alder.example>: Recipient address rejected: Inactive", "mailbox-disabled"},

		// Local causes, and texts without a rule.
		{"local", "", 0, "failed to lookup IP address for hub.alder.example", "dns"},
		{"local", "", 0, "transport filter timeout while writing to pipe", "local"},
		{"local", "", 0, "pipe delivery process timed out", "local"},
		{"full", "", 0, "mailbox is full: retry timeout exceeded", "mailbox-full"},
		{"local", "", 0, "Tainted '/home/alder.example/mail' (file or directory name for local_delivery transport) not permitted", "local"},
		{"dns", "", 0, "missing MX, or all MXs point to missing A records, and defer requested", "dns"},
		{"utf8", "", 0, "utf8 support required but not offered for forwarding", "content"},
		{"yahoo", "", 0, "554 delivery error: dd eve@alder.example is no longer valid. [-20]", "user-unknown"},
		{"unavailable", "", 0, "550 5.2.0 <eve@alder.example> - Recipient unavailable", "mailbox-disabled"},
		{"full", "", 0, "The number of messages in recipient's mailbox exceeded the local limit.", "mailbox-full"},
		{"ptr", "", 0, "450 service permits 2 unverifyable sending IPs", "reverse-dns"},
		{"bare code", "", 0, "421 Max message per connection reached, closing transmission channel", "rate-limited"},
		{"bare code", "", 0, "451 Invalid Recipient", "user-unknown"},
		{"bare code", "", StageEndOfData, "500 Line limit exceeded", "content"},
		{"bare code", "", 0, "551 5.7.1 Unable to correctly read the forwarding recipient", "system"},
		{"unknown", "", 0, "550 5.0.0 see ticket", "unknown"},
	}
	for _, test := range tests {
		v := DefaultRules().Classify(FailureOf(test.text, test.relay, test.stage))
		if v.Reason != test.want {
			t.Errorf("%s: %q is %s by %s (%v), want %s", test.kind, test.text, v.Reason, v.Rule, v.DecidedBy, test.want)
		}
	}
}

// TestEvidence checks what a verdict says it rests on.
func TestEvidence(t *testing.T) {
	tests := []struct {
		text, relay string
		stage       Stage
		by          DecidedBy
		confidence  Confidence
	}{
		{"550 5.1.1 User unknown", "", 0, ByText, ConfidenceHigh},
		{"550 5.1.1 rate limit exceeded", "", 0, ByText, ConfidenceMedium},
		{"550 5.1.1", "", 0, ByCode, ConfidenceMedium},
		{"550 5.7.1", "", 0, ByCode, ConfidenceLow},
		{"550 5.7.26 no", "gmail-smtp-in.l.google.com", 0, ByProvider, ConfidenceHigh},
		{"550 mailbox unavailable", "", StageMail, ByStage, ConfidenceMedium},
		{"550 zip", "", 0, ByText, ConfidenceLow},
		{"550 qwertz", "", 0, ByNothing, ConfidenceLow},
	}
	for _, test := range tests {
		v := DefaultRules().Classify(FailureOf(test.text, test.relay, test.stage))
		if v.DecidedBy != test.by || v.Confidence != test.confidence {
			t.Errorf("%q: %+v, want %v, %v", test.text, v, test.by, test.confidence)
		}
	}
}
