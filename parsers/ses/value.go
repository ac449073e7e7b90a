package ses

import (
	"bytes"

	"mailfail/registry"
)

// addressOf returns the address of "Sender Name <a@snd.example>".
func addressOf(b []byte) []byte {
	if i := bytes.LastIndexByte(b, '<'); i >= 0 {
		b = b[i+1:]
		if j := bytes.IndexByte(b, '>'); j >= 0 {
			b = b[:j]
		}
	}
	return bytes.TrimSpace(b)
}

// withoutType returns a diagnostic code without its type: "smtp; 550 5.1.1 …".
func withoutType(b []byte) []byte {
	if kind, rest, ok := bytes.Cut(b, []byte(";")); ok && len(kind) < 12 && bytes.IndexByte(kind, ' ') < 0 {
		return bytes.TrimSpace(rest)
	}
	return b
}

// originOf returns the stage and the source of a failure without a reply, by the words
// of the diagnostic and the type of the delay.
func originOf(text, kind []byte) (registry.Stage, registry.Source) {
	has := func(words string) bool { return bytes.Contains(text, []byte(words)) }
	switch {
	case has("MX"), has("DNS"), has("domain not found"), string(kind) == "BYOIPHostNameLookupUnavailable":
		return registry.StageDNS, registry.SourceDNS
	case has("TLS"):
		return registry.StageSTARTTLS, registry.SourceTLS
	case has("onnect"), has("timed out"), has("imeout"), string(kind) == "TransientCommunicationFailure":
		return registry.StageConnect, registry.SourceNetwork
	case string(kind) == "InternalFailure":
		return registry.StageUnknown, registry.SourceLocal
	}
	return registry.StageUnknown, registry.SourceUnknown
}
