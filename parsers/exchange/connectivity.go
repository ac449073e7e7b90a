package exchange

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

const connectivityFields = "date-time,session,source,Destination,direction,description"

// The columns of the connectivity log.
const (
	connTime = iota
	connSession
	connSource
	connDestination
	connDirection
	connDescription
	connWidth
)

// maxMessages is more than any connection passes on. The limit keeps sums from
// overflowing.
const maxMessages = 1_000_000

// connectivity reads the rows of the transport connectivity log ("Connectivity
// logging in Exchange Server"): + a queue opened, > the result of a DNS query or of
// connecting, - the connection ended, with the number of messages. The log names
// destinations but no recipients, so it contains no attempts; the tracking log
// reports the outcome for the recipients.
type connectivity struct {
	sessions
	ownHost []byte
	clock   clock
	rec     parsers.Record
}

func (c *connectivity) header(names [][]byte) bool {
	return bytes.EqualFold(bytes.Join(names, []byte(",")), []byte(connectivityFields))
}

func (c *connectivity) row(fields [][]byte, emit func(*parsers.Record)) parsers.Result {
	if len(fields) != connWidth || len(fields[connDirection]) != 1 ||
		bytes.IndexByte([]byte("+->*<"), fields[connDirection][0]) < 0 {
		return parsers.Unparsed
	}
	when, ok := c.clock.read(fields[connTime])
	if !ok {
		return parsers.Unparsed
	}
	c.reach(c.clock.day())
	// Other sources are submissions from a mailbox and deliveries to a mailbox.
	if string(fields[connSource]) != "SMTP" {
		return parsers.Understood
	}
	switch fields[connDirection][0] {
	case '>':
		c.step(fields[connSession], fields[connDescription])
	case '-':
		c.rec.Reset()
		c.rec.Time = when
		c.end(fields, emit)
	}
	return parsers.Understood
}

// step keeps the description of a failure, because the row of the end says less:
//
//	Failed connection to 198.51.100.9:25 (HostUnreachable:00002751)[TargetHost:…
//	DNS server returned InfoDomainNonexistent reported by 192.0.2.53. [Domain:Result] = …
//	Non-existent domain reported by 192.0.2.53. …
func (c *connectivity) step(session, description []byte) {
	switch {
	case bytes.HasPrefix(description, []byte("Failed connection to ")):
		text, _, _ := bytes.Cut(description, []byte("[TargetHost:"))
		c.get(session).fail(registry.StageConnect, registry.SourceNetwork, text)
	case contains(description, " reported by "):
		c.get(session).fail(registry.StageDNS, registry.SourceDNS, description)
	case bytes.HasPrefix(description, []byte("Established connection to ")):
		if x := c.find(session); x != nil {
			c.close(x) // connecting to another address succeeded
		}
	}
}

// end emits a Connection: "Messages: 2 Bytes: 4711 ()", where the parentheses contain
// the reason why it ended early, or "Aborted connection to 192.0.2.1". With "Using
// Cached Session 08DE…" Exchange made no connection.
func (c *connectivity) end(fields [][]byte, emit func(*parsers.Record)) {
	var f failure
	if x := c.find(fields[connSession]); x != nil {
		f = x.failure
		c.close(x)
	}
	description := fields[connDescription]
	numbers, why, _ := bytes.Cut(description, []byte(" ("))
	why = bytes.TrimSuffix(why, []byte(")"))
	switch {
	case bytes.HasPrefix(description, []byte("Using Cached Session ")):
		return
	case bytes.HasPrefix(description, []byte("Aborted connection")):
		why = description
	}
	r := &c.rec
	r.Kind, r.Host, r.Relay, r.Outcome = parsers.Connection, c.ownHost, fields[connDestination],
		registry.OutcomeDelivered
	messages, _, _ := bytes.Cut(bytes.TrimPrefix(numbers, []byte("Messages: ")), []byte(" "))
	r.Messages = int(min(size(messages), maxMessages))
	if len(why) > 0 {
		ended := failure{text: why}
		ended.stage, ended.source = connectivityStage(why)
		if ended.stage != registry.StageUnknown && f.stage == ended.stage {
			ended.text = f.text // the same failure in more detail
		}
		r.Session = fields[connSession]
		ended.set(r)
	}
	emit(r)
}

// connectivityStage returns the stage and the source of an early end by its reason.
func connectivityStage(why []byte) (registry.Stage, registry.Source) {
	switch {
	case contains(why, "The DNS query for"), contains(why, "The domain name "):
		return registry.StageDNS, registry.SourceDNS
	case contains(why, "Unable to connect"):
		return registry.StageConnect, registry.SourceNetwork
	case contains(why, "TLS negotiation failed"):
		return registry.StageSTARTTLS, registry.SourceTLS
	}
	return registry.StageUnknown, registry.SourceUnknown
}
