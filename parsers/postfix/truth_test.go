package postfix

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
)

// A told is one line of truth.jsonl: what a scripted server answered.
type told struct {
	Sender, Rcpt, Domain *string
	Stage, Event         string
	Code                 *int
	Enh                  *string
	Text                 string
	Conn, Txn            int
}

func readTruth(t *testing.T, run string) (replies []told) {
	t.Helper()
	for _, line := range readLines(t, filepath.Join(run, "truth.jsonl")) {
		var r told
		if len(line) == 0 {
			continue
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		replies = append(replies, r)
	}
	return replies
}

// oddServer answers RCPT with lines that are no replies and codes that do not
// exist. Postfix skips the former, so that all replies after it are taken for
// those to the command before: what the log says is not what the server meant.
const oddServer = "perr.test"

// TestTruth compares what the servers said with what the log says they did,
// in the run that ships and, where they are, in the whole ones.
func TestTruth(t *testing.T) {
	runs := append(corpusRuns(t), filepath.Join(testdata, "plain"))
	for _, run := range runs {
		for _, log := range []string{"mail.log", "mail.classic.log", "mail.rfc3339.log", "mail.rfc5424.log", "postfix.log"} {
			name := filepath.Join(run, log)
			if _, err := os.Stat(name); err != nil {
				continue
			}
			t.Run(filepath.Base(run)+"/"+log, func(t *testing.T) {
				want, got := toldCounts(readTruth(t, run)), loggedCounts(t, name)
				for _, k := range slices.Sorted(maps.Keys(want)) {
					if want[k] != got[k] {
						t.Errorf("%s: truth %d, log %d", k, want[k], got[k])
					}
				}
				for _, k := range slices.Sorted(maps.Keys(got)) {
					if _, ok := want[k]; !ok {
						t.Errorf("%s: not in the truth, log %d", k, got[k])
					}
				}
			})
		}
	}
}

// toldCounts counts the replies that decided something, by stage and code. A
// reply to RCPT, DATA or the message is one a recipient; a refused greeting,
// HELO or MAIL is one a connection.
func toldCounts(replies []told) map[string]int {
	counts := map[string]int{}
	greeting := map[int]int{} // code by connection
	for _, r := range replies {
		code := 0
		if r.Code != nil {
			code = *r.Code
		}
		switch {
		case r.Event != "reply", r.Domain != nil && *r.Domain == oddServer:
		case r.Stage == "banner" && code >= 400, r.Stage == "ehlo" && code >= 400:
			greeting[r.Conn] = code // HELO after a refused EHLO replaces it
		case r.Stage == "mail" && code < 400:
			delete(greeting, r.Conn) // HELO was accepted
		case r.Stage == "mail":
			counts[fmt.Sprint(registry.StageMail, " ", code)]++
		case r.Stage == "rcpt" && code != 250:
			counts[fmt.Sprint(registry.StageRcpt, " ", code)]++
		case r.Stage == "data" && code != 354:
			counts[fmt.Sprint(registry.StageData, " ", code)]++
		case r.Stage == "eod":
			counts[fmt.Sprint(registry.StageEndOfData, " ", code)]++
		}
	}
	for _, code := range greeting {
		counts[fmt.Sprint(registry.StageBanner, " ", code)]++
	}
	return counts
}

// loggedCounts counts the replies a log says were given. Postfix repeats a
// refused greeting, HELO or MAIL on the line of each recipient of the
// transaction; these are counted once a message and second. When it
// goes on to another server, a line without a recipient says so, of which the
// parser makes no record; those are read here.
func loggedCounts(t *testing.T, name string) map[string]int {
	counts := map[string]int{}
	contacts := map[string]bool{}
	count := func(stage registry.Stage, code uint16, contact string) {
		if stage == registry.StageBanner || stage == registry.StageMail {
			key := fmt.Sprint(stage, code, contact)
			if contacts[key] {
				return
			}
			contacts[key] = true
		}
		counts[fmt.Sprint(stage, " ", code)]++
	}
	s := newStream(t)
	var entry line
	for _, text := range readLines(t, name) {
		records := 0
		s.Parse(text, func(r *parsers.Record) {
			records++
			switch {
			case r.Kind != parsers.Attempt, strings.HasSuffix(string(r.Address), "@"+oddServer):
			case r.Outcome == registry.OutcomeDelivered && len(r.RelayIP) > 0:
				count(registry.StageEndOfData, r.Reply.Code, "")
			case r.Outcome != registry.OutcomeDelivered && r.Source == registry.SourceRemote:
				count(r.Stage, r.Reply.Code, fmt.Sprintf("%s %s", r.ID, r.Time.Format(time.TimeOnly)))
			}
		})
		if _, said, ok := bytes.Cut(text, []byte(": host ")); ok && records == 0 {
			entry.Record.Reset()
			entry.remote(said, bytes.HasSuffix(said, []byte(")")))
			if entry.Source == registry.SourceRemote {
				count(entry.Stage, entry.Reply.Code, string(text))
			}
		}
	}
	return counts
}

// corpusRuns returns the folders of the shared runs that have a truth.
func corpusRuns(t *testing.T) []string {
	t.Helper()
	runs, err := filepath.Glob(filepath.Join(shared, "corpus-real/postfix*plain*"))
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

// TestLayouts expects the same records from the three layouts in which rsyslog
// wrote one run, but for the service that one of them leaves out and the
// fractions of seconds that another does.
func TestLayouts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
	for _, classic := range corpusFiles(t, "corpus-real/postfix*/mail.classic.log") {
		want := layoutRecords(t, classic)
		if len(want) < 100 {
			t.Fatalf("%s: only %d records", classic, len(want))
		}
		for _, layout := range []string{"mail.rfc3339.log", "mail.rfc5424.log"} {
			got := layoutRecords(t, filepath.Join(filepath.Dir(classic), layout))
			if !slices.Equal(got, want) {
				t.Errorf("%s: the records differ from those of mail.classic.log", layout)
			}
		}
	}
}

func layoutRecords(t *testing.T, name string) (records []string) {
	t.Helper()
	s := newStream(t)
	for _, line := range readLines(t, name) {
		n := len(records)
		result := s.Parse(line, func(r *parsers.Record) {
			records = append(records, r.Time.Format(time.DateTime)+" "+string(r.Host)+" "+brief(r))
		})
		if len(records) == n {
			records = append(records, fmt.Sprint(result))
		}
	}
	return records
}

// TestJournal expects the same records from what journalctl would print of a
// log as JSON and in its export format.
func TestJournal(t *testing.T) {
	name := filepath.Join(testdata, "inbound/mail.log")
	var asJSON, export bytes.Buffer
	when := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for i, line := range readLines(t, name) {
		head, message, _ := strings.Cut(string(line), "]: ")
		fields := strings.Fields(head)
		at, err := time.Parse(time.TimeOnly, fields[2])
		if err != nil {
			t.Fatal(err)
		}
		at = when.Add(at.Sub(at.Truncate(24 * time.Hour)))
		program, pid, _ := strings.Cut(fields[4], "[")
		entry := map[string]string{
			"__CURSOR": fmt.Sprintf("s=1;i=%d", i), "__REALTIME_TIMESTAMP": fmt.Sprint(at.UnixMicro()),
			"_HOSTNAME": fields[3], "SYSLOG_IDENTIFIER": program, "_PID": pid, "MESSAGE": message,
		}
		text, err := json.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		asJSON.Write(append(text, '\n'))
		fmt.Fprintf(&export, "__CURSOR=%s\n__REALTIME_TIMESTAMP=%s\n_HOSTNAME=%s\nSYSLOG_IDENTIFIER=%s\n_PID=%s\nMESSAGE\n%s%s\n\n",
			entry["__CURSOR"], entry["__REALTIME_TIMESTAMP"], entry["_HOSTNAME"], program, pid,
			binary.LittleEndian.AppendUint64(nil, uint64(len(message))), message)
	}
	dir := t.TempDir()
	want := onlyRecords(layoutRecords(t, name))
	for layout, text := range map[string][]byte{"json": asJSON.Bytes(), "export": export.Bytes()} {
		file := filepath.Join(dir, layout)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := onlyRecords(layoutRecords(t, file)); !slices.Equal(got, want) {
			t.Errorf("%s: %d records, want %d, or they differ", layout, len(got), len(want))
		}
	}
}

// onlyRecords leaves the results of lines without a record out.
func onlyRecords(records []string) []string {
	return slices.DeleteFunc(records, func(s string) bool { return len(s) < 3 })
}

// TestPieces reads a log in pieces, a new stream with the state of the one
// before for each, and expects what one reading gives.
func TestPieces(t *testing.T) {
	lines := readLines(t, filepath.Join(testdata, "inbound/mail.log"))
	read := func(size int) (records []string) {
		s := newStream(t)
		for i, line := range lines {
			if i > 0 && i%size == 0 {
				state, err := s.AppendBinary(nil)
				if err != nil {
					t.Fatal(err)
				}
				s = newStream(t)
				if err := s.UnmarshalBinary(state); err != nil {
					t.Fatal(err)
				}
			}
			result := s.Parse(line, func(r *parsers.Record) { records = append(records, r.Time.String()+brief(r)) })
			records = append(records, fmt.Sprint(result))
		}
		return records
	}
	want := read(len(lines))
	for _, size := range []int{1, 2, 7, 100} {
		if !slices.Equal(read(size), want) {
			t.Errorf("in pieces of %d lines the records differ", size)
		}
	}
}
