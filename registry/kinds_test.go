package registry

import "testing"

// TestKinds has three more texts for every kind of reply that was once read
// wrongly: other words, hosts and stages than TestCases, and no code where the
// kind does not need one.
func TestKinds(t *testing.T) {
	const microsoft, google, gmx = "birch-example.mail.protection.outlook.com", "alt1.gmail-smtp-in.l.google.com", "mx00.gmx.net"
	type sample struct {
		relay string
		stage Stage
		text  string
		want  Reason
	}
	kinds := map[string][]sample{
		"socket errors of Exchange": {
			{microsoft, 0, "450 4.4.317 Cannot connect to remote server [Message=Socket error code 10060] [LastAttemptedIP=198.51.100.4:25]", "connection"},
			{"", 0, "[{LED=450 4.4.316 Connection refused [Message=Socket error code 10061]};{MSG=};{FQDN=mx.birch.example}]", "connection"},
			{"", 0, "450 4.4.318 Connection was closed abruptly (SuspiciousRemoteServerError)", "connection-lost"},
		},
		"the cause in an expired message": {
			{"", 0, "550 5.4.300 Message expired -> 450 4.2.2 recipient is over quota", "mailbox-full"},
			{"", 0, "550 5.4.300 Message expired -> 451 4.7.23 the address has no PTR record", "reverse-dns"},
			{"", 0, "554 5.4.7 Delivery expired, last reply was: 450 4.7.1 greylisted, please retry", "greylisted"},
		},
		"logins of Microsoft": {
			{microsoft, StageAuth, "550 5.7.30 Basic authentication is disabled for client submission", "login"},
			{"", StageAuth, "504 5.7.4 Unrecognized Authentication Type", "login"},
			{microsoft, StageAuth, "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", "login"},
		},
		"restricted groups": {
			{"", 0, "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; group all@birch.example", "restricted"},
			{"", 0, "550 5.7.136 RESOLVER.RST.SenderNotAuthenticatedForMailUser; authentication required", "restricted"},
			{microsoft, 0, "550 5.7.124 Sender not in allowed-senders list", "restricted"},
		},
		"who sends as whom": {
			{"", 0, "554 5.2.252 SendAsDenied; web@birch.example not allowed to send as boss@birch.example; STOREDRV.Submission.Exception:SendAsDeniedException", "bad-sender"},
			{"", StageEndOfData, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "bad-sender"},
			{"", StageMail, "553 5.7.1 <boss@birch.example>: Sender address rejected: not owned by user web", "bad-sender"},
		},
		"server busy": {
			{microsoft, StageBanner, "451 4.7.500 Server busy. Please try again later from [198.51.100.4].", "rate-limited"},
			{"", 0, "451 4.7.500 Server busy", "rate-limited"},
			{"relay.birch.example", StageRcpt, "451 4.7.501 Server busy, please slow down (AS843)", "rate-limited"},
		},
		"lists that answer their asker with an error": {
			{"", StageRcpt, "554 5.7.1 Service unavailable; Client host [198.51.100.4] blocked using sbl.spamhaus.org; Error: open resolver; https://check.spamhaus.org/returnc/pub/198.51.100.53/", "system"},
			{"", StageRcpt, "550 rejected because 198.51.100.4 is in a black list at bl.birch.example, 127.255.255.254", "system"},
			{"", StageRcpt, "554 5.7.1 blocked using zen.spamhaus.org; Error: excessive number of queries; https://check.spamhaus.org/returnc/vol/", "system"},
		},
		"what MAIL FROM is answered with": {
			{gmx, StageMail, "550-Requested action not taken: mailbox unavailable 550 invalid DNS MX or A/AAAA resource record", "bad-sender"},
			{"", StageMail, "550 5.1.1 no such mailbox", "bad-sender"},
			{"", StageMail, "550 Unknown user web@birch.example", "bad-sender"},
		},
		"what a greeting says": {
			{"", StageBanner, "550 mailbox unavailable", "client-refused"},
			{"", StageBanner, "421 Too many spams from your address", "reputation"},
			{"", StageBanner, "452 mailbox is full", "storage-full"},
		},
		"words of Postfix for milters": {
			{"", StageData, "550 5.7.1 Command rejected", "policy"},
			{"", StageEndOfData, "5.7.1 Command rejected", "policy"},
			{"", StageEndOfData, "451 4.7.1 Service unavailable - try again later", "system"},
		},
		"what a pipe prints": {
			{"", 0, "user unknown. Command output: Invalid user specified.", "user-unknown"},
			{"", 0, "user unknown. Command output: lda(ann): Fatal: Unknown user", "user-unknown"},
			{"", 0, "service unavailable. Command output: 5.2.1 Mailbox is disabled", "mailbox-disabled"},
		},
		"SPF and spam in one sentence": {
			{google, StageEndOfData, "550-5.7.26 This mail has been blocked because the sender is unauthenticated. 550-5.7.26 To protect our users from spam and phishing all senders must authenticate with SPF or DKIM.", "authentication"},
			{"", StageEndOfData, "550-5.7.26 The MAIL FROM domain [birch.example] has an SPF record with a hard fail policy (-all) but it fails to pass SPF checks. To best protect our users from spam and phishing, the message has been blocked.", "authentication"},
			{google, StageEndOfData, "421-4.7.32 Your email has been rate limited because the From: header isn't aligned with either SPF or DKIM.", "authentication"},
		},
		"EHLO handshakes": {
			{"", 0, "lost connection with mx.birch.example[198.51.100.4] while performing the LHLO handshake", "connection-lost"},
			{"", 0, "conversation with mx.birch.example[198.51.100.4] timed out while performing the EHLO handshake", "connection-lost"},
			{"", 0, "lost connection with mx.birch.example[198.51.100.4] while performing the HELO handshake", "connection-lost"},
		},
		"greetings in several lines": {
			{"", StageBanner, "220-mx.birch.example ESMTP 421 4.3.2 too many connections", "rate-limited"},
			{"", StageBanner, "220-hub 554 5.7.1 you are listed at bl.birch.example", "blocklist"},
			{"", StageBanner, "220-welcome 421 Service refused, try later", "system"},
		},
		"protocol faults": {
			{"", 0, "SMTP protocol synchronization error (next input sent too soon: pipelining was not advertised)", "syntax"},
			{"", StageMail, "503 no HELO/EHLO given", "syntax"},
			{"", StageEndOfData, "500 Line limit exceeded", "content"},
		},
		"words that decided alone": {
			{"", StageRcpt, "450 4.7.3 Organization queue quota exceeded, retry later.", "rate-limited"},
			{"", 0, "422 License Expired", "system"},
			{"", StageMail, "550 5.1.0 birch.example does not exist", "bad-sender"},
			{"", StageBanner, "554 mx1 198.51.100.4 Comcast block for spam. Please see http://postmaster.birch.example/smtp-error-codes.php#BL000001", "blocklist"},
			{"", 0, "The recipient server did not accept our requests to connect. [mx.birch.example 198.51.100.4: socket error]", "connection"},
			{"", StageRcpt, "450 4.7.1 Recipient address rejected: \"birch.example:primary MX doesn't accept mail from us, sorry\"", "policy"},
		},
		"codes that the text contradicts": {
			{"", StageRcpt, "550 5.2.1 <ann@birch.example>... Addressee unknown", "user-unknown"},
			{"", StageRcpt, "452 4.1.1 <ann@birch.example> too many recent messages; retry later", "rate-limited"},
			{"", StageRcpt, "553 Relaying disallowed", "relay-denied"},
			{"", StageRcpt, "501 5.1.3 Invalid address", "bad-address"},
			{"", StageEndOfData, "450 4.2.1 Please try again later.", "system"},
			{"", StageEndOfData, "550 5.7.1 Unauthenticated email from birch.example is not accepted due to domain's", "authentication"},
		},
		"recipient address rejected, and why": {
			{"", StageRcpt, "554 5.7.1 <ann@birch.example>: Recipient address rejected: CUSTOM-RULE-7.", "policy"},
			{"", StageRcpt, "540 5.7.1 <ann@birch.example>: Recipient address rejected: Inactive", "mailbox-disabled"},
			{"", StageRcpt, "554 5.7.1 <ann@birch.example>: Recipient address rejected: NO-DOMAIN.", "relay-denied"},
		},
		"a full mailbox in the end": {
			{"", 0, "mailbox is full: retry timeout exceeded", "mailbox-full"},
			{"", 0, "mailbox full: retry timeout exceeded", "mailbox-full"},
			{"", 0, "retry timeout exceeded: user over quota", "mailbox-full"},
		},
		"local causes of Exim": {
			{"", 0, "failed to lookup IP address for mx.birch.example", "dns"},
			{"", 0, "pipe delivery process timed out", "local"},
			{"", 0, "Tainted '/var/mail/birch' (file or directory name for local transport) not permitted", "local"},
		},
		"said without a colon": {
			{"", 0, "RCPT TO said 550 No such user here", "user-unknown"},
			{"", 0, "MAIL FROM said 553 sender is on our block list", "blocklist"},
			{"", 0, "Remote responded with failure: 552 sorry, that message size exceeds my databytes limit", "too-big"},
		},
		"words of a filter before the code": {
			{"", StageRcpt, "450 cuda_nsu 4.7.1 <ann@birch.example>: Recipient address rejected: greylisted", "greylisted"},
			{"", StageRcpt, "550 cuda_nsu 5.1.1 <ann@birch.example>... User unknown", "user-unknown"},
			{"", StageRcpt, "550 cuda_nsu 5.7.1 <ann@birch.example>: relaying denied", "relay-denied"},
		},
		"spam by content filtering": {
			{"", StageEndOfData, "550 5.7.1 Message rejected as spam by Content Filtering.", "spam-content"},
			{"", StageEndOfData, "554 the mail was rejected by our spam filter", "spam-content"},
			{"", StageEndOfData, "550 5.2.1 quarantined by content filtering", "spam-content"},
		},
		"why a sender is refused": {
			{"", StageRcpt, "450 4.7.1 <web@birch.example>: Sender address rejected: too many messages in an hour", "rate-limited"},
			{"", StageRcpt, "554 5.7.1 <web@birch.example>: Sender address rejected: Access denied", "bad-sender"},
			{"", StageRcpt, "450 4.1.8 <web@birch.example>: Sender address rejected: Domain not found", "bad-sender"},
			{"", StageRcpt, "554 5.7.1 <web@birch.example>: Sender address rejected: undeliverable address: host mx.birch.example[198.51.100.4] said: 550 5.1.1 no such user", "bad-sender"},
		},
		"hosts that send too much": {
			{"", 0, "Domain birch.example has exceeded the max defers and failures per hour (7/5 (140%)) allowed. Message discarded.", "rate-limited"},
			{"", 0, "Outgoing mail from \"ann@birch.example\" has been suspended.", "login"},
			{google, StageEndOfData, "550-5.7.1 [198.51.100.4 12] Our system has detected an unusual rate of unsolicited mail originating from your IP address. Mail sent from your IP address has been blocked.", "reputation"},
		},
	}
	for kind, samples := range kinds {
		for _, s := range samples {
			if v := DefaultRules().Classify(FailureOf(s.text, s.relay, s.stage)); v.Reason != s.want {
				t.Errorf("%s: %q at %v is %s by %s (%v), want %s", kind, s.text, s.stage, v.Reason, v.Rule, v.Confidence, s.want)
			}
		}
	}
}
