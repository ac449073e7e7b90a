package exchange

import (
	"bytes"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
)

// column is a column of the message tracking log that the parser reads.
type column uint8

const (
	colTime column = iota
	colClientIP
	colClient
	colServerIP
	colServer
	colConnector
	colSource
	colEvent
	colInternalID
	colMessageID
	colNetworkID
	colRecipient
	colStatus
	colBytes
	colRelated
	colReturnPath
	colSender
	colInfo
	colOriginalIP
	colSchema
	colDirectionality
	colReference
	nColumns
)

// trackingColumns maps the names of columns: those of the servers' logs; those with
// underscores, of the extended report of Exchange Online (Get-HistoricalSearch,
// MessageTraceDetail); and the properties of Get-MessageTrackingLog.
var trackingColumns = map[string]column{
	"date-time": colTime, "client-ip": colClientIP, "client-hostname": colClient,
	"server-ip": colServerIP, "server-hostname": colServer, "connector-id": colConnector,
	"source": colSource, "event-id": colEvent, "internal-message-id": colInternalID,
	"message-id": colMessageID, "network-message-id": colNetworkID,
	"recipient-address": colRecipient, "recipient-status": colStatus, "total-bytes": colBytes,
	"related-recipient-address": colRelated, "return-path": colReturnPath,
	"sender-address": colSender, "message-info": colInfo, "original-client-ip": colOriginalIP,
	"schema-version": colSchema, "directionality": colDirectionality, "reference": colReference,

	"date_time_utc": colTime, "date_time": colTime, "origin_timestamp_utc": colTime,
	"client_ip": colClientIP, "client_hostname": colClient,
	"server_ip": colServerIP, "server_hostname": colServer, "connector_id": colConnector,
	"event_id": colEvent, "internal_message_id": colInternalID,
	"message_id": colMessageID, "network_message_id": colNetworkID,
	"recipient_address": colRecipient, "recipient_status": colStatus, "total_bytes": colBytes,
	"related_recipient_address": colRelated, "return_path": colReturnPath,
	"sender_address": colSender, "message_info": colInfo, "original_client_ip": colOriginalIP,

	"Timestamp": colTime, "ClientIp": colClientIP, "ClientHostname": colClient,
	"ServerIp": colServerIP, "ServerHostname": colServer, "ConnectorId": colConnector,
	"Source": colSource, "EventId": colEvent, "InternalMessageId": colInternalID,
	"MessageId": colMessageID, "NetworkMessageId": colNetworkID,
	"Recipients": colRecipient, "RecipientStatus": colStatus, "TotalBytes": colBytes,
	"RelatedRecipientAddress": colRelated, "ReturnPath": colReturnPath, "Sender": colSender,
	"MessageInfo": colInfo, "OriginalClientIp": colOriginalIP, "SchemaVersion": colSchema,
	"Directionality": colDirectionality, "Reference": colReference,
}

// tracking2007 and the others are the columns of each version (Microsoft,
// "Message tracking log fields"), for rows without a header.
const (
	tracking2007 = "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info"
	tracking2010 = tracking2007 +
		",directionality,tenant-id,original-client-ip,original-server-ip,custom-data"
	tracking2013 = "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info,directionality,tenant-id,original-client-ip,original-server-ip,custom-data"
	tracking2016 = tracking2013 + ",transport-traffic-type,log-id,schema-version"
)

// trackingOf returns the columns of the version whose rows have that many fields, ""
// when there is none.
func trackingOf(fields int) string {
	switch fields {
	case 21:
		return tracking2007
	case 26:
		return tracking2010
	case 27:
		return tracking2013
	case 30:
		return tracking2016
	}
	return ""
}

// tracking reads the rows of the message tracking log.
type tracking struct {
	ownHost []byte // host of rows that do not name a server
	columns
	// external is set when the version writes SENDEXTERNAL (2016 and later), so
	// that every SEND is a hop inside the organisation.
	external bool
	// local is set for the output of Get-MessageTrackingLog, whose times are local.
	local bool
	*culture

	clock      clock
	recipients collection
	status     collection
	related    collection
	key        []byte
	text       []byte // memory of lists that exported converted
	rec        parsers.Record
}

// columns are the positions of the known columns, -1 for absent ones.
type columns struct {
	at      [nColumns]int16
	width   int  // of a row; 0 before there is a header
	assumed bool // there was no header: the columns are those of a version
}

func (c *columns) get(fields [][]byte, col column) []byte {
	if i := c.at[col]; i >= 0 {
		return fields[i]
	}
	return nil
}

// header sets the columns from the names of a header. It returns false for the
// header of another log, and when the messages have no ids.
func (t *tracking) header(names [][]byte) bool {
	var c columns
	for i := range c.at {
		c.at[i] = -1
	}
	for i, name := range names {
		if col, ok := columnOf(name); ok && c.at[col] < 0 {
			c.at[col] = int16(i)
		}
	}
	if c.at[colTime] < 0 || c.at[colEvent] < 0 || c.at[colRecipient] < 0 || c.at[colStatus] < 0 ||
		c.at[colMessageID] < 0 && c.at[colNetworkID] < 0 && c.at[colInternalID] < 0 {
		return false
	}
	c.width = len(names)
	t.columns = c
	t.local = string(columnName(names[c.at[colTime]])) == "Timestamp"
	t.external = c.at[colSchema] >= 0 || bytes.IndexByte(names[c.at[colEvent]], '_') >= 0
	return true
}

// effect is the meaning of an event for the recipients of its row.
type effect uint8

const (
	nothing    effect = iota + 1
	expects           // recipients entered the queue
	arrives           // the same, and the row describes the message
	sends             // SEND: a delivery, or a hop inside the organisation
	delivers          // a delivery
	defers            // a temporary failure
	fails             // a permanent failure
	spoils            // BADMAIL: a permanent failure without a reply
	drops             // discarded on purpose
	expands           // related-recipient-address became recipient-address
	redirects         // recipient-address became related-recipient-address
	createsDSN        // Exchange made a delivery status notification
)

// effects are the events that Microsoft documents ("Message tracking", "Event
// types in the message tracking log") and their effects; see the rules in the
// package documentation. Other rows repeat copies for safety (HA*, shadow), actions
// of agents, moderation and submission from a mailbox.
var effects = map[string]effect{
	"RECEIVE": arrives, "SUBMIT": expects, "TRANSFER": expects, "POISONMESSAGE": expects,
	"RESUBMIT": expects, "DSN": createsDSN,
	"SEND": sends, "SENDEXTERNAL": delivers, "DELIVER": delivers,
	"DEFER": defers, "FAIL": fails, "BADMAIL": spoils, "DROP": drops,
	"EXPAND": expands, "RESOLVE": expands, "REDIRECT": redirects,

	"AGENTINFO": nothing, "CLIENTSUBMISSION": nothing, "DELIVERFAIL": nothing,
	"DUPLICATEDELIVER": nothing, "DUPLICATEEXPAND": nothing, "DUPLICATEREDIRECT": nothing,
	"HADISCARD": nothing, "HARECEIVE": nothing, "HAREDIRECT": nothing, "HAREDIRECTFAIL": nothing,
	"INITMESSAGECREATED": nothing, "JOURNAL": nothing, "LOAD": nothing,
	"MODERATIONEXPIRE": nothing, "MODERATORAPPROVE": nothing, "MODERATORREJECT": nothing,
	"MODERATORSALLNDR": nothing, "NOTIFYMAPI": nothing, "NOTIFYSHADOW": nothing,
	"POSTLOAD": nothing, "PROCESS": nothing, "PROCESSMEETINGMESSAGE": nothing,
	"RESUBMITDEFER": nothing, "RESUBMITFAIL": nothing, "SUBMITDEFER": nothing,
	"SUBMITFAIL": nothing, "SUPPRESSED": nothing, "THROTTLE": nothing,
}

// row reads one row. A row whose number of fields differs from the header is torn and
// Unparsed.
func (t *tracking) row(fields [][]byte, emit func(*parsers.Record)) parsers.Result {
	if t.width == 0 || t.assumed && t.width != len(fields) {
		t.assume(len(fields))
	}
	if len(fields) != t.width {
		return parsers.Unparsed
	}
	effect := effects[string(t.get(fields, colEvent))]
	when, ok := t.when(fields)
	if effect == 0 || !ok || t.local && !t.exported(&fields[t.at[colRecipient]], &fields[t.at[colStatus]]) {
		return parsers.Unparsed
	}
	if effect == nothing {
		return parsers.Understood
	}
	r := &t.rec
	r.Reset()
	r.Time = when
	r.Host = t.host(fields, effect)
	if r.ID = t.message(fields, r.Host); len(r.ID) == 0 {
		return parsers.Understood
	}
	t.emit(fields, effect, emit)
	return parsers.Understood
}

// exported converts lists that PowerShell or a script has joined, {a, b} or a, b or
// a b, to the form of the log. It returns false when the recipients are not a whole
// list: for a list that was not joined, PowerShell writes only the name of its type
// (System.String[]).
func (t *tracking) exported(recipients, status *[]byte) bool {
	t.text = append(append(t.text[:0], *recipients...), *status...)
	n := len(*recipients)
	braced := bytes.HasPrefix(*recipients, []byte("{"))
	list, whole := members(t.text[:n:n], func([]byte) bool { return braced })
	if !whole || isTypeName(list) {
		return false
	}
	if *recipients = list; bytes.IndexByte(list, ';') < 0 {
		*recipients = separated(list)
	}
	begins := beginsStatus
	switch *status = t.text[n:]; {
	case isTypeName(*status):
		*status = nil
	case bytes.IndexByte(*recipients, ';') < 0: // a single status may contain a comma
		begins = func([]byte) bool { return false }
	case bytes.HasPrefix(bytes.TrimPrefix(*status, []byte("{")), []byte("[{")):
		begins = func(b []byte) bool { return bytes.HasPrefix(b, []byte("[{")) }
	}
	*status, _ = members(*status, begins)
	return true
}

func isTypeName(b []byte) bool {
	return bytes.HasPrefix(b, []byte("System.")) || bytes.HasPrefix(b, []byte("Microsoft.Exchange."))
}

// separated puts semicolons between addresses that blanks or commas separate. It
// returns a list that contains other words unchanged.
func separated(list []byte) []byte {
	words := bytes.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' })
	for _, word := range words {
		if bytes.IndexByte(word, '@') < 0 {
			return list
		}
	}
	return bytes.Join(words, []byte(";"))
}

func (t *tracking) when(fields [][]byte) (time.Time, bool) {
	if t.local {
		return t.culture.read(t.get(fields, colTime))
	}
	return t.clock.read(t.get(fields, colTime))
}

// assume sets the columns of the version whose rows have width fields, if any.
func (t *tracking) assume(width int) {
	if names := trackingOf(width); names != "" {
		t.header(bytes.Split([]byte(names), []byte(",")))
		t.assumed = true
	}
}

// emit emits the records of a row. Every row has an Arrival with the sender, because
// the row of RECEIVE may be in another file. Rows that only queue recipients, such as
// SUBMIT, have none when they have no return-path, because they know only the author.
func (t *tracking) emit(fields [][]byte, effect effect, emit func(*parsers.Record)) {
	recipients := t.recipients.addresses(t.get(fields, colRecipient))
	if effect != expects || len(t.get(fields, colReturnPath)) > 0 {
		t.arrival(fields, recipients, effect, emit)
	}
	switch effect {
	case arrives, createsDSN, expects:
		t.each(parsers.Expected, recipients, emit)
	case sends:
		if t.isHop(fields) {
			t.relay(fields)
			t.rec.Final = registry.StateHandedOver
			t.each(parsers.Settled, recipients, emit)
			return
		}
		t.attempts(fields, recipients, registry.OutcomeDelivered, emit)
	case delivers:
		t.attempts(fields, recipients, registry.OutcomeDelivered, emit)
	case defers:
		t.attempts(fields, recipients, registry.OutcomeDeferred, emit)
	case fails:
		t.attempts(fields, recipients, registry.OutcomeFailed, emit)
	case spoils:
		t.rec.Outcome = registry.OutcomeFailed
		setOrigin(&t.rec, t.get(fields, colSource), nil)
		t.each(parsers.Attempt, recipients, emit)
	case drops:
		t.drop(recipients, t.status.statuses(t.get(fields, colStatus), len(recipients)), emit)
	case expands:
		t.replace(t.related.addresses(t.get(fields, colRelated)), recipients, false, emit)
	case redirects:
		t.redirect(recipients, t.related.addresses(t.get(fields, colRelated)), emit)
	}
}

func (t *tracking) each(kind parsers.Kind, recipients [][]byte, emit func(*parsers.Record)) {
	if t.rec.Kind = kind; kind != parsers.Settled {
		t.rec.Final = registry.StatePending
	}
	for _, recipient := range recipients {
		if len(recipient) > 0 {
			t.rec.Address = recipient
			emit(&t.rec)
		}
	}
}

// drop reports recipients that Exchange discarded as removed. When it expanded a
// list ("250 2.1.5 RESOLVER.GRP.Expanded; distribution list expanded") the list is
// replaced: its members are the recipients.
func (t *tracking) drop(recipients, statuses [][]byte, emit func(*parsers.Record)) {
	for i := range recipients {
		t.rec.Final = registry.StateRemoved
		if i < len(statuses) && contains(readStatus(statuses[i]).reply, "RESOLVER.GRP.Expanded") {
			t.rec.Final = registry.StateReplaced
		}
		t.each(parsers.Settled, recipients[i:i+1], emit)
	}
}

// redirect reports that new replaced old. A mailbox that forwards and keeps a copy
// is redirected to itself, too. Without a new address only the connector changed.
func (t *tracking) redirect(old, new [][]byte, emit func(*parsers.Record)) {
	if len(new) == 0 {
		t.each(parsers.Expected, old, emit)
		return
	}
	t.replace(old, new, true, emit)
}

// replace reports that new replaced old. An address that is in both lists (RESOLVE
// of an address whose case differs) stays a recipient. With keeps its record is
// marked Kept, so that it stays whatever other records replace it.
func (t *tracking) replace(old, new [][]byte, keeps bool, emit func(*parsers.Record)) {
	for _, o := range old {
		if len(o) > 0 && !hasFold(new, o) {
			t.rec.Address = o
			t.rec.Settle(registry.StateReplaced)
			emit(&t.rec)
		}
	}
	if len(old) == 1 {
		t.rec.Original = old[0]
	}
	for i, n := range new {
		t.rec.Kept = keeps && hasFold(old, n)
		t.each(parsers.Expected, new[i:i+1], emit)
	}
}

func hasFold(list [][]byte, b []byte) bool {
	for _, l := range list {
		if bytes.EqualFold(l, b) {
			return true
		}
	}
	return false
}

// arrival emits the Arrival of a row. On RECEIVE the client is the host that brought
// the message, or the frontend that passed it on; then original-client-ip contains
// the host that brought it.
func (t *tracking) arrival(fields, recipients [][]byte, effect effect, emit func(*parsers.Record)) {
	r := &t.rec
	r.Kind = parsers.Arrival
	r.HasSender, r.Sender = t.sender(fields)
	r.MessageID = t.get(fields, colMessageID)
	r.Service = t.service(fields)
	if effect == arrives || effect == createsDSN {
		r.Size = size(t.get(fields, colBytes))
	}
	if effect == arrives {
		r.Client, r.ClientIP = t.get(fields, colClient), t.get(fields, colClientIP)
		if ip := t.get(fields, colOriginalIP); len(ip) > 0 && !bytes.Equal(ip, r.ClientIP) {
			r.Client, r.ClientIP = nil, ip
		}
	}
	if effect == arrives {
		r.Account = t.account(fields)
		r.Recipients = countNonEmpty(recipients)
	}
	if r.Own = t.isOwn(fields); r.Own && effect == createsDSN {
		r.BounceOf = t.get(fields, colReference)
	}
	emit(r)
	r.Client, r.ClientIP, r.Account, r.Recipients, r.BounceOf = nil, nil, nil, 0, nil
}

// isOwn reports whether a row is about a delivery status notification of this
// organisation. It decides by the author, which every row has, so that the order of
// the rows does not matter. A null sender is not enough: replies of absent users
// have it too.
func (t *tracking) isOwn(fields [][]byte) bool {
	const system = "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@"
	sender := t.get(fields, colSender)
	if path := t.get(fields, colReturnPath); len(path) > 0 && string(path) != "<>" {
		return false
	}
	if len(sender) > len(system) && bytes.EqualFold(sender[:len(system)], []byte(system)) {
		return true
	}
	return parsers.Has(sender, "postmaster@") && string(t.get(fields, colDirectionality)) == "Originating"
}

// account returns the submitter of a received message: the mailbox that sent it, or
// the IP address of the client when the message comes from within the organisation;
// nil for other messages.
func (t *tracking) account(fields [][]byte) []byte {
	switch {
	case string(t.get(fields, colSource)) == "STOREDRIVER":
		return t.get(fields, colSender)
	case string(t.get(fields, colDirectionality)) != "Originating":
		return nil
	}
	if ip := t.get(fields, colOriginalIP); len(ip) > 0 {
		return ip
	}
	return t.get(fields, colClientIP)
}

func countNonEmpty(list [][]byte) (n int) {
	for _, b := range list {
		if len(b) > 0 {
			n++
		}
	}
	return n
}

// attempts emits one attempt for each recipient of the row, with its own status.
func (t *tracking) attempts(fields [][]byte, recipients [][]byte, outcome registry.Outcome,
	emit func(*parsers.Record)) {
	r := &t.rec
	r.Kind, r.Outcome = parsers.Attempt, outcome
	r.Direction = direction(t.get(fields, colSource), nil)
	t.relay(fields)
	if outcome == registry.OutcomeDelivered {
		t.delay(fields)
		t.each(parsers.Attempt, recipients, emit)
		return
	}
	relay, ip := r.Relay, r.RelayIP
	statuses := t.status.statuses(t.get(fields, colStatus), len(recipients))
	for i, recipient := range recipients {
		if len(recipient) == 0 {
			continue
		}
		r.Address, r.Relay, r.RelayIP = recipient, relay, ip
		var member []byte
		if i < len(statuses) {
			member = statuses[i]
		}
		t.failure(fields, member)
		emit(r)
	}
}

// direction returns Local for a mailbox of the organisation: the store driver
// delivers to it, or the reply comes from the resolver. Else it returns Outgoing.
func direction(source, reply []byte) registry.Direction {
	if string(source) == "STOREDRIVER" || contains(reply, " RESOLVER.") {
		return registry.DirectionLocal
	}
	return registry.DirectionOutgoing
}

// failure sets the reply, the cause and the relay of a DEFER or FAIL from a member of
// recipient-status.
func (t *tracking) failure(fields [][]byte, member []byte) {
	r := &t.rec
	s := readStatus(member)
	source := t.get(fields, colSource)
	r.MTAStatus, r.Stage, r.Source = registry.Enhanced{}, 0, 0
	setReply(r, s.reply)
	setOrigin(r, source, s.reply)
	r.Direction = direction(source, s.reply)
	if r.Outcome == registry.OutcomeFailed {
		r.Final = t.ended(source, s.reply)
	}
	if string(source) != "SMTP" && string(source) != "DNS" {
		return
	}
	if len(r.Relay) == 0 {
		r.Relay = s.fqdn
	}
	if len(r.RelayIP) == 0 {
		if r.RelayIP = s.ip; len(s.ip) == 0 {
			r.RelayIP = lastEndpoint(s.reply)
		}
	}
}

// ended returns the final state of a FAIL that no server caused: Expired when Exchange
// gave up ("550 4.4.7 QUEUE.Expired; message expired", in Exchange Online "550 5.4.300
// Message expired -> …"), Removed when an administrator deleted the message
// ("550 4.3.2 QUEUE.Admin; …"). For other failures it returns Pending: the outcome
// decides. It looks only at the words after the codes, and not at texts from SMTP,
// because a server may have sent the rest.
func (t *tracking) ended(source, reply []byte) registry.State {
	reply = reply[:min(len(reply), len("550 5.255.255 QUEUE.Expired; "))]
	switch {
	case string(source) == "SMTP":
	case contains(reply, "QUEUE.Expired"), contains(reply, " Message expired"):
		return registry.StateExpired
	case contains(reply, "QUEUE.Admin"):
		return registry.StateRemoved
	}
	return registry.StatePending
}

// relay sets the next hop from server-* on SEND, DEFER and FAIL by SMTP.
func (t *tracking) relay(fields [][]byte) {
	if string(t.get(fields, colSource)) == "SMTP" {
		t.rec.Relay, t.rec.RelayIP = t.get(fields, colServer), t.get(fields, colServerIP)
	}
}

// delay sets the time since arrival: on SEND and DELIVER message-info begins with the
// time of arrival.
func (t *tracking) delay(fields [][]byte) {
	info := t.get(fields, colInfo)
	if i := bytes.IndexByte(info, ';'); i >= 0 {
		info = info[:i]
	}
	if arrived, ok := t.clock.read(info); ok && !arrived.After(t.rec.Time) {
		t.rec.Delay = t.rec.Time.Sub(arrived)
	}
}

// sender returns the envelope sender: return-path, or sender-address where a
// row has no return-path. Only return-path contains <> for a null sender.
func (t *tracking) sender(fields [][]byte) (known bool, sender []byte) {
	if p := t.get(fields, colReturnPath); len(p) > 0 {
		return true, withoutBrackets(p)
	}
	p := t.get(fields, colSender)
	return len(p) > 0, withoutBrackets(p)
}

func withoutBrackets(b []byte) []byte {
	if len(b) >= 2 && b[0] == '<' && b[len(b)-1] == '>' {
		return b[1 : len(b)-1]
	}
	return b
}

// service returns the connector, Exchange's equivalent of a transport, or else the
// component that wrote the row.
func (t *tracking) service(fields [][]byte) []byte {
	if c := t.get(fields, colConnector); len(c) > 0 {
		return c
	}
	return t.get(fields, colSource)
}

// isHop reports whether a SEND went to another server of the organisation.
func (t *tracking) isHop(fields [][]byte) bool {
	return string(t.get(fields, colSource)) == "SMTP" &&
		(t.external || isInternalConnector(t.get(fields, colConnector)))
}

// message returns the id of a message: network-message-id, which stays the same on
// all servers (2013 and later), else the Message-ID. A message without either (a
// file in the pickup folder that Exchange cannot read) gets the server's host and
// internal-message-id. It returns nil when there is no id.
func (t *tracking) message(fields [][]byte, host []byte) []byte {
	if id := t.get(fields, colNetworkID); len(id) > 0 && !allZero(id) {
		if len(id) == 32 {
			t.key = appendGUID(t.key[:0], id)
			return t.key
		}
		return id
	}
	if id := t.get(fields, colMessageID); len(id) > 0 {
		return id
	}
	id := t.get(fields, colInternalID)
	if len(id) == 0 || len(id) == 1 && id[0] == '0' {
		return nil
	}
	t.key = append(append(append(t.key[:0], host...), '/'), id...)
	return t.key
}

// allZero reports whether a GUID is the empty one.
func allZero(id []byte) bool {
	for _, c := range id {
		if c != '0' && c != '-' {
			return false
		}
	}
	return true
}

// appendGUID appends a GUID of 32 digits with the dashes that other logs write, so
// that the logs of a hybrid organisation agree.
func appendGUID(dst, id []byte) []byte {
	for i, c := range id {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			dst = append(dst, '-')
		}
		dst = append(dst, c)
	}
	return dst
}

// host returns the server that wrote the row: the server on RECEIVE, else the client
// if there is one. It omits the domain, because only some rows of a server have it.
func (t *tracking) host(fields [][]byte, effect effect) []byte {
	client, server := t.get(fields, colClient), t.get(fields, colServer)
	host := client
	if len(host) == 0 || effect == arrives {
		host = server
	}
	if len(host) == 0 {
		return t.ownHost
	}
	if i := bytes.IndexByte(host, '.'); i > 0 && !allDigits(host[:i]) {
		host = host[:i]
	}
	return host
}

// isInternalConnector reports whether a send connector leads to another server of
// the organisation. Exchange has these connectors by default ("Send connectors in
// Exchange Server", implicit Send connectors). Before 2016 other language versions
// translate the names, so the parser cannot recognize the hop.
func isInternalConnector(name []byte) bool {
	for _, known := range [...]string{"Intra-Organization", "Inbound Proxy Internal Send Connector",
		"Client Proxy Send Connector"} {
		if len(name) >= len(known) && string(name[:len(known)]) == known {
			return true
		}
	}
	return false
}
