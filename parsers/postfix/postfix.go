// Package postfix reads the log lines of Postfix 2.0 to 3.11.
//
// A line is recognised by its shape: the queue id and the word after it. The name of the
// daemon is only needed to distinguish postsuper's "removed" from the queue manager's,
// because some syslog layouts lose it (rsyslog's APP-NAME is just "postfix"). Each field
// is found from the left, address by address, so that text of strangers in addresses and
// replies cannot be taken for a field.
//
// The shapes are those of Postfix's own source: global/log_adhoc.c
// (deliveries), smtp/smtp_trouble.c and smtp/smtp_proto.c (failures of SMTP
// and LMTP), smtpd/smtpd_check.c, cleanup/cleanup_message.c,
// cleanup/cleanup_milter.c and postscreen (rejections), qmgr, pickup, bounce
// and postsuper.
//
// # Missing from the log
//
// A refused greeting and a refused EHLO have the same text ("refused to talk to me"):
// both get the stage banner. If the service is lost, postsuper's removals are End records
// only. A message refused because its queue file grew too big or because of a mail loop
// is logged without the client and the reply.
package postfix

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{
		Name:  "postfix",
		MTA:   "postfix",
		Ends:  true,
		Claim: claim,
		New:   New,
	})
}

// claim claims the lines of Postfix's programs, and unmistakable lines without a program:
// journalctl -o cat and some log shippers lose it.
func claim(e *parsers.Entry) parsers.Claim {
	if e.Program == nil && isMessage(e.Message) || e.Program != nil && isPostfix(e.Program) &&
		(bytes.IndexByte(e.Program, '/') >= 0 || !parsers.IsWrapped(e.Message, "postfix")) {
		return parsers.Mine
	}
	return parsers.NotMine
}

// isMessage reports whether a line without a program comes from Postfix and is about a
// message. sendmail's lines begin in the same way, but contain "stat=".
func isMessage(b []byte) bool {
	n := queueID(b)
	if n == 0 {
		return false
	}
	b = b[n+2:]
	switch {
	case parsers.Has(b, "to=<"):
		return bytes.Contains(b, []byte(", relay=")) && bytes.Contains(b, []byte(", status="))
	case parsers.Has(b, "from=<"):
		return bytes.Contains(b, []byte(", size=")) && bytes.Contains(b, []byte(", nrcpt=")) &&
			bytes.HasSuffix(b, []byte("(queue active)"))
	case parsers.Has(b, "message-id=<"), parsers.Has(b, "client="):
		return bytes.IndexByte(b, ' ') < 0
	}
	return string(b) == "removed"
}

// isPostfix reports whether a syslog program name belongs to Postfix: "postfix",
// "postfix/smtp", "postfix-out/smtp", or another syslog_name ("mx-out/qmgr") followed by
// the name of a Postfix daemon.
func isPostfix(program []byte) bool {
	if rest, ok := bytes.CutPrefix(program, []byte("postfix")); ok {
		return len(rest) == 0 || rest[0] == '/' || rest[0] == '-'
	}
	if bytes.IndexByte(program, '/') <= 0 || parsers.Has(program, "cyrus/") ||
		parsers.Has(program, "dovecot/") {
		return false // Cyrus and Dovecot have programs named lmtp and master too
	}
	return isDaemon(program[bytes.LastIndexByte(program, '/')+1:])
}

// isDaemon reports whether name is the name of a Postfix daemon or command.
func isDaemon(name []byte) bool {
	switch string(name) {
	case "anvil", "bounce", "cleanup", "discard", "dnsblog", "error", "flush", "lmtp", "local",
		"master", "nqmgr",
		"oqmgr", "pickup", "pipe", "postalias", "postdrop", "postfix-script", "postlog",
		"postlogd", "postmap",
		"postqueue", "postscreen", "postsuper", "proxymap", "qmgr", "qmqpd", "scache", "sendmail",
		"showq", "smtp",
		"smtpd", "spawn", "tlsmgr", "tlsproxy", "trivial-rewrite", "verify", "virtual":
		return true
	}
	return false
}

// splitProgram returns the instance and the service of a program name:
// postfix/relay/smtp is ("", relay/smtp), postfix-out/smtp is (postfix-out,
// smtp).
func splitProgram(program []byte) (instance, service []byte) {
	i := bytes.IndexByte(program, '/')
	if i < 0 {
		i = len(program)
	} else {
		service = program[i+1:]
	}
	if instance = program[:i]; string(instance) == "postfix" {
		instance = nil
	}
	return instance, service
}

// A parser reads the lines of Postfix. It keeps from line to line the memory of its
// record, and the refusals of hosts that were not the last to be tried.
type parser struct{ line line }

// New returns a parser of Postfix lines.
func New(parsers.Options) parsers.Parser { return &parser{} }

// A line is an entry while it is read, with its record.
type line struct {
	parsers.Record
	entry   *parsers.Entry
	emit    func(*parsers.Record)
	earlier parsers.Refusals
}

// Parse reads one line. It does not fail: an unknown line is Unparsed, or Irrelevant when
// it may come from another program.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	l := &p.line
	l.entry, l.emit = e, emit
	result := l.read()
	if result == parsers.Unparsed && isForeign(e.Program) {
		return parsers.Irrelevant
	}
	return result
}

// isForeign reports whether a program only has a name like Postfix's: postfix/policy-spf,
// postfix-policyd-spf-python, postfix-mta-sts-resolver. If the service is lost, the name
// of an instance looks the same.
func isForeign(program []byte) bool {
	i := bytes.LastIndexByte(program, '/')
	return !isDaemon(program[i+1:]) && string(program) != "postfix"
}

func (l *line) read() parsers.Result {
	if n := queueID(l.entry.Message); n > 0 {
		return l.withID(n)
	}
	return l.withoutID()
}

// begin resets the record for a line; id is the queue id, or nil.
func (l *line) begin(id []byte) {
	l.Record.Reset()
	l.Instance, l.Service = splitProgram(l.entry.Program)
	l.ID = id
}

// send emits the record with a kind.
func (l *line) send(kind parsers.Kind) {
	l.Kind = kind
	l.emit(&l.Record)
}

// end emits the end of the message, without other fields.
func (l *line) end() {
	l.begin(l.ID)
	l.send(parsers.End)
}

// settle emits the record with a final state.
func (l *line) settle(state registry.State) {
	l.Record.Settle(state)
	l.emit(&l.Record)
}

// maxQueueID is longer than any queue id, even with the additions of anonymizers.
const maxQueueID = 32

// queueID returns the length of the queue id at the beginning of b if ": " follows it,
// else 0. Short ids are upper case hexadecimal, long ones digits and consonants
// (global/mail_queue.h), so that no English word such as "warning" is an id. Anonymizers
// insert vowels, but leave the digits.
func queueID(b []byte) int {
	var seen byte
	i := 0
	for i < len(b) && i <= maxQueueID && idBytes[b[i]] != 0 {
		seen |= idBytes[b[i]]
		i++
	}
	if i < 5 || i+1 >= len(b) || b[i] != ':' || b[i+1] != ' ' || seen&(idVowel|idDigit) == idVowel ||
		string(b[:i]) == noQueue || string(b[:i]) == tlsReports {
		return 0
	}
	return i
}

// isQueueID reports whether all of b is a queue id.
func isQueueID(b []byte) bool {
	for _, c := range b {
		if idBytes[c] == 0 {
			return false
		}
	}
	return len(b) >= 5 && len(b) <= maxQueueID
}

// Words in place of the queue id: for mail that has none yet, and before Postfix's TLS
// reports.
const (
	noQueue    = "NOQUEUE"
	tlsReports = "TLSRPT"
)

// The kinds of bytes in queue ids.
const (
	idOther = 1 << iota
	idDigit
	idVowel // lower case
)

// idBytes is the kind of each byte of queue ids, 0 for all other bytes.
var idBytes = func() (t [256]byte) {
	for c := range t {
		switch {
		case parsers.IsDigit(byte(c)):
			t[c] = idDigit
		case bytes.IndexByte([]byte("aeiou"), byte(c)) >= 0:
			t[c] = idVowel
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
			t[c] = idOther
		}
	}
	return t
}()

// withID reads a line that begins with a queue id of n bytes.
func (l *line) withID(n int) parsers.Result {
	l.begin(l.entry.Message[:n])
	b := l.entry.Message[n+2:]
	switch {
	case parsers.Has(b, "to="):
		return l.delivery(b[len("to="):])
	case parsers.Has(b, "from="):
		return l.queued(b[len("from="):])
	case parsers.Has(b, "client="):
		return l.client(b[len("client="):])
	case parsers.Has(b, "message-id="):
		l.MessageID = b[len("message-id="):]
		l.send(parsers.Arrival)
		return parsers.Understood
	case string(b) == "removed":
		return l.removed()
	case string(b) == "canceled":
		return l.deleted()
	case parsers.Has(b, "uid="):
		return l.pickup(b)
	case l.notified(b):
		return parsers.Understood
	}
	if result, ok := l.action(b); ok {
		return result
	}
	if parsers.Has(b, "host ") {
		return l.refusal(b[len("host "):])
	}
	if parsers.HasAny(b, asides) || parsers.HasAny(b, sessions) || isUndelivered(b) {
		return parsers.Understood
	}
	return parsers.Unparsed
}

// isUndelivered reports whether a line says that the queue manager keeps a message
// because a notification could not be sent ("status=deferred (bounce failed)"), or that
// cleanup refused a message because a map lookup failed.
func isUndelivered(b []byte) bool {
	return parsers.Has(b, "status=deferred (") && bytes.HasSuffix(b, []byte(" failed)")) ||
		bytes.HasSuffix(b, []byte(" map lookup problem -- message not accepted, try again later"))
}

// sessions are the beginnings of lines about a session of smtpd that ended early,
// with the queue id of its message or without (since Postfix 3.10).
var sessions = []string{
	"lost connection after ", "timeout after ", "too many errors after ",
	"improper command pipelining ", "abort: ",
}

// asides are the beginnings of lines about a message that make no record: an outcome line
// repeats the fact, another host will be tried, or the message has no outcome yet.
var asides = []string{
	// smtp, lmtp
	"host ", "lost connection with ", "conversation with ", "Cannot start TLS", "TLS is required",
	"Server certificate ",
	"SASL authentication failed", "Protocol error: ", "REQUIRETLS", "enabling PIX workarounds",
	"breaking line ",
	// bounce: notifications without an addressee, and others whose id cannot be read
	"sender notification failed to ", "postmaster notification failed to ",
	"sender non-delivery notification", "sender delay notification", "sender delivery status notification",
	"postmaster non-delivery notification", "postmaster delay notification",
	"uses SMTPUTF8 ",
	// local, virtual: another transport delivers, and reports the outcome
	"passing <", "replacing server reply ",
	"not sending trace/success notification",
	// qmgr, postsuper
	"skipped, still being delivered", "released from hold", "placed on hold", "requeued", "expired",
	// cleanup, smtpd: actions that neither refuse nor discard the message
	"resent-message-id=", "info: ", "warn: ", "warning: ", "prepend: ", "replace: ", "strip: ",
	"bcc: ", "pass: ",
	"hold: ", "milter-hold: ", "quarantine: ", "filter: ", "redirect: ", "delay: ", "trigger: ",
	"permit: ", "ignored: ", "TLS-Required: ",
	"milter-header-", "milter-body", "reject_warning: ", "proxy-accept: ", "whitelisted: ",
}

// removed reads the end of a message: by the queue manager after its last
// recipient, or by an admin.
func (l *line) removed() parsers.Result {
	if string(l.daemon()) == "postsuper" {
		return l.deleted()
	}
	l.earlier.Forget(l.entry.Host, l.ID)
	l.send(parsers.End)
	return parsers.Understood
}

// deleted emits the end of a message whose pending recipients receive nothing.
func (l *line) deleted() parsers.Result {
	l.settle(registry.StateRemoved)
	l.end()
	return parsers.Understood
}

// daemon returns the last part of the service, "smtp" for "relay/smtp".
func (l *line) daemon() []byte {
	return l.Service[bytes.LastIndexByte(l.Service, '/')+1:]
}

// Texts after the sender of a message, with qmgr and with pickup.
var (
	afterSender = []string{", size=", ", status="}
	afterPickup = []string{" orig_id="}
)

// queued reads the queue manager's "from=<…>, size=1, nrcpt=1 (queue active)" and
// "from=<…>, status=expired, returned to sender", with which all pending recipients
// expire.
func (l *line) queued(b []byte) parsers.Result {
	sender, rest, ok := address(b, afterSender)
	if !ok || len(rest) == 0 {
		return parsers.Unparsed
	}
	if status, ok := bytes.CutPrefix(rest, []byte(", status=")); ok {
		if !parsers.Has(status, "expired") && !parsers.Has(status, "force-expired") {
			return parsers.Unparsed
		}
		l.settle(registry.StateExpired)
		return parsers.Understood
	}
	l.earlier.Forget(l.entry.Host, l.ID)
	l.HasSender, l.Sender = true, sender
	l.Size = parsers.Number(rest[len(", size="):])
	if _, n, ok := bytes.Cut(rest, afterSize); ok {
		l.Recipients = int(parsers.Number(n))
	}
	l.send(parsers.Arrival)
	return parsers.Understood
}

var afterSize = []byte(", nrcpt=")

// notified reads "sender non-delivery notification: QUEUEID": bounce made a
// message that reports the end, the delay or the delivery of this one.
func (l *line) notified(b []byte) bool {
	if !parsers.Has(b, "sender ") && !parsers.Has(b, "postmaster ") {
		return false
	}
	_, id, ok := bytes.Cut(b, []byte(" notification: "))
	if !ok || !isQueueID(id) {
		return false
	}
	l.ID, l.BounceOf, l.Own = id, l.ID, true
	l.send(parsers.Arrival)
	return true
}

// client reads smtpd's "name[ip], sasl_method=…, sasl_username=…, sasl_sender=…,
// orig_queue_id=…, orig_client=…".
func (l *line) client(b []byte) parsers.Result {
	name, ip, rest, ok := host(b)
	if !ok {
		return parsers.Unparsed
	}
	l.Client, l.ClientIP = name, ip
	if _, login, ok := bytes.Cut(rest, []byte(", sasl_username=")); ok {
		l.Account, l.Login = upTo(login, afterLogin), true
	}
	l.Reinjected = parsers.IsLoopback(ip)
	l.send(parsers.Arrival)
	return parsers.Understood
}

var afterLogin = []string{", sasl_sender=", ", orig_queue_id=", ", orig_client="}

// upTo returns the part of b before the first of some strings.
func upTo(b []byte, ends []string) []byte {
	for _, end := range ends {
		if i := bytes.Index(b, []byte(end)); i >= 0 {
			b = b[:i]
		}
	}
	return b
}

// pickup reads "uid=0 from=<root>". The account is the user's number, because users can
// choose the sender.
func (l *line) pickup(b []byte) parsers.Result {
	i := bytes.Index(b, []byte(" from="))
	if i < 0 {
		return parsers.Unparsed
	}
	sender, _, ok := address(b[i+len(" from="):], afterPickup)
	if !ok {
		return parsers.Unparsed
	}
	l.HasSender, l.Sender, l.Reinjected, l.Account = true, sender, true, b[:i]
	l.send(parsers.Arrival)
	return parsers.Understood
}

// withoutID reads a line that does not begin with a queue id.
func (l *line) withoutID() parsers.Result {
	b := l.entry.Message
	switch {
	case parsers.Has(b, "connect from "), parsers.Has(b, "disconnect from "):
		return parsers.Irrelevant
	case parsers.Has(b, noQueue+": "):
		l.begin(nil)
		return l.withoutQueue(b[len(noQueue)+2:])
	case parsers.Has(b, "warning: "):
		return l.warning(b[len("warning: "):])
	case parsers.Has(b, "proxy-reject: "), parsers.Has(b, "reject: "):
		l.begin(nil)
		return l.rejected(b[bytes.IndexByte(b, ' ')+1:])
	case l.gaveUp(b):
		return parsers.Understood
	case parsers.Has(b, tlsReports+": "):
		return l.tlsReport(b[len(tlsReports)+2:])
	case parsers.HasAny(b, encrypted):
		return l.encrypted(b)
	case parsers.HasAny(b, chatter), isDetail(b), isDump(b), parsers.Has(l.entry.Program, "postfix/postlog"):
		return parsers.Irrelevant
	}
	return parsers.Unparsed
}

// isDetail reports whether a line only adds detail: a line of postfix -v, which begins
// with the name of a function or is the dialogue itself, or a line about a session (TLS),
// which begins with the peer.
func isDetail(b []byte) bool {
	i := bytes.IndexByte(b, ':')
	if i <= 0 {
		return false
	}
	word := b[:i]
	if bytes.IndexByte(word, '_') > 0 {
		for _, c := range word {
			if c != '_' && !parsers.IsDigit(c) && (c < 'a' || c > 'z') {
				return false
			}
		}
		return true
	}
	_, _, rest, ok := host(b)
	return ok && parsers.Has(rest, ": ")
}

// isDump reports whether a line belongs to a dump of bytes, "0000 16 03 01 …", as
// smtp_tls_loglevel = 4 writes.
func isDump(b []byte) bool {
	if len(b) < 8 || b[4] != ' ' {
		return false
	}
	for _, c := range b[:4] {
		if !parsers.IsDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// withoutQueue reads the lines of smtpd and postscreen about mail that has no queue file
// yet.
func (l *line) withoutQueue(b []byte) parsers.Result {
	if result, ok := l.action(b); ok {
		return result
	}
	if parsers.Has(b, "client=") || parsers.HasAny(b, sessions) || parsers.HasAny(b, asides) {
		return parsers.Understood
	}
	return parsers.Unparsed
}

// warning reads a warning. Some warnings are the only line about refused mail: the queue
// file grew too big, the message was in a mail loop, an address was not valid.
func (l *line) warning(b []byte) parsers.Result {
	if rest, ok := bytes.CutPrefix(b, []byte("Illegal address syntax from ")); ok {
		return l.badAddress(rest)
	}
	n := queueID(b)
	if n == 0 {
		return understoodIf(l.loginFailed(b) || l.warned(b))
	}
	text := b[n+2:]
	if string(text) != "queue file size limit exceeded" && !parsers.Has(text, "message rejected: ") {
		return understoodIf(l.warned(text))
	}
	l.begin(b[:n])
	l.refuse(text)
	return parsers.Understood
}

// encrypted are the beginnings of lines about an encrypted session: "Untrusted TLS
// connection established to mx.a.example[192.0.2.1]:25: TLSv1.3 with cipher …".
var encrypted = []string{
	"Untrusted TLS connection established ", "Anonymous TLS connection established ",
	"Trusted TLS connection established ", "Verified TLS connection established ",
}

// encrypted notes an encrypted session: to a server, or from a client.
func (l *line) encrypted(b []byte) parsers.Result {
	_, b, _ = bytes.Cut(b, []byte(" established "))
	direction := registry.DirectionOutgoing
	if parsers.Has(b, "from ") {
		direction = registry.DirectionIncoming
	}
	i := bytes.Index(b, []byte(": "))
	if i < 0 {
		return parsers.Irrelevant
	}
	l.note(direction, b[i+2:])
	return parsers.Understood
}

// loginFailed reads "name[ip]: SASL LOGIN authentication failed: reason", with the port
// after the brackets if smtpd_client_port_logging is on.
func (l *line) loginFailed(b []byte) bool {
	i := bytes.Index(b, []byte(": SASL "))
	if i < 0 || !bytes.HasSuffix(bytes.TrimRight(b[:i], ":0123456789"), []byte("]")) ||
		!bytes.Contains(b[i:], []byte(" authentication failed")) {
		return false
	}
	l.note(registry.DirectionIncoming, nil)
	return true
}

// note emits a Noted record about a session.
func (l *line) note(direction registry.Direction, tls []byte) {
	l.begin(nil)
	l.Direction, l.TLS = direction, tls
	l.send(parsers.Noted)
}

// understoodIf returns Understood or Irrelevant.
func understoodIf(is bool) parsers.Result {
	if is {
		return parsers.Understood
	}
	return parsers.Irrelevant
}

// chatter are the beginnings of lines that do not concern a message.
var chatter = []string{
	// smtp, lmtp
	"connect to ", "certificate verification failed ", "Trusted TLS ", "Untrusted TLS ", "Anonymous TLS ",
	"Verified TLS ",
	"server certificate verification failed", "certificate peer name ", "setting up TLS ", "SSL_",
	"SSL3 ", "TLS ",
	"discarding EHLO keywords", "using DANE ", "looking for session ", "save session ",
	"subject_CN=", "issuer=",
	"fingerprint=", "Host offered STARTTLS", "initializing the ", "disabling TLS",
	"Server is not ", "Reused ",
	// smtpd, postscreen, tlsproxy, dnsblog
	"lost connection after ", "timeout after ", "too many errors after ", "improper command pipelining ",
	"proxy-accept: ",
	"table ", "CONNECT", "DISCONNECT ", "PASS ", "PREGREET ", "HANGUP ", "DNSBL rank ", "ALLOWLISTED ",
	"DENYLISTED ",
	"WHITELISTED ", "BLACKLISTED ", "ALLOWLIST VETO ", "WHITELIST VETO ", "BARE NEWLINE ",
	"COMMAND ", "NON-SMTP ",
	"entering STRESS mode", "leaving STRESS mode", "bare <LF> received ", "host ", "abort: ", "< ", "> ",
	"See http", "To disable backwards compatibility use ", "CA certificate verification failed ",
	"DATA without ", "BDAT without ", "addr ", "cache ", "close database ", "abusive ", "Peer ", "client ",
	"CLIENT ", "open ", "certificate fingerprint ", "Reusing ", "Trusted: ", "Untrusted: ", "Verified: ",
	"lost connection from ", "Renegotiation ", "REQUIRETLS",
	// of postfix -v
	">>> ", "<<< ", "send attr ", "input attribute ", "private/", "public/", "mynetworks",
	"trying... ", "report ",
	"connection established", "read from ", "write to ", "depth=", "before ", "process generation",
	"idle timeout", "proxymap stream", "rewrite stream", "got SIGHUP", "daemon started",
	// compatibility_level, makedefs
	"using backwards-compatible ", "Postfix is ", "Renamed to match ", "flushing queued mail",
	"mail system startup failed",
	// every daemon, and the commands
	"warning:", "info: ", "statistics: ", "reload ", "reload:", "terminating ",
	"starting the Postfix ", "stopping the Postfix ", "refreshing the Postfix ", "the Postfix mail system ",
	"the Postfix ",
	"waiting for the Postfix ", "aborting the Postfix ", "rebuilding ", "removing ", "deleting ",
	"symlink ", "Deleted: ",
	"Requeued: ", "Placed on hold: ", "Released from hold: ", "Expired: ", "master exit time ", "master_",
	"postfix-script: ",
	"name_mask: ", "Policy action=", "handler ", "dict_", "dsn_", "Library ", "queue is ", "updating ",
	"open database ", "new ",
	// further messages of smtp, smtpd, postsuper, tlsmgr and maps
	"mapping DSN status ", "skipping SRV lookup ", "skipping address family ", "ignoring DNS RR",
	"Force-expired: ",
	"exiting to reopen ", "cannot read from entropy device ", "lost connection to EGD server ",
	"database lmdb:",
	"SMTPS wrappermode ", "cannot load Certification Authority data",
}
