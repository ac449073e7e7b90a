package track

import (
	"encoding/hex"
	"testing"

	"mailfail/registry"
)

// States that programs of earlier versions stored of one and the same message: it
// waits for b, c was refused, d has it.
var earlierStates = []struct {
	version byte
	state   string
}{
	{1, "010307706f7374666978036d7831000a344131423243334434450d6140736e642e6578616d706c65103c6d31" +
		"40736e642e6578616d706c653e0e70632e736e642e6578616d706c65093139322e302e322e31d40d80f0b787" +
		"ebabb00680f9b188ebabb006020280f9b188ebabb0060300010d62406661722e6578616d706c65020280f9b1" +
		"88ebabb0060080f9b188ebabb00680f9b188ebabb006000280f9b188ebabb00602010d63406661722e657861" +
		"6d706c65040280f9b188ebabb0060280f9b188ebabb00680f9b188ebabb00680f9b188ebabb0060480f9b188" +
		"ebabb00601000d64406661722e6578616d706c65000280f9b188ebabb0060280f9b188ebabb00680f9b188eb" +
		"abb00680f9b188ebabb0060000"},
	{2, "020307706f7374666978036d7831000a344131423243334434450d6140736e642e6578616d706c65103c6d31" +
		"40736e642e6578616d706c653e0e70632e736e642e6578616d706c65093139322e302e322e31d40d80f0b787" +
		"ebabb00680f9b188ebabb006020280f9b188ebabb0060003000d0d62406661722e6578616d706c65020280f9" +
		"b188ebabb0060080f9b188ebabb00680f9b188ebabb006000280f9b188ebabb0060000020d0d63406661722e" +
		"6578616d706c65040280f9b188ebabb0060280f9b188ebabb00680f9b188ebabb00680f9b188ebabb0060480" +
		"f9b188ebabb0060000010c0d64406661722e6578616d706c65000280f9b188ebabb0060280f9b188ebabb006" +
		"80f9b188ebabb00680f9b188ebabb00600000000"},
	{3, "03830107706f7374666978036d7831000a344131423243334434450d6140736e642e6578616d706c65103c6d" +
		"3140736e642e6578616d706c653e0e70632e736e642e6578616d706c65093139322e302e322e31036a6f6522" +
		"6d783100736e642e6578616d706c65006a6f650070632e736e642e6578616d706c65d40d80f0b787ebabb006" +
		"80f9b188ebabb006020480f9b188ebabb006000280f0b787ebabb0060603002d0d62406661722e6578616d70" +
		"6c65020480f9b188ebabb0060080f9b188ebabb00680f9b188ebabb006000280f9b188ebabb0060000014382" +
		"022d0d63406661722e6578616d706c65040480f9b188ebabb0060480f9b188ebabb00680f9b188ebabb00680" +
		"f9b188ebabb0060480f9b188ebabb006000001b703010c0d64406661722e6578616d706c65000480f9b188eb" +
		"abb0060480f9b188ebabb00680f9b188ebabb00680f9b188ebabb0060000000000"},
}

// A message that an earlier program left open goes on as it was.
func TestEarlierStates(t *testing.T) {
	const last = 1795156081000000 // when the last of its lines was written
	recipients := []struct {
		address string
		state   registry.State
		problem bool
	}{
		{"b@far.example", registry.StatePending, true},
		{"c@far.example", registry.StateBounced, true},
		{"d@far.example", registry.StateDelivered, false},
	}
	for _, e := range earlierStates {
		state, err := hex.DecodeString(e.state)
		if err != nil {
			t.Fatal(err)
		}
		var m message
		if err := m.restore(state); err != nil || state[0] != e.version {
			t.Fatalf("version %d, state of %d: %v", e.version, state[0], err)
		}
		if string(m.id) != "4A1B2C3D4E" || !m.hasSender || string(m.sender) != "a@snd.example" ||
			string(m.messageID) != "<m1@snd.example>" || m.size != 874 || m.row != 1 || m.last != last ||
			m.first != last-1e6 || !m.counted {
			t.Errorf("version %d: message %+v", e.version, m)
		}
		if len(m.recipients) != len(recipients) {
			t.Fatalf("version %d: %d recipients", e.version, len(m.recipients))
		}
		for i, want := range recipients {
			r := &m.recipients[i]
			if string(r.address) != want.address || r.state != want.state || r.problem != want.problem ||
				r.troubled != want.problem || r.replaced != 0 || r.first != last || r.last != last ||
				!r.tried || r.seriesAt != last || (r.final == last) != (want.state != registry.StatePending) {
				t.Errorf("version %d: recipient %+v", e.version, *r)
			}
		}
	}
}
