package exchange

import (
	"bytes"
	"sort"

	"mailfail/parsers"
	"mailfail/registry"
)

// Limits of the state that a protocol log may cause. A busy server has some hundred
// sessions open. When there are more than maxSessions, or they keep more than
// maxKept, the parser forgets the older half.
const (
	maxSessions  = 4096
	maxKept      = 4 << 20 // bytes of all recipients and unanswered commands
	maxReplyText = 4 << 10
)

// command is the kind of a line that the client of a session sent.
type command uint8

const (
	cmdOther command = iota // RSET, QUIT, the lines after AUTH …
	cmdHello                // EHLO, HELO
	cmdTLS                  // STARTTLS
	cmdAuth
	cmdMail
	cmdRcpt
	cmdData
	cmdChunk // BDAT with more to come
	cmdLast  // the end of the message: BDAT LAST, or the text after the reply 354
)

// Recipient states of a transaction.
const (
	asked    uint8 = iota // RCPT without an answer yet
	accepted              // 2xx to RCPT; the answer to the message decides
	settled               // its outcome was reported
)

type recipient struct {
	address []byte
	state   uint8
}

// pending is a command that the server has not answered yet.
type pending struct {
	command command
	index   int // of the recipient, with cmdRcpt
}

// session is an SMTP session of a protocol log, from either side.
type session struct {
	started uint64 // order of beginning among the sessions, to forget the oldest
	day     int64  // of its last row, in days since 1970
	id      string
	hop     bool   // between servers of the organisation: no attempts and no rejections
	greeted bool   // the server has greeted
	peer    []byte // name of the other side, from its greeting or its EHLO
	client  []byte // IP address of the client that a frontend server proxies
	coming  []byte // InternetMessageId of the next transaction

	message    []byte // id of the message: InternetMessageId, or session/number
	sender     []byte
	hasSender  bool
	size       int64 // from SIZE=, in bytes; 0 when the client does not give it
	named      bool  // message is the InternetMessageId
	told       bool  // the Arrival of the message was emitted
	refused    bool  // MAIL was refused
	recipients []recipient
	unanswered []pending // commands without a reply, oldest first

	code  [3]byte // of the reply that has not ended
	reply []byte  // its lines so far

	// These fields describe the whole connection.
	used     bool // the client sent RCPT at least once
	messages int  // messages that the other side accepted
	failure  failure
}

// failure describes why a connection failed before the client sent RCPT.
type failure struct {
	stage  registry.Stage
	source registry.Source
	text   []byte
}

func (x *session) fail(stage registry.Stage, source registry.Source, text []byte) {
	x.failure = failure{stage, source, append(x.failure.text[:0], text[:min(len(text), maxReplyText)]...)}
}

// set sets the fields of a failed connection in r.
func (f *failure) set(r *parsers.Record) {
	r.Outcome, r.Stage, r.Source = registry.OutcomeDeferred, f.stage, f.source
	if r.Reply = (registry.Reply{Text: f.text}); f.source == registry.SourceRemote {
		r.Reply = registry.ParseReply(f.text)
	}
}

// sessions are the open sessions of a log.
type sessions struct {
	open map[string]*session // by id
	next uint64              // order of the last session that began
	kept int                 // sum of the weights, in bytes
	day  int64               // of the row being read, in days since 1970; 0 when unknown
}

// reach is called with the day of each row, in days since 1970. When the day changes
// it forgets the sessions without a row on this day or the day before: their end is
// in a missing file, or in none because the server crashed. No connection stays open
// for longer than a day (Microsoft, ReceiveConnector.ConnectionTimeout: at most
// "1.00:00:00").
func (s *sessions) reach(day int64) {
	if day == s.day {
		return
	}
	for _, x := range s.open {
		switch {
		case s.day == 0: // the state is of a version that did not keep days
			x.day = day
		case x.day < day-1:
			s.close(x)
		}
	}
	s.day = day
}

// find returns the open session of an id, nil when there is none, and sets its day to
// that of the current row.
func (s *sessions) find(id []byte) *session {
	x := s.open[string(id)]
	if x != nil {
		x.day = s.day
	}
	return x
}

// get returns the session of an id, and creates it when there is none.
func (s *sessions) get(id []byte) *session {
	if found := s.find(id); found != nil {
		return found
	}
	if len(s.open) >= maxSessions {
		s.forget()
	}
	if s.open == nil {
		s.open = map[string]*session{}
	}
	s.next++
	created := &session{started: s.next, day: s.day, id: string(id)}
	s.open[created.id] = created
	return created
}

func (s *sessions) close(x *session) {
	s.kept -= x.weight()
	delete(s.open, x.id)
}

// weight returns roughly how many bytes the lists of a session keep.
func (x *session) weight() int {
	n := len(x.unanswered) * pendingWeight
	for _, r := range x.recipients {
		n += r.weight()
	}
	return n
}

const pendingWeight = 16

func (r *recipient) weight() int { return len(r.address) + 32 }

// full reports whether the sessions keep too much, and then forgets the older half.
func (s *sessions) full() bool {
	if s.kept < maxKept {
		return false
	}
	s.forget()
	return true
}

// forget closes the older half of the sessions.
func (s *sessions) forget() {
	all := s.sorted()
	for _, x := range all[:(len(all)+1)/2] {
		s.close(x)
	}
}

// sorted returns the sessions in the order in which they began, so that states and
// forgetting do not depend on the order of a map.
func (s *sessions) sorted() []*session {
	all := make([]*session, 0, len(s.open))
	for _, x := range s.open {
		all = append(all, x)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].started < all[j].started })
	return all
}

// ask records a command that the server will answer.
func (s *sessions) ask(x *session, c command, index int) {
	x.unanswered = append(x.unanswered, pending{c, index})
	s.kept += pendingWeight
}

// answered removes and returns the command that a reply answers, the oldest. ok is
// false when there is none.
func (s *sessions) answered(x *session) (p pending, ok bool) {
	if len(x.unanswered) == 0 {
		return pending{}, false
	}
	p = x.unanswered[0]
	x.unanswered = append(x.unanswered[:0], x.unanswered[1:]...)
	s.kept -= pendingWeight
	return p, true
}

// add adds a recipient to the transaction, and returns its index.
func (s *sessions) add(x *session, address []byte) int {
	r := recipient{address: bytes.Clone(address)}
	x.recipients = append(x.recipients, r)
	s.kept += r.weight()
	return len(x.recipients) - 1
}

// submits sets the client that a frontend server proxies. After the client has
// logged in, the frontend passes its commands on and no longer logs them:
//
//	XPROXY SID=08DE… IP=192.0.2.9 PORT=4000 DOMAIN=client.example CAPABILITIES=0 SECID=…
func (x *session) submits(data []byte) {
	for word := range bytes.FieldsSeq(data) {
		if ip, ok := bytes.CutPrefix(word, []byte("IP=")); ok {
			x.client = cloneName(ip)
		} else if name, ok := bytes.CutPrefix(word, []byte("DOMAIN=")); ok {
			x.peer = cloneName(name)
		}
	}
}

// begin starts a transaction.
func (s *sessions) begin(x *session) {
	s.kept -= x.weight()
	x.recipients = x.recipients[:0]
	s.kept += x.weight()
	x.message = x.message[:0]
	x.refused, x.told = false, false
}

// say reads a line that the client sent: MAIL begins a transaction, RCPT adds to it.
// Of other commands it keeps only the kind, never a word of the lines after AUTH.
func (s *sessions) say(x *session, data []byte) command {
	verb, arg := data, []byte(nil)
	if i := bytes.IndexByte(data, ' '); i >= 0 {
		verb, arg = data[:i], data[i+1:]
	}
	c, index := cmdOther, 0
	switch {
	case isVerb(verb, "EHLO"), isVerb(verb, "HELO"):
		c = cmdHello
	case isVerb(verb, "STARTTLS"):
		c = cmdTLS
	case isVerb(verb, "AUTH"):
		c = cmdAuth
	case isVerb(verb, "MAIL"):
		c = cmdMail
		s.begin(x)
		x.sender, x.hasSender = append(x.sender[:0], path(arg)...), true
		x.size = sizeParameter(arg)
	case isVerb(verb, "RCPT"):
		if address := path(arg); len(address) > 0 { // else there is no recipient
			c, index = cmdRcpt, s.add(x, address)
			x.used = true
		}
	case isVerb(verb, "DATA"):
		c = cmdData
	case isVerb(verb, "BDAT"):
		if c = cmdChunk; bytes.HasSuffix(bytes.ToUpper(bytes.TrimSpace(arg)), []byte("LAST")) {
			c = cmdLast
		}
	}
	s.ask(x, c, index)
	return c
}

func isVerb(b []byte, verb string) bool {
	return len(b) == len(verb) && bytes.EqualFold(b, []byte(verb))
}

// path returns the address of FROM:<a@b> SIZE=1 or TO:<a@b>. Quoted local
// parts may contain blanks and brackets (RFC 5321 section 4.1.2).
func path(arg []byte) []byte {
	i := bytes.IndexByte(arg, ':')
	if i < 0 {
		return nil
	}
	arg = bytes.TrimLeft(arg[i+1:], " ")
	if len(arg) == 0 || arg[0] != '<' {
		if i := bytes.IndexByte(arg, ' '); i >= 0 {
			arg = arg[:i]
		}
		return arg
	}
	quoted := false
	for i := 1; i < len(arg); i++ {
		switch {
		case arg[i] == '\\' && quoted:
			i++
		case arg[i] == '"':
			quoted = !quoted
		case arg[i] == '>' && !quoted:
			return arg[1:i]
		}
	}
	return bytes.TrimRight(arg[1:], "> ")
}

func sizeParameter(arg []byte) int64 {
	const name = " SIZE="
	i := bytes.LastIndex(arg, []byte(name))
	if i < 0 {
		return 0
	}
	arg = arg[i+len(name):]
	if i := bytes.IndexByte(arg, ' '); i >= 0 {
		arg = arg[:i]
	}
	return size(arg)
}

// hear reads a row that the server sent. A reply of several lines has a row for each
// line (2007 to 2010) or is one row, "250  mail.example Hello … SIZE …" (2013 and
// later). hear passes every whole reply to the answerer.
func (x *session) hear(data []byte, to answerer) {
	if len(data) < 3 || !allDigits(data[:3]) {
		return
	}
	if len(x.reply) > 0 && !bytes.Equal(x.code[:], data[:3]) {
		x.endReply(to) // its last row never came
	}
	if len(data) > 3 && data[3] == '-' && !endsIn(data) {
		copy(x.code[:], data)
		x.keep(data)
		return
	}
	if len(x.reply) == 0 {
		to.answer(data)
		return
	}
	x.keep(data)
	x.endReply(to)
}

// answerer receives whole replies.
type answerer interface{ answer(text []byte) }

// endReply passes on the reply whose rows were kept.
func (x *session) endReply(to answerer) {
	if len(x.reply) > 0 {
		text := x.reply
		x.reply = nil
		to.answer(text)
	}
}

// keep joins the lines of a reply with blanks, as the tracking log does. It keeps only
// the codes of a reply to AUTH or to the lines after it, because the text may repeat
// the credentials.
func (x *session) keep(line []byte) {
	if len(x.unanswered) > 0 && (x.unanswered[0].command == cmdAuth || x.unanswered[0].command == cmdOther) {
		line = append(line[:4:4], registry.ParseReply(line).Enhanced.String()...)
	}
	if len(x.reply)+len(line) > maxReplyText {
		return
	}
	if len(x.reply) > 0 {
		x.reply = append(x.reply, ' ')
	}
	x.reply = append(x.reply, line...)
}

// endsIn reports whether a row that begins with 550- contains the last line, 550,
// too: then line breaks, real or written as \n, separate its lines.
func endsIn(data []byte) bool {
	for _, breaks := range [...]string{"\n", `\n`} {
		if i := bytes.LastIndex(data, []byte(breaks)); i >= 0 {
			last := data[i+len(breaks):]
			if len(last) >= 3 && bytes.Equal(last[:3], data[:3]) && (len(last) == 3 || last[3] == ' ') {
				return true
			}
		}
	}
	return false
}

// outcomeOf returns the outcome of a reply; without a reply it is Deferred.
func outcomeOf(text []byte) registry.Outcome {
	switch {
	case len(text) == 0 || text[0] == '4':
		return registry.OutcomeDeferred
	case text[0] == '5':
		return registry.OutcomeFailed
	}
	return registry.OutcomeDelivered
}

// serverName returns the host name that a server gives in its greeting, "220
// mx.example ESMTP", or in its answer to EHLO, nil when there is none. A word without
// a dot is not a name: firewalls write asterisks over it, and servers begin with
// Welcome.
func serverName(text []byte) []byte {
	if len(text) < len("220 a") {
		return nil
	}
	name, _, _ := bytes.Cut(text[len("220 "):], []byte(" "))
	dot := bytes.IndexByte(name, '.')
	if dot < 1 || dot == len(name)-1 {
		return nil
	}
	for _, c := range name {
		if !parsers.IsAlnum(c) && c != '.' && c != '-' && c != '_' {
			return nil
		}
	}
	return cloneName(name)
}

// peerName returns the name that a client gives in EHLO.
func peerName(text []byte) []byte {
	if i := bytes.IndexByte(text, ' '); i >= 0 {
		text = text[i+1:]
	}
	if i := bytes.IndexByte(text, ' '); i >= 0 {
		text = text[:i]
	}
	return cloneName(text)
}

// cloneName copies a name of a host, which has at most 255 bytes (RFC 5321 section
// 4.5.3.1.2).
func cloneName(b []byte) []byte { return bytes.Clone(b[:min(len(b), 255)]) }
