package ingest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"mailfail/store"
)

// journal remembers how far journald's entries were read off standard input
// (journalctl -f -o json), for a journalctl that is started again repeats its
// last entries. Each entry has a cursor and the time it was received
// (systemd.journal-fields(7)); streams in other forms have none, and are read
// as they come.
type journal struct {
	machine  string // of the entries; each has a journal of its own
	last     entry  // read
	saved    entry  // read before this run
	skipping bool   // until the saved one has passed
	changed  bool
}

// entry is the place of an entry in a journal.
type entry struct {
	cursor []byte
	time   int64 // microseconds
}

var (
	cursorField  = []byte(`"__CURSOR":"`)
	timeField    = []byte(`"__REALTIME_TIMESTAMP":"`)
	machineField = []byte(`"_MACHINE_ID":"`)
)

// field returns the value of a field of a JSON object that holds neither quotes
// nor escapes, as journald's ids and numbers do. No message can hold the name
// with its quotes: in JSON they are escaped.
func field(line, name []byte) []byte {
	i := bytes.Index(line, name)
	if i < 0 {
		return nil
	}
	value := line[i+len(name):]
	end := bytes.IndexByte(value, '"')
	if end < 0 || bytes.IndexByte(value[:end], '\\') >= 0 {
		return nil
	}
	return value[:end]
}

// passed reports whether the entry in line was read in an earlier run.
func (j *journal) passed(w store.Writer, line []byte) (bool, error) {
	if len(line) == 0 || line[0] != '{' {
		return false, nil
	}
	cursor := field(line, cursorField)
	at, err := strconv.ParseInt(string(field(line, timeField)), 10, 64)
	if cursor == nil || err != nil {
		return false, nil
	}
	if machine := field(line, machineField); j.last.cursor == nil || string(machine) != j.machine {
		if err := j.begin(w, string(machine)); err != nil {
			return false, err
		}
	}
	if j.skipping {
		switch {
		case bytes.Equal(cursor, j.saved.cursor):
			j.skipping = false
			return true, nil
		case at <= j.saved.time:
			return true, nil
		}
		j.skipping = false
	}
	j.last = entry{append(j.last.cursor[:0], cursor...), at}
	j.changed = true
	return false, nil
}

// begin looks up how far the journal of a machine was read.
func (j *journal) begin(w store.Writer, machine string) error {
	j.save(w)
	*j = journal{machine: machine, last: entry{cursor: []byte{}}}
	value, err := w.Meta(j.key())
	if err != nil || value == "" {
		return err
	}
	at, cursor, _ := strings.Cut(value, " ")
	j.saved.cursor = []byte(cursor)
	j.saved.time, err = strconv.ParseInt(at, 10, 64)
	j.skipping = err == nil // else of no use: read as if there were none
	return nil
}

func (j *journal) key() string { return "journal " + j.machine }

// save stores how far the journal was read, within the batch.
func (j *journal) save(w store.Writer) {
	if j.changed {
		w.PutMeta(j.key(), fmt.Sprintf("%d %s", j.last.time, j.last.cursor))
		j.changed = false
	}
}
