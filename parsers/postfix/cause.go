package postfix

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// sent emits a successful delivery, or an apparent one: a content filter took the
// message, or it was dropped.
func (l *line) sent(text []byte) {
	l.Outcome = registry.OutcomeDelivered
	l.Reply = registry.Reply{Text: text}
	if len(text) > 2 && text[0] == '2' && parsers.IsDigit(text[1]) {
		l.Reply = registry.ParseReply(text)
		l.NextID = queuedAs(text)
	}
	switch {
	case l.noRelay(), l.isDropped(text): // only discard(8) delivers without a relay
		l.settle(registry.StateRemoved)
	case l.isFilter(text):
		l.settle(registry.StateHandedOver)
	default:
		l.send(parsers.Attempt)
	}
}

// isDropped reports whether a delivery dropped the mail: to /dev/null, or in a content
// filter on this host that reports so.
func (l *line) isDropped(text []byte) bool {
	if string(text) == "delivered to file: /dev/null" {
		return true
	}
	return parsers.IsLoopback(l.RelayIP) && parsers.ContainsAny(text, dropped)
}

// dropped are parts of the replies of content filters that have dropped mail or keep it:
// amavis, clamsmtp, PMG.
var dropped = []string{"discarded", "Discarded", "silently", "DISCARD(", ", DISCARD", "quarantine",
	"Quarantine", " BLOCKED ("}

// isFilter reports whether a delivery certainly went to a content filter that hands the
// message back or keeps it. There are three signs. amavis on this host replies that its
// own MTA took the message; it also does so in front of the MTA of another organisation,
// which then has the mail. A pipe may have the name of a filter. A server on this host to
// which smtp(8) delivers, and whose reply has no queue id, is a filter too: mail that it
// passes comes back as another message. lmtp(8) delivers to mailboxes, unless the reply
// is that of Proxmox Mail Gateway. Other filters are detected when the queue id that the
// next hop gave the message is one of this host.
func (l *line) isFilter(text []byte) bool {
	if parsers.IsLoopback(l.RelayIP) {
		return bytes.Contains(text, []byte(" from MTA(")) || parsers.Has(text, "250 2.5.0 OK (") ||
			string(l.daemon()) == "smtp" && l.unnamed() && !names(text)
	}
	if len(l.RelayIP) > 0 || !parsers.Has(text, "delivered via ") {
		return false
	}
	switch string(l.Relay) {
	case "spamassassin", "spamc", "spamd", "spamfilter", "spamcheck", "filter", "content-filter",
		"contentfilter",
		"amavis", "clamfilter", "clamav", "disclaimer", "dfilt", "gpg-mailgate", "altermime":
		return true
	}
	return false
}

// unnamed reports whether the next hop has no domain name: it is localhost, or an
// address.
func (l *line) unnamed() bool {
	return bytes.Equal(l.Relay, l.RelayIP) || bytes.IndexByte(l.Relay, '.') < 0 ||
		parsers.Has(l.Relay, "localhost.")
}

// names reports whether a reply contains the id of the message at the next hop, or says
// that it was delivered.
func names(text []byte) bool { return parsers.ContainsAny(text, taken) }

var taken = []string{"queued", "Queued", "delivered", "Delivered", "Saved", "stored",
	"accepted for delivery"}

// queuedAs returns the queue id at the next hop from the reply to a message, "250 2.0.0
// Ok: queued as 4jXJzW4H6gz8sZJ".
func queuedAs(text []byte) []byte {
	i := parsers.LastIndex(text, []byte("queued as "))
	if i < 0 {
		return nil
	}
	id := text[i+len("queued as "):]
	n := 0
	for n < len(id) && isNextIDByte(id[n]) {
		n++
	}
	return id[:n]
}

func isNextIDByte(c byte) bool {
	return parsers.IsDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '_' || c == '.'
}

// failed emits a bounce, or a bounce that soft_bounce turned into a deferral.
func (l *line) failed(text []byte, whole bool) {
	l.cause(text, whole)
	l.refusedBefore(text)
	l.send(parsers.Attempt)
}

// deferred emits a deferral.
func (l *line) deferred(text []byte, whole bool) {
	l.Outcome = registry.OutcomeDeferred
	noRelay := l.noRelay()
	l.cause(text, whole)
	if noRelay && l.isSuspended(text) {
		l.blame(registry.StageUnknown, registry.SourceUnknown)
		l.Reply = registry.Reply{Text: text}
		l.send(parsers.Suspended)
		return
	}
	l.refusedBefore(text)
	l.send(parsers.Attempt)
}

// isSuspended reports whether a deferral without a relay was made without contacting a
// host: by the queue manager, or by error(8) for a destination that failed before or that
// an admin deferred. If the service is lost, texts that smtp(8) does not write come from
// these.
func (l *line) isSuspended(text []byte) bool {
	switch string(l.daemon()) {
	case "error", "retry", "qmgr", "nqmgr", "oqmgr":
		return true
	case "":
		return l.Stage == registry.StageRoute && !loops(text)
	}
	return parsers.HasAny(text, suspensions)
}

var suspensions = []string{
	"delivery temporarily suspended", "deferred transport", "mail transport unavailable",
	"unknown mail transport error",
}

// cause derives the source and the stage of a failure, and the remote's reply, from
// Postfix's own words around it.
func (l *line) cause(text []byte, whole bool) {
	l.Reply.Text = text
	switch {
	case parsers.Has(text, "host "):
		l.remote(text[len("host "):], whole)
	case parsers.Has(text, "Protocol error: host "):
		l.remote(text[len("Protocol error: host "):], whole)
	case parsers.Has(text, "connect to "):
		l.blame(registry.StageConnect, registry.SourceNetwork)
		l.relayFrom(text[len("connect to "):])
	case parsers.Has(text, "lost connection with "):
		l.broken(text[len("lost connection with "):])
	case parsers.Has(text, "conversation with "):
		l.broken(text[len("conversation with "):])
	case parsers.HasAny(text, tlsFailures):
		l.blame(registry.StageSTARTTLS, registry.SourceTLS)
		l.said(text, "] refused to start TLS: ")
	case parsers.HasAny(text, dnsFailures),
		parsers.Has(text, "Domain ") && bytes.HasSuffix(text, []byte(" does not accept mail (nullMX)")):
		l.blame(registry.StageDNS, registry.SourceDNS)
	case parsers.Has(text, "SASL authentication failed"):
		l.authentication(text)
	case parsers.Has(text, "message size "), parsers.Has(text, "SMTPUTF8 is required"):
		l.blame(registry.StageMail, registry.SourceLocal)
	case l.noRelay(), loops(text):
		l.blame(registry.StageRoute, registry.SourceLocal)
	case len(l.RelayIP) == 0: // local, virtual, pipe
		l.blame(registry.StageLocal, registry.SourceLocal)
	default:
		l.bareReply(text)
	}
}

// Texts of smtp(8) about failures of TLS and of the name service (smtp/smtp_proto.c,
// smtp/smtp_tls_policy.c, smtp/smtp_addr.c, dns/dns_lookup.c).
var (
	tlsFailures = []string{
		"TLS is required", "Cannot start TLS", "Server certificate ", "TLSA ", "REQUIRETLS Failure",
		"no TLSA ", "non DNSSEC ", "client TLS configuration problem",
	}
	dnsFailures = []string{
		"Host or domain name not found", "Name service error for ", "Host not found",
		"unable to look up host ",
		"unable to find primary relay for ", "valid hostname or network address required", "no MX host for ",
	}
)

// loops reports whether delivery failed because this host is its own next hop.
func loops(text []byte) bool {
	return parsers.Has(text, "mail for ") && bytes.HasSuffix(text, []byte(" loops back to myself"))
}

func (l *line) blame(stage registry.Stage, source registry.Source) {
	l.Stage, l.Source = stage, source
}

// noRelay reports whether the line names no next hop (relay=none).
func (l *line) noRelay() bool { return len(l.Relay) == 0 && len(l.RelayIP) == 0 }

// relayFrom takes the relay from name[ip] in the text if relay= has none.
func (l *line) relayFrom(b []byte) {
	if !l.noRelay() {
		return
	}
	if name, ip, _, ok := host(b); ok {
		l.Relay, l.RelayIP = name, ip
	}
}

// remote reads "name[ip] said: reply (in reply to … command)" and "name[ip]
// refused to talk to me: reply".
func (l *line) remote(b []byte, whole bool) {
	l.relayFrom(b)
	_, _, rest, ok := host(b)
	if !ok {
		return
	}
	if reply, ok := bytes.CutPrefix(rest, []byte(" refused to talk to me: ")); ok {
		l.blame(registry.StageBanner, registry.SourceRemote)
		l.Reply = registry.ParseReply(reply)
		return
	}
	reply, ok := bytes.CutPrefix(rest, []byte(" said: "))
	if !ok {
		return
	}
	l.Source = registry.SourceRemote
	if whole {
		reply, l.Stage = inReplyTo(reply)
	}
	l.Reply = registry.ParseReply(reply)
}

// inReplyTo cuts "(in reply to RCPT TO command)" off the end of a reply and returns the
// stage that it names. A remote can write the same words, but Postfix writes its own
// last.
func inReplyTo(reply []byte) ([]byte, registry.Stage) {
	const words = " (in reply to "
	i := bytes.LastIndexByte(reply, '(') - 1
	if i < 0 || !parsers.Has(reply[i:], words) || reply[len(reply)-1] != ')' {
		return reply, registry.StageUnknown
	}
	return reply[:i], commandStage(reply[i+len(words) : len(reply)-1])
}

// commandStage returns the stage of a command as Postfix names it
// (smtp/smtp_proto.c, xfer_request and smtp_helo).
func commandStage(command []byte) registry.Stage {
	switch {
	case parsers.Has(command, "RCPT TO"):
		return registry.StageRcpt
	case parsers.Has(command, "end of DATA"), parsers.Has(command, "end of data"),
		parsers.Has(command, "message body"), parsers.Has(command, "BDAT"):
		return registry.StageEndOfData
	case parsers.Has(command, "MAIL FROM"), parsers.Has(command, "XFORWARD"), parsers.Has(command, "RSET"):
		return registry.StageMail
	case parsers.Has(command, "DATA"):
		return registry.StageData
	case parsers.Has(command, "EHLO"), parsers.Has(command, "HELO"), parsers.Has(command, "LHLO"):
		return registry.StageEHLO
	case parsers.Has(command, "STARTTLS"):
		return registry.StageSTARTTLS
	case parsers.Has(command, "AUTH"):
		return registry.StageAuth
	case parsers.Has(command, "QUIT"):
		return registry.StageQuit
	}
	return registry.StageUnknown
}

// broken reads "name[ip] while sending RCPT TO" and "name[ip] timed out while
// receiving the initial server greeting".
func (l *line) broken(b []byte) {
	l.Source = registry.SourceNetwork
	l.relayFrom(b)
	i := bytes.Index(b, []byte(" while "))
	if i < 0 {
		return
	}
	doing := b[i+len(" while "):]
	switch {
	case parsers.Has(doing, "sending "):
		l.Stage = commandStage(doing[len("sending "):])
	case parsers.Has(doing, "receiving the initial "):
		l.Stage = registry.StageBanner
	case bytes.Contains(doing, []byte("TLS")):
		l.Stage = registry.StageSTARTTLS
	case bytes.Contains(doing, []byte("uthenticat")), bytes.Contains(doing, []byte("SASL")):
		l.Stage = registry.StageAuth
	case parsers.Has(doing, "performing the ") && bytes.HasSuffix(doing, []byte(" handshake")):
		l.Stage = registry.StageEHLO
	}
}

// said parses the remote's reply, which follows words in the text.
func (l *line) said(text []byte, words string) bool {
	i := bytes.Index(text, []byte(words))
	if i < 0 {
		return false
	}
	l.Reply = registry.ParseReply(text[i+len(words):])
	return true
}

// authentication reads "SASL authentication failed; server name[ip] said: reply", and
// failures of this host before it could try.
func (l *line) authentication(text []byte) {
	l.blame(registry.StageAuth, registry.SourceLocal)
	if l.said(text, "] said: ") {
		l.Source = registry.SourceRemote
	}
}

// bareReply takes a text without any of Postfix's words as the remote's reply if it
// begins with a reply code; anonymized and rewritten logs contain such texts.
func (l *line) bareReply(text []byte) {
	if r := registry.ParseReply(text); r.Code != 0 {
		l.Source = registry.SourceRemote
		l.Reply = r
	}
}

// enhanced parses a text that contains only a status.
func enhanced(b []byte) registry.Enhanced {
	e, n := registry.ScanEnhanced(b)
	if n != len(b) {
		return registry.Enhanced{}
	}
	return e
}
