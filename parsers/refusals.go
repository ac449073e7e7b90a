package parsers

import "bytes"

// Refusals keep the refusals of the hosts that were not the last to be tried, for the
// messages that are being delivered. If a domain has several hosts, an MTA's outcome
// reports the last one; the refusals of the others are on lines of their own. A last host
// that could not even be reached does not show the cause, so the refusal of an earlier
// one is the reply of the attempt.
//
// The zero value is empty and ready to use. The memory is bounded: a message whose id has
// the same hash replaces another.
type Refusals struct {
	places [64]refusal
	n      int // number of places in use
}

// refusal is the reply with which a host refused a message.
type refusal struct {
	host, id []byte
	text     []byte
}

// MaxRefusal is the number of bytes that are kept of a refusal.
const MaxRefusal = 1024

func (r *Refusals) place(id []byte) *refusal {
	h := uint32(2166136261)
	for _, c := range id {
		h = (h ^ uint32(c)) * 16777619
	}
	return &r.places[h%uint32(len(r.places))]
}

func (r *Refusals) find(host, id []byte) *refusal {
	if r.n == 0 {
		return nil
	}
	if p := r.place(id); bytes.Equal(p.id, id) && bytes.Equal(p.host, host) {
		return p
	}
	return nil
}

// Find returns the last refusal of a message on a host, or nil. The text is valid until
// the next Put.
func (r *Refusals) Find(host, id []byte) []byte {
	if p := r.find(host, id); p != nil {
		return p.text
	}
	return nil
}

// Put keeps a refusal of a message. It replaces the one before.
func (r *Refusals) Put(host, id, text []byte) {
	p := r.place(id)
	if len(p.id) == 0 {
		r.n++
	}
	p.host, p.id = append(p.host[:0], host...), append(p.id[:0], id...)
	p.text = append(p.text[:0], text[:min(len(text), MaxRefusal)]...)
}

// Forget drops the refusal of a message: it is delivered anew, or has left the queue.
func (r *Refusals) Forget(host, id []byte) {
	if p := r.find(host, id); p != nil {
		p.id, p.host = p.id[:0], p.host[:0]
		r.n--
	}
}

// Len returns how many messages have a refusal.
func (r *Refusals) Len() int { return r.n }

// Append appends the refusals to a state.
func (r *Refusals) Append(b []byte) []byte {
	for i := range r.places {
		if p := &r.places[i]; len(p.id) > 0 {
			b = AppendBytes(AppendBytes(AppendBytes(b, p.host), p.id), p.text)
		}
	}
	return b
}

// Read reads the output of Append, up to the end of the state. It ignores refusals
// without an id.
func (r *Refusals) Read(state *StateReader) {
	for state.More() {
		host, id, text := state.Bytes(), state.Bytes(), state.Bytes()
		if state.Err() == nil && len(id) > 0 {
			r.Put(host, id, text)
		}
	}
}
