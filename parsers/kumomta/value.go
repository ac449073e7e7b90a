package kumomta

import (
	"bytes"
	"strconv"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
)

// stageOf returns the stage of the command that the server answered. "." is the end of
// the data.
func stageOf(command []byte) registry.Stage {
	for _, c := range commands {
		if len(command) >= len(c.verb) && bytes.EqualFold(command[:len(c.verb)], c.verb) {
			return c.stage
		}
	}
	return registry.StageUnknown
}

var commands = []struct {
	verb  []byte
	stage registry.Stage
}{
	{[]byte("RCPT"), registry.StageRcpt},
	{[]byte("MAIL"), registry.StageMail},
	{[]byte("DATA"), registry.StageData},
	{[]byte("."), registry.StageEndOfData},
	{[]byte("EHLO"), registry.StageEHLO},
	{[]byte("HELO"), registry.StageEHLO},
	{[]byte("LHLO"), registry.StageEHLO},
	{[]byte("STARTTLS"), registry.StageSTARTTLS},
	{[]byte("AUTH"), registry.StageAuth},
	{[]byte("QUIT"), registry.StageQuit},
}

// originOf returns the stage and the source of a failure without a reply, by KumoMTA's
// words.
func originOf(text []byte) (registry.Stage, registry.Source) {
	has := func(word string) bool { return bytes.Contains(text, []byte(word)) }
	switch {
	case has("TLS"), has("ertificate"), has("DANE"):
		return registry.StageSTARTTLS, registry.SourceTLS
	case has("MX"), has("DNS"), has("resolv"), has("NXDOMAIN"):
		return registry.StageDNS, registry.SourceDNS
	case has("failed to connect"), has("connect to"), has("onnection refused"), has("onnect timed out"):
		return registry.StageConnect, registry.SourceNetwork
	case has("imed out"), has("imeout"), has("isconnect"), has("onnection"), has("failed to send message"):
		return registry.StageUnknown, registry.SourceNetwork
	}
	return registry.StageRoute, registry.SourceLocal
}

// bare returns an address without its angle brackets.
func bare(address []byte) []byte {
	if len(address) > 1 && address[0] == '<' {
		return bytes.TrimSuffix(address[1:], []byte(">"))
	}
	return address
}

// lastID returns the last Message-ID in a list, with its angle brackets, nil when there
// is none.
func lastID(list []byte) []byte {
	i := bytes.LastIndexByte(list, '<')
	if i < 0 {
		return nil
	}
	end := bytes.IndexByte(list[i:], '>')
	if end < 2 || bytes.ContainsAny(list[i:i+end], " \t\r\n") {
		return nil
	}
	return list[i : i+end+1]
}

// timeOf reads seconds since 1970 with or without a fraction, or a time of RFC 3339, as
// in event_time of templates; it is zero for anything else.
func timeOf(b []byte) time.Time {
	seconds, fraction, _ := bytes.Cut(b, []byte("."))
	if n, ok := parsers.Digits(seconds); ok && n > 0 && len(seconds) < 12 {
		var nanos, unit int64 = 0, 1e8
		for _, c := range fraction {
			if !parsers.IsDigit(c) || unit == 0 {
				break
			}
			nanos, unit = nanos+int64(c-'0')*unit, unit/10
		}
		return time.Unix(int64(n), nanos).UTC()
	}
	if len(b) > 19 && b[10] == 'T' {
		if t, err := time.Parse(time.RFC3339Nano, string(b)); err == nil {
			return t
		}
	}
	return time.Time{}
}

func appendEnhanced(b []byte, e registry.Enhanced) []byte {
	b = append(b, '0'+e.Class, '.')
	b = strconv.AppendUint(b, uint64(e.Subject), 10)
	return strconv.AppendUint(append(b, '.'), uint64(e.Detail), 10)
}
