package track

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"unicode/utf8"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
)

// classifier decides what failures are filed under before they are stored:
// the provider, the signature and the reason. It remembers what it decided.
type classifier struct {
	rules     store.Classifier
	providers map[string]string // by relay
	causes    map[[16]byte]*cause
	verdicts  map[[16]byte]registry.Verdict // of failures without the provider
	seeds     [2]maphash.Seed
	signature []byte // scratch
}

// cause is a stored store.Cause.
type cause struct {
	store.Cause
	id int64
}

// maxClassified bounds what a classifier remembers.
const maxClassified = 200_000

func newClassifier(rules store.Classifier) *classifier {
	return &classifier{
		rules:     rules,
		providers: map[string]string{},
		causes:    map[[16]byte]*cause{},
		verdicts:  map[[16]byte]registry.Verdict{},
		seeds:     [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

// forget drops the causes, whose ids are not valid any more.
func (c *classifier) forget() { clear(c.causes) }

// trim keeps the memory bounded.
func (c *classifier) trim() {
	if len(c.causes) > maxClassified {
		clear(c.causes)
	}
	if len(c.verdicts) > maxClassified {
		clear(c.verdicts)
	}
	if len(c.providers) > maxClassified {
		clear(c.providers)
	}
}

// provider returns the operator behind a relay in lower case.
func (c *classifier) provider(relay []byte) string {
	p, ok := c.providers[string(relay)]
	if !ok {
		p = store.Clean(registry.Provider(string(relay)))
		c.providers[string(relay)] = p
	}
	return p
}

// cause returns what a failure at a relay is filed under, and stores it when it
// is new. f.Provider and f.Signature are found from relay and text.
func (c *classifier) cause(w store.Writer, f registry.Failure, relay, text []byte) (*cause, error) {
	f.Provider = c.provider(relay)
	c.signature = registry.AppendSignature(c.signature[:0], text)
	if !utf8.Valid(c.signature) || bytes.IndexByte(c.signature, 0) >= 0 {
		c.signature = append(c.signature[:0], store.Clean(string(c.signature))...)
	}
	key := c.hash(&f)
	if k, ok := c.causes[key]; ok {
		return k, nil
	}
	f.Signature = string(c.signature)
	k := &cause{Cause: store.Cause{Failure: f, Verdict: c.classify(f)}}
	var err error
	if k.id, err = w.Cause(&k.Cause); err != nil {
		return nil, err
	}
	c.causes[key] = k
	return k, nil
}

// classify returns the verdict on f, whose signature is c.signature. The same reply of
// thousands of small providers is asked about once.
func (c *classifier) classify(f registry.Failure) registry.Verdict {
	if c.rules.Asks(f.Provider) {
		return c.rules.Classify(f)
	}
	alike := f
	alike.Provider = ""
	key := c.hash(&alike)
	v, ok := c.verdicts[key]
	if !ok {
		v = c.rules.Classify(f)
		c.verdicts[key] = v
	}
	return v
}

// hash returns a hash of f and c.signature that no other failure shares, as far
// as 128 bits can promise.
func (c *classifier) hash(f *registry.Failure) (h [16]byte) {
	var b [64]byte
	k := binary.AppendUvarint(b[:0], uint64(f.Reply))
	for _, e := range [...]registry.Enhanced{f.Enhanced, f.MTAStatus} {
		k = append(k, e.Class, byte(e.Subject), byte(e.Subject>>8), byte(e.Detail), byte(e.Detail>>8))
	}
	k = append(k, byte(f.Stage), byte(f.Source))
	for i, seed := range c.seeds {
		sum := maphash.Bytes(seed, k) ^ maphash.Bytes(seed, c.signature) ^ 3*maphash.String(seed, f.Provider)
		binary.NativeEndian.PutUint64(h[8*i:], sum)
	}
	return h
}

// cause returns what a failing record is filed under.
func (t *Tracker) cause(r *parsers.Record) (*cause, error) {
	t.relay = appendLower(t.relay[:0], r.Relay)
	return t.meaning.cause(t.w, registry.Failure{
		Reply:     r.Reply.Code,
		Enhanced:  r.Reply.Enhanced,
		MTAStatus: r.MTAStatus,
		Stage:     r.Stage,
		Source:    r.Source,
	}, t.relay, r.Reply.Text)
}
