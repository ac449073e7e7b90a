package filters

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// gateway reads the actions of Proxmox Mail Gateway's filter on a message, which its
// lines identify by an id of the filter:
//
//	20C0FFEE0A1B2: new mail message-id=<m@x>#012
//	20C0FFEE0A1B2: moved mail for <b@y> to spam quarantine - 20C0FFEE0A1B3 (rule: Quarantine)
//	20C0FFEE0A1B2: block mail to <b@y> (rule: Block Viruses)
//
// Mail that the filter accepts comes back to the MTA.
func (p *parser) gateway(b []byte) bool {
	id, text, ok := bytes.Cut(b, []byte(": "))
	if !ok || len(id) == 0 || bytes.IndexByte(id, ' ') >= 0 {
		return false
	}
	if messageID, ok := bytes.CutPrefix(text, []byte("new mail message-id=")); ok {
		p.inHand.put(id, bytes.TrimRight(bytes.TrimSuffix(messageID, []byte("#012")), " \r\n"))
		return true
	}
	if parsers.Has(text, "processing time: ") {
		p.inHand.forget(id)
		return true
	}
	did, address := "quarantined", []byte(nil)
	switch {
	case parsers.Has(text, "moved mail for <"):
		address, text, ok = path(text[len("moved mail for "):])
		ok = ok && bytes.Contains(text, []byte("quarantine"))
	case parsers.Has(text, "block mail to <"):
		address, _, ok = path(text[len("block mail to "):])
		did = "discarded"
	default:
		return false
	}
	if !ok || len(address) == 0 {
		return false
	}
	p.rec.MessageID = p.inHand.find(id)
	p.put(address, registry.StateRemoved, did, nil)
	return true
}

// inHand are the messages that the filter is processing, oldest first.
type inHand []handed

type handed struct{ id, messageID string }

// maxInHand is more than the number of the filter's processes.
const maxInHand = 100

func (h *inHand) put(id, messageID []byte) {
	h.forget(id)
	if len(*h) == maxInHand {
		*h = append((*h)[:0], (*h)[1:]...)
	}
	*h = append(*h, handed{string(id), string(messageID)})
}

func (h inHand) index(id []byte) int {
	for i := range h {
		if h[i].id == string(id) {
			return i
		}
	}
	return -1
}

func (h inHand) find(id []byte) []byte {
	if i := h.index(id); i >= 0 {
		return []byte(h[i].messageID)
	}
	return nil
}

func (h *inHand) forget(id []byte) {
	if i := h.index(id); i >= 0 {
		*h = append((*h)[:i], (*h)[i+1:]...)
	}
}

const stateVersion = 1

// Open reports false: each line is complete.
func (p *parser) Open() bool { return false }

// End emits nothing: no line is incomplete.
func (p *parser) End(func(*parsers.Record)) parsers.Result { return parsers.Understood }

// AppendBinary appends the messages that the filter is processing.
func (p *parser) AppendBinary(b []byte) ([]byte, error) {
	if len(p.inHand) == 0 {
		return b, nil
	}
	b = append(b, stateVersion)
	for _, h := range p.inHand {
		b = parsers.AppendBytes(parsers.AppendBytes(b, []byte(h.id)), []byte(h.messageID))
	}
	return b, nil
}

// UnmarshalBinary sets a new parser to a state that AppendBinary wrote.
func (p *parser) UnmarshalBinary(state []byte) error {
	if len(state) == 0 {
		return nil
	}
	r := parsers.ReadState(state)
	if r.Byte() != stateVersion {
		return parsers.ErrState
	}
	for r.More() && len(p.inHand) < maxInHand {
		p.inHand = append(p.inHand, handed{string(r.Bytes()), string(r.Bytes())})
	}
	return r.End()
}
