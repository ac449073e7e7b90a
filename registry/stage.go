package registry

import "bytes"

// atStage corrects a reason that cannot be so at the stage at which f failed.
// Before RCPT TO nothing is about the recipient: "mailbox unavailable" in
// answer to MAIL FROM is about the sender, in a greeting about the client.
// Before DATA nothing is about the message: whoever says "spam" then speaks of
// the sender's reputation. And a server that has accepted the recipient does
// not mean "mailbox unavailable", the standard text of 550, about it any more.
// Whoever answers to a command speaks of itself, so the fault is not here.
func atStage(f *Failure, v Verdict, text []byte) Verdict {
	if f.Reply == 0 || v.Reason == "unknown" {
		return v
	}
	reason := v.Reason
	if reason == "local" && f.Stage != StageUnknown && f.Stage <= StageEndOfData {
		reason = "system" // a fault of the host that says so, not of the one that sends
	}
	if reason == "connection" && f.Stage >= StageMail && f.Stage <= StageEndOfData {
		reason = "system" // there is a connection to the server that says so; it has none to what it needs
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
			reason = "content" // there was no command, but a message
		}
	}
	if reason == v.Reason {
		return v
	}
	return Verdict{reason, v.Rule, ByStage, min(v.Confidence, ConfidenceMedium)}
}

// beforeMail returns what a reason means before MAIL FROM, when the server
// knows nothing but the client.
func beforeMail(f *Failure, r Reason) Reason {
	switch r {
	case "spam-content", "virus":
		return "reputation"
	case "mailbox-full":
		return "storage-full"
	case "too-many-recipients":
		return "rate-limited"
	case "connection":
		if f.Source == SourceNetwork { // the MTA says so, in the form of a reply
			return r
		}
		return "client-refused" // it was made, or nobody could say so
	case "domain-unknown", "null-mx", "routing":
		if f.Stage == StageEHLO {
			return "reverse-dns" // the only name said so far
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

// atLogin returns what a reason means in answer to AUTH.
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

// atMail returns what a reason means in answer to MAIL FROM, when the server
// knows the client and the sender.
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

// aboutMessage returns what a reason means before the message was sent. Its
// size and its character set may be announced in MAIL FROM.
func aboutMessage(r Reason) Reason {
	switch r {
	case "spam-content", "virus":
		return "reputation"
	}
	return r
}
