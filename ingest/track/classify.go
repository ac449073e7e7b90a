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

// classifier finds the cause of failures before they are stored: the provider, the
// signature and the reason. It caches its results.
type classifier struct {
	rules     store.Classifier
	providers map[string]string // by relay
	causes    map[[16]byte]*cause
	verdicts  map[[16]byte]registry.Verdict // verdicts by failure without its provider
	replies   []reply                       // latest failures, by their hash
	seeds     [2]maphash.Seed
	signature []byte // scratch
	key       []byte
}

// reply is a failure as it was logged. The same server gives the same reply again and
// again; the cache saves parsing it each time.
type reply struct {
	hash [2]uint64
	*cause
	text string // as said returns it
}

// latestReplies is how many replies are cached; longReply is the maximum length of their
// texts, in bytes.
const (
	latestReplies = 1 << 12
	longReply     = 512
)

// cause is a store.Cause with its id in the store.
type cause struct {
	store.Cause
	id int64
}

// maxClassified bounds the size of each cache.
const maxClassified = 200_000

func newClassifier(rules store.Classifier) *classifier {
	return &classifier{
		rules:     rules,
		providers: map[string]string{},
		causes:    map[[16]byte]*cause{},
		verdicts:  map[[16]byte]registry.Verdict{},
		replies:   make([]reply, latestReplies),
		seeds:     [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

// forget drops the causes, because their ids are not valid any more.
func (c *classifier) forget() {
	clear(c.causes)
	clear(c.replies)
}

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

// provider returns the operator of a relay, which is in lower case.
func (c *classifier) provider(relay []byte) string {
	p, ok := c.providers[string(relay)]
	if !ok {
		p = store.Clean(registry.Provider(string(relay)))
		c.providers[string(relay)] = p
	}
	return p
}

// cause returns the cause of a failure at a relay, and stores it when it is new. It sets
// f.Provider and f.Signature from relay and text.
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

// classify returns the verdict on f, whose signature is c.signature. The rules are asked
// once about the same reply of thousands of small providers.
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

// hash returns a 128-bit hash of f and c.signature.
func (c *classifier) hash(f *registry.Failure) (h [16]byte) {
	var b [64]byte
	k := appendFailure(b[:0], f)
	for i, seed := range c.seeds {
		sum := maphash.Bytes(seed, k) ^ maphash.Bytes(seed, c.signature) ^ 3*maphash.String(seed, f.Provider)
		binary.NativeEndian.PutUint64(h[8*i:], sum)
	}
	return h
}

// appendFailure appends the numeric fields of f.
func appendFailure(k []byte, f *registry.Failure) []byte {
	k = binary.AppendUvarint(k, uint64(f.Reply))
	for _, e := range [...]registry.Enhanced{f.Enhanced, f.MTAStatus} {
		k = append(k, e.Class, byte(e.Subject), byte(e.Subject>>8), byte(e.Detail), byte(e.Detail>>8))
	}
	return append(k, byte(f.Stage), byte(f.Source))
}

// cause returns the cause of a failing record, and the text about it.
func (t *Tracker) cause(r *parsers.Record) (*cause, string, error) {
	t.relay = appendLower(t.relay[:0], r.Relay)
	f := registry.Failure{
		Reply:     r.Reply.Code,
		Enhanced:  r.Reply.Enhanced,
		MTAStatus: r.MTAStatus,
		Stage:     r.Stage,
		Source:    r.Source,
	}
	known, hash := t.meaning.latest(&f, t.relay, r)
	if known.cause != nil && known.hash == hash {
		return known.cause, known.text, nil
	}
	k, err := t.meaning.cause(t.w, f, t.relay, r.Reply.Text)
	if err != nil {
		return nil, "", err
	}
	text := said(r)
	if len(text) <= longReply {
		*known = reply{hash, k, text}
	}
	return k, text, nil
}

// latest returns the cache slot of a failure, and the hash that it must have.
func (c *classifier) latest(f *registry.Failure, relay []byte, r *parsers.Record) (*reply, [2]uint64) {
	k := appendFailure(c.key[:0], f)
	for _, s := range [...][]byte{relay, r.Then, r.Reply.Text} {
		k = append(binary.AppendUvarint(k, uint64(len(s))), s...)
	}
	c.key = k
	h := [2]uint64{maphash.Bytes(c.seeds[0], k), maphash.Bytes(c.seeds[1], k)}
	return &c.replies[h[0]%latestReplies], h
}
