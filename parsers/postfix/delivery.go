package postfix

import (
	"bytes"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
)

// address reads the address at the beginning of b and returns the text after it, which
// begins with one of follow or is empty. Postfix 3.5 and later quote a local part if
// necessary (info_log_addr_form = external). Older versions do not, so any address may
// contain ">", and the first ">" before one of follow ends it. Very old versions wrote no
// brackets.
func address(b []byte, follow []string) (addr, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '<' {
		return bareAddress(b, follow)
	}
	b = b[1:]
	if i := parsers.SkipQuoted(b); i > 0 {
		if addr, rest, ok = addressFrom(b, i, follow); ok {
			return addr, rest, true
		}
	}
	return addressFrom(b, 0, follow)
}

// addressFrom searches for the end of the address b from i on.
func addressFrom(b []byte, i int, follow []string) (addr, rest []byte, ok bool) {
	for {
		j := bytes.IndexByte(b[i:], '>')
		if j < 0 {
			return nil, nil, false
		}
		i += j + 1
		if rest := b[i:]; len(rest) == 0 || parsers.HasAny(rest, follow) {
			return b[:i-1], rest, true
		}
	}
}

// bareAddress reads an address without brackets.
func bareAddress(b []byte, follow []string) (addr, rest []byte, ok bool) {
	for i := range b {
		if (b[i] == ',' || b[i] == ' ') && parsers.HasAny(b[i:], follow) {
			return b[:i], b[i:], true
		}
	}
	return nil, nil, false
}

// host reads name[ip], name[ip]:port or name[path] and returns the text after it.
func host(b []byte) (name, ip, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '[')
	if i < 0 {
		return nil, nil, nil, false
	}
	n := bytes.IndexByte(b[i:], ']')
	if n < 0 || bytes.IndexByte(b[:i], ' ') >= 0 {
		return nil, nil, nil, false
	}
	name, ip, rest = b[:i], b[i+1:i+n], b[i+n+1:]
	if len(rest) > 1 && rest[0] == ':' && parsers.IsDigit(rest[1]) {
		j := 1
		for j < len(rest) && parsers.IsDigit(rest[j]) {
			j++
		}
		rest = rest[j:]
	}
	return name, ip, rest, true
}

// seconds reads a delay in seconds such as 151541, 0.16 or 1.2; it returns -1 for any
// other text.
func seconds(b []byte) time.Duration {
	if len(b) == 0 || !parsers.IsDigit(b[0]) {
		return -1
	}
	whole, fraction, _ := bytes.Cut(b, dot)
	d := time.Duration(min(parsers.Number(whole), int64(1<<32))) * time.Second
	unit := time.Second / 10
	for _, c := range fraction {
		if !parsers.IsDigit(c) {
			break
		}
		d += time.Duration(c-'0') * unit
		unit /= 10
	}
	return d
}

var dot = []byte(".")

// Texts after the recipient of a delivery.
var (
	afterRecipient = []string{", relay=", ", orig_to="}
	afterOriginal  = []string{", relay="}
)

// delivery reads "<addr>, [orig_to=<addr>, ]relay=…, [conn_use=…, ]delay=…,
// [delays=…, dsn=…, ]status=word (text)".
func (l *line) delivery(b []byte) parsers.Result {
	var ok bool
	if l.Address, b, ok = address(b, afterRecipient); !ok || len(l.Address) == 0 {
		return parsers.Unparsed // Postfix delivers no mail to <> (empty_address_recipient)
	}
	if parsers.Has(b, ", orig_to=") {
		if l.Original, b, ok = address(b[len(", orig_to="):], afterOriginal); !ok {
			return parsers.Unparsed
		}
	}
	for parsers.Has(b, ", ") {
		b = b[2:]
		eq := bytes.IndexByte(b, '=')
		if eq < 0 {
			break
		}
		key, rest := b[:eq], b[eq+1:]
		if string(key) == "status" {
			return l.status(rest)
		}
		end := bytes.IndexByte(rest, ',')
		if end < 0 {
			break
		}
		l.field(key, rest[:end])
		b = rest[end:]
	}
	return parsers.Unparsed // cut off before the status
}

// field stores one field of a delivery.
func (l *line) field(key, value []byte) {
	switch string(key) {
	case "relay":
		if string(value) == "none" {
			return
		}
		if name, ip, _, ok := host(value); ok {
			l.Relay, l.RelayIP = name, ip
			return
		}
		l.Relay = value
	case "delay":
		l.Delay = seconds(value)
	case "dsn":
		l.MTAStatus = enhanced(value)
	}
}

// status reads "sent (text)" and emits the record of the delivery.
func (l *line) status(b []byte) parsers.Result {
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return parsers.Unparsed
	}
	text, whole := unwrap(b[i+1:])
	l.Direction = l.direction(text)
	switch string(b[:i]) {
	case "sent":
		l.sent(text)
	case "deferred":
		l.deferred(text, whole)
	case "SOFTBOUNCE": // with soft_bounce = yes
		l.Outcome = registry.OutcomeDeferred
		l.failed(text, whole)
	case "bounced":
		l.Outcome = registry.OutcomeFailed
		l.failed(text, whole)
	case "expired":
		l.Reply.Text = text
		l.settle(registry.StateExpired)
	// a probe, not mail
	case "deliverable", "undeliverable", "deliverable-but-not-cached", "undeliverable-but-not-cached":
	default:
		return parsers.Unparsed
	}
	return parsers.Understood
}

// direction returns whether the recipient's mailbox is on this host: LMTP delivers to
// mailboxes, and a next hop that is a mailbox, a pipe or a socket has no address.
func (l *line) direction(text []byte) registry.Direction {
	switch {
	case string(l.daemon()) == "lmtp", parsers.Has(text, "User unknown in "):
		return registry.DirectionLocal
	case l.noRelay():
		return registry.DirectionOutgoing
	case len(l.RelayIP) == 0, l.RelayIP[0] == '/', parsers.Has(l.RelayIP, "private/"):
		return registry.DirectionLocal
	}
	return registry.DirectionOutgoing
}

// unwrap removes the outer parentheses of a text. If syslog cut the line, the closing one
// is missing, and whole is false.
func unwrap(text []byte) (inner []byte, whole bool) {
	if len(text) > 0 && text[0] == '(' {
		text = text[1:]
	}
	if n := len(text); n > 0 && text[n-1] == ')' {
		return text[:n-1], true
	}
	return text, false
}
