package registry

import "bytes"

// atStage corrects a reason that is not possible at the stage at which f failed. Before
// RCPT TO, no reply is about the recipient: "mailbox unavailable" in answer to MAIL FROM
// is about the sender, in a greeting about the client. Before DATA, no reply is about the
// message: a server that says "spam" then means the sender's reputation. After a server
// has accepted the recipient, "mailbox unavailable", the standard text of 550, is not
// about the recipient any more. A server that answers a command reports its own state, so
// the fault is not on this host.
func atStage(f *Failure, v Verdict, text []byte) Verdict {
	if f.Reply == 0 || v.Reason == "unknown" {
		return v
	}
	reason := v.Reason
	if reason == "local" && f.Stage != StageUnknown && f.Stage <= StageEndOfData {
		reason = "system" // a fault of the host that replies, not of the one that sends
	}
	if reason == "connection" && f.Stage >= StageMail && f.Stage <= StageEndOfData {
		reason = "system" // this connection works: the server lacks one to a service that it needs
	}
	switch f.Stage {
	case StageConnect, StageBanner, StageEHLO, StageSTARTTLS:
		reason = beforeMail(f, reason)
	case StageAuth:
		reason = atLogin(reason)
	case StageMail:
		reason = atMail(reason)
	case StageRcpt:
		reason = aboutMessage(reason)
	case StageData, StageEndOfData:
		if v.Reason == "user-unknown" && v.DecidedBy == ByText && f.Enhanced.Subject != 1 &&
			bytes.Contains(text, []byte("mailbox unavailable")) && !bytes.Contains(text, []byte("unknown")) {
			reason = "policy"
		} else if reason == "syntax" && f.Stage == StageEndOfData && v.DecidedBy == ByText {
			reason = "content" // the server answered a message, not a command
		}
	}
	if reason == v.Reason {
		return v
	}
	return Verdict{reason, v.Rule, ByStage, min(v.Confidence, ConfidenceMedium)}
}

// beforeMail returns the meaning of a reason before MAIL FROM, when the server knows only
// the client.
func beforeMail(f *Failure, r Reason) Reason {
	switch r {
	case "spam-content", "virus":
		return "reputation"
	case "mailbox-full":
		return "storage-full"
	case "too-many-recipients":
		return "rate-limited"
	case "connection":
		if f.Source == SourceNetwork { // the MTA reports it, in the form of a reply
			return r
		}
		return "client-refused" // the reply came over a connection
	case "domain-unknown", "null-mx", "routing":
		if f.Stage == StageEHLO {
			return "reverse-dns" // the only name that the server knows so far
		}
		return "client-refused"
	case "user-unknown", "moved", "bad-address", "bad-sender", "mailbox-disabled", "restricted",
		"content", "too-big":
		if f.Reply/100 == 4 {
			return "system"
		}
		return "client-refused"
	}
	return r
}

// atLogin returns the meaning of a reason in answer to AUTH.
func atLogin(r Reason) Reason {
	switch r {
	case "user-unknown", "moved", "bad-address", "bad-sender", "mailbox-disabled", "restricted", "syntax",
		"policy", "relay-denied":
		return "login"
	case "mailbox-full":
		return "storage-full"
	}
	return aboutMessage(r)
}

// atMail returns the meaning of a reason in answer to MAIL FROM, when the server knows
// the client and the sender.
func atMail(r Reason) Reason {
	switch r {
	case "user-unknown", "moved", "bad-address", "domain-unknown", "null-mx", "mailbox-disabled",
		"restricted", "routing":
		return "bad-sender"
	case "mailbox-full":
		return "storage-full"
	}
	return aboutMessage(r)
}

// aboutMessage returns the meaning of a reason before the message was sent. MAIL FROM may
// already announce its size and character set.
func aboutMessage(r Reason) Reason {
	switch r {
	case "spam-content", "virus":
		return "reputation"
	}
	return r
}
