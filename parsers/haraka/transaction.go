package haraka

import (
	"bytes"
	"encoding/binary"

	"mailfail/parsers"
	"mailfail/registry"
)

// Limits of the state: transactions with waiting recipients, and connections.
const (
	maxTransactions = 2048
	maxRecipients   = 1000
)

// transactions are those that are not finished, the oldest first.
type transactions struct {
	list []*transaction
	free []*transaction // memory for reuse
}

// transaction holds the facts about a transaction, or about a connection.
type transaction struct {
	id, client, sender, messageID []byte // client is an IP address
	size                          int64
	recipients                    []recipient
	queued                        bool // its Arrival was emitted
}

// recipient is a recipient of a transaction.
type recipient struct {
	address []byte
	state   state
}

// state is the progress of a recipient.
type state uint8

const (
	waiting  state = iota // for the next try, or for the end of this one
	deferred              // in the current try
	done
)

// find returns the transaction of an id, nil when it is not known.
func (t *transactions) find(id []byte) *transaction {
	for i := len(t.list) - 1; i >= 0; i-- {
		if bytes.Equal(t.list[i].id, id) {
			return t.list[i]
		}
	}
	return nil
}

// get returns the transaction of an id, and creates it when there is none.
func (t *transactions) get(id []byte) *transaction {
	if x := t.find(id); x != nil {
		return x
	}
	if len(t.list) == maxTransactions {
		t.remove(0)
	}
	var x *transaction
	if n := len(t.free); n > 0 {
		x, t.free = t.free[n-1], t.free[:n-1]
		x.client, x.sender, x.messageID, x.size, x.recipients = x.client[:0], x.sender[:0], x.messageID[:0],
			0, x.recipients[:0]
		x.queued = false
	} else {
		x = new(transaction)
	}
	x.id = append(x.id[:0], id...)
	t.list = append(t.list, x)
	return x
}

// close forgets a transaction.
func (t *transactions) close(id []byte) {
	for i := range t.list {
		if bytes.Equal(t.list[i].id, id) {
			t.remove(i)
			return
		}
	}
}

// disconnect forgets a connection, and its transactions without a queued message.
func (t *transactions) disconnect(id []byte) {
	for i := len(t.list) - 1; i >= 0; i-- {
		if x := t.list[i]; bytes.HasPrefix(x.id, id) && !x.queued {
			t.remove(i)
		}
	}
}

func (t *transactions) remove(i int) {
	t.free = append(t.free, t.list[i])
	t.list = append(t.list[:i], t.list[i+1:]...)
}

// add adds a recipient that was accepted.
func (x *transaction) add(address []byte) {
	n := len(x.recipients)
	if n == maxRecipients || x.has(address) {
		return
	}
	if n < cap(x.recipients) {
		x.recipients = x.recipients[:n+1]
	} else {
		x.recipients = append(x.recipients, recipient{})
	}
	r := &x.recipients[n]
	r.address, r.state = append(r.address[:0], address...), waiting
}

func (x *transaction) has(address []byte) bool {
	for i := range x.recipients {
		if bytes.Equal(x.recipients[i].address, address) {
			return true
		}
	}
	return false
}

// domain returns the n-th domain of the recipients, from 1; nil when they have
// fewer.
func (x *transaction) domain(n int) []byte {
	for i := range x.recipients {
		domain := domainOf(x.recipients[i].address)
		if x.isFirstOf(i, domain) {
			if n--; n == 0 {
				return domain
			}
		}
	}
	return nil
}

// isFirstOf reports whether no recipient before the i-th has its domain.
func (x *transaction) isFirstOf(i int, domain []byte) bool {
	for j := range x.recipients[:i] {
		if bytes.EqualFold(domainOf(x.recipients[j].address), domain) {
			return false
		}
	}
	return true
}

func domainOf(address []byte) []byte { return address[bytes.LastIndexByte(address, '@')+1:] }

// settle records the outcome for one recipient.
func (x *transaction) settle(address []byte, outcome registry.Outcome) {
	for i := range x.recipients {
		if r := &x.recipients[i]; bytes.Equal(r.address, address) {
			r.set(outcome)
		}
	}
}

func (r *recipient) set(outcome registry.Outcome) {
	if outcome == registry.OutcomeDeferred {
		r.state = deferred
	} else {
		r.state = done
	}
}

// tried records that a try has ended: deferred recipients wait for the next one.
func (x *transaction) tried() {
	for i := range x.recipients {
		if r := &x.recipients[i]; r.state == deferred {
			r.state = waiting
		}
	}
}

// finished reports whether all recipients are done.
func (x *transaction) finished() bool {
	for i := range x.recipients {
		if x.recipients[i].state != done {
			return false
		}
	}
	return true
}

const stateVersion = 1

// Open reports false: an entry never needs the next line to be understood.
func (p *parser) Open() bool { return false }

// End emits nothing: unfinished transactions stay in the state.
func (p *parser) End(func(*parsers.Record)) parsers.Result { return parsers.Understood }

// AppendBinary appends the transactions that are not finished.
func (p *parser) AppendBinary(b []byte) ([]byte, error) {
	if len(p.open.list) == 0 {
		return b, nil
	}
	b = append(b, stateVersion)
	for _, x := range p.open.list {
		for _, v := range [...][]byte{x.id, x.client, x.sender, x.messageID} {
			b = parsers.AppendBytes(b, v)
		}
		b = parsers.AppendBool(binary.AppendVarint(b, x.size), x.queued)
		b = binary.AppendUvarint(b, uint64(len(x.recipients)))
		for i := range x.recipients {
			b = append(parsers.AppendBytes(b, x.recipients[i].address), byte(x.recipients[i].state))
		}
	}
	return b, nil
}

// UnmarshalBinary sets a new parser to a state that AppendBinary wrote.
func (p *parser) UnmarshalBinary(saved []byte) error {
	if len(saved) == 0 {
		return nil
	}
	r := parsers.ReadState(saved)
	if r.Byte() != stateVersion {
		return parsers.ErrState
	}
	for r.More() && r.Err() == nil && len(p.open.list) < maxTransactions {
		x := &transaction{}
		for _, v := range [...]*[]byte{&x.id, &x.client, &x.sender, &x.messageID} {
			*v = append(*v, r.Bytes()...)
		}
		x.size, x.queued = r.Varint(), r.Bool()
		for range r.Count(maxRecipients) {
			x.add(r.Bytes())
			x.recipients[len(x.recipients)-1].state = min(state(r.Byte()), done)
		}
		p.open.list = append(p.open.list, x)
	}
	return r.End()
}
