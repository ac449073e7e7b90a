package ingest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"mailfail/store"
)

// journal remembers how far the entries of journald were read from standard input
// (journalctl -f -o json): a journalctl that is started again repeats its last entries.
// Each entry has a cursor and the time it was received (systemd.journal-fields(7)).
// Streams in other forms have neither, and all their lines are read.
type journal struct {
	machine  string // machine id of the entries; each machine has a journal of its own
	last     entry  // last entry that was read
	saved    entry  // last entry that an earlier run has read
	skipping bool   // until the saved entry has passed
	changed  bool
}

// entry is the position of an entry in a journal.
type entry struct {
	cursor []byte
	time   int64 // microseconds since 1970
}

var (
	cursorField  = []byte(`"__CURSOR":"`)
	timeField    = []byte(`"__REALTIME_TIMESTAMP":"`)
	machineField = []byte(`"_MACHINE_ID":"`)
)

// field returns the value of a field of a JSON object whose value contains neither quotes
// nor escapes, as the ids and numbers of journald. A message cannot contain the quoted
// name: JSON escapes its quotes.
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
	j.skipping = err == nil // without a valid time, the stored value is ignored
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
