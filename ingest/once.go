package ingest

import (
	"bytes"
	"fmt"

	"mailfail/ingest/source"
	"mailfail/parsers/detect"
	"mailfail/store"
)

// once makes identical lines of several logs count once. A log is a file with its rotated
// generations, or a stream. A line counts as often as it occurs in the log that has it
// most often: identical lines of one log are separate events, identical lines of two logs
// are the same events.
//
// The store keeps a hash of every line that had a record, by log and minute. The hashes
// are compared only where another log has lines of the same host in the same minutes:
// reading a single log costs one hash per line.
type once struct {
	w    store.Writer
	name string // name of the log that is being read, "" for none
	id   int64  // its id in the store; 0 until it is looked up

	hosts   map[string]*span
	span    *span // of the host of the last line
	pending map[int64]*[]uint32
	minute  int64     // of the last line
	hashes  *[]uint32 // the pending hashes of that minute
	others  []store.Coverage
	sets    map[int64]minuteSet
	kept    int // number of entries in sets

	// covers are the logs that have lines of a host, as loaded from the store and updated
	// since. They stay when the next log begins: with thousands of logs, each would have
	// to load them anew.
	covers map[string]map[int64]store.Coverage
}

// span is the range of minutes in which the log has lines of a host.
type span struct {
	host        []byte
	first, last int64 // minutes
	changed     bool
	shared      bool // another log has lines of the host
}

// minuteSet counts, by hash, how often the lines of a minute were read: in this log, and
// in the other log that has each of them most often.
type minuteSet map[uint32]times

type times struct{ here, elsewhere uint32 }

// maxSets and maxKept bound the sets that are kept: lines are out of order by seconds
// only.
const (
	maxSets = 8
	maxKept = 200_000
)

// logName returns the name of a log in the store. Each stream is a log of its own, named
// by a hash of its beginning.
func logName(r *source.Reader) string {
	p := r.Position()
	if p.Family != "" {
		return p.Family
	}
	return fmt.Sprintf("stream %x", r.Head())
}

// begin is called before lines of a log are read.
func (o *once) begin(name string) error {
	if name == o.name {
		return nil
	}
	err := o.flush()
	covers := o.covers
	o.forget()
	o.name, o.covers = name, covers
	return err
}

// forget drops everything in memory, including what was not written.
func (o *once) forget() {
	*o = once{
		w:       o.w,
		name:    o.name,
		hosts:   map[string]*span{},
		pending: map[int64]*[]uint32{},
		sets:    map[int64]minuteSet{},
		covers:  map[string]map[int64]store.Coverage{},
	}
}

// counted reports whether another log has already counted a line, and notes that this log
// contains it.
func (o *once) counted(line detect.Line) (bool, error) {
	if line.Hash == 0 || o.name == "" {
		return false, nil
	}
	minute, hash := store.Minute(line.Time.UnixMicro()), uint32(line.Hash)
	if o.span == nil || !bytes.Equal(o.span.host, line.Host) {
		if err := o.host(line.Host, minute); err != nil {
			return false, err
		}
	}
	o.span.add(minute)
	shared := o.span.shared && o.covered(minute)
	if !shared {
		o.note(minute, hash)
		return false, nil
	}
	set, err := o.set(minute)
	if err != nil {
		return false, err
	}
	n := set[hash]
	n.here++
	set[hash] = n
	o.note(minute, hash)
	return n.here <= n.elsewhere, nil
}

// note adds the hash of a line to those to be written.
func (o *once) note(minute int64, hash uint32) {
	if o.hashes == nil || o.minute != minute {
		if o.minute, o.hashes = minute, o.pending[minute]; o.hashes == nil {
			o.hashes = new([]uint32)
			o.pending[minute] = o.hashes
		}
	}
	*o.hashes = append(*o.hashes, hash)
}

func (s *span) add(minute int64) {
	if minute < s.first {
		s.first, s.changed = minute, true
	}
	if minute > s.last {
		s.last, s.changed = minute, true
	}
}

// host sets the span of a host, and finds the other logs that have lines of it.
func (o *once) host(host []byte, minute int64) (err error) {
	if o.span = o.hosts[string(host)]; o.span != nil {
		return nil
	}
	if o.id == 0 {
		if o.id, err = o.w.Log(o.name); err != nil {
			return err
		}
	}
	covers, err := o.coverage(host)
	if err != nil {
		return err
	}
	s := &span{host: bytes.Clone(host), first: minute, last: minute, changed: true}
	for _, c := range covers {
		if c.Log == o.id {
			s.first, s.last = min(c.First, minute), max(c.Last, minute)
			continue
		}
		s.shared = true
		o.others = append(o.others, c)
		clear(o.sets)
	}
	o.hosts[string(host)], o.span = s, s
	return nil
}

// coverage returns the logs that have lines of a host, by their ids.
func (o *once) coverage(host []byte) (map[int64]store.Coverage, error) {
	if covers, ok := o.covers[string(host)]; ok {
		return covers, nil
	}
	list, err := o.w.Coverage(host)
	if err != nil {
		return nil, err
	}
	covers := make(map[int64]store.Coverage, len(list))
	for _, c := range list {
		covers[c.Log] = c
	}
	o.covers[string(host)] = covers
	return covers, nil
}

// covered reports whether another log may have lines of a minute.
func (o *once) covered(minute int64) bool {
	for i := range o.others {
		if c := &o.others[i]; c.First <= minute && minute <= c.Last {
			return true
		}
	}
	return false
}

// set returns the counts of the lines of a minute.
func (o *once) set(minute int64) (minuteSet, error) {
	if set := o.sets[minute]; set != nil {
		return set, nil
	}
	if len(o.sets) >= maxSets || o.kept > maxKept {
		clear(o.sets)
		o.kept = 0
	}
	set := minuteSet{}
	stored, err := o.w.LineHashes(o.id, minute)
	if err != nil {
		return nil, err
	}
	set.add(stored)
	if p := o.pending[minute]; p != nil {
		set.add(*p)
	}
	looked := map[int64]bool{}
	for _, c := range o.others {
		if looked[c.Log] || minute < c.First || c.Last < minute {
			continue
		}
		looked[c.Log] = true
		hashes, err := o.w.LineHashes(c.Log, minute)
		if err != nil {
			return nil, err
		}
		set.addOther(hashes)
	}
	o.sets[minute] = set
	o.kept += len(set)
	return set, nil
}

// add adds lines of this log.
func (s minuteSet) add(hashes []uint32) {
	for _, h := range hashes {
		n := s[h]
		n.here++
		s[h] = n
	}
}

// addOther adds the lines of another log.
func (s minuteSet) addOther(hashes []uint32) {
	log := map[uint32]uint32{}
	for _, h := range hashes {
		log[h]++
	}
	for h, times := range log {
		n := s[h]
		n.elsewhere = max(n.elsewhere, times)
		s[h] = n
	}
}

// flush writes the noted lines, before the batch is committed or another log is read.
func (o *once) flush() error {
	for minute, hashes := range o.pending {
		o.w.AddLineHashes(o.id, minute, *hashes)
	}
	clear(o.pending)
	o.hashes = nil
	for _, s := range o.hosts {
		if s.changed {
			c := store.Coverage{Log: o.id, First: s.first, Last: s.last}
			if err := o.w.Cover(s.host, c); err != nil {
				return err
			}
			o.covers[string(s.host)][o.id] = c
			s.changed = false
		}
	}
	return nil
}
