package exim

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/detect"
)

// shape is one of the four ways in which Exim's lines look in syslog.
type shape struct{ stamp, pid bool }

var shapes = []shape{{true, true}, {true, false}, {false, true}, {false, false}}

// syslogOf writes what Exim would have sent to syslog for the entries of its
// log files: the main log, and each refusal once more with the headers that
// the reject log has. Long lines are cut as write_syslog in log.c does.
func syslogOf(main, reject []byte, s shape) []byte {
	dumps := map[string][][]string{} // first line of an entry of the reject log to all its lines
	var first string
	for _, l := range strings.Split(strings.TrimSuffix(string(reject), "\n"), "\n") {
		if n := stampLen([]byte(l)); n > 0 {
			first = l
			dumps[first] = append(dumps[first], []string{l})
		} else if d := dumps[first]; d != nil {
			d[len(d)-1] = append(d[len(d)-1], l)
		}
	}
	var out bytes.Buffer
	for i, l := range strings.Split(strings.TrimSuffix(string(main), "\n"), "\n") {
		writeSyslog(&out, []string{l}, s, i)
		if d := dumps[l]; len(d) > 0 {
			writeSyslog(&out, d[0], s, i)
			dumps[l] = d[1:]
		}
	}
	return out.Bytes()
}

func writeSyslog(out *bytes.Buffer, lines []string, s shape, n int) {
	n = n/7 + 90
	when := lines[0][:10] + "T" + lines[0][11:19] + "+00:00"
	head := fmt.Sprintf("%s mx1 exim-out[%d]: ", when, n)
	text := lines[0]
	if !s.stamp {
		text = text[20:]
	}
	if s.pid {
		i := 0
		if s.stamp {
			i = 20
		}
		text = text[:i] + fmt.Sprintf("[%d] ", n) + text[i:]
	}
	type piece struct {
		text string
		mark byte
	}
	var pieces []piece
	for _, l := range append([]string{text}, lines[1:]...) {
		for len(l) > 870 {
			pieces = append(pieces, piece{l[:870], '/'})
			l = l[870:]
		}
		pieces = append(pieces, piece{l, '\\'})
	}
	pieces[len(pieces)-1].mark = '/'
	for i, p := range pieces {
		out.WriteString(head)
		if len(pieces) > 1 {
			fmt.Fprintf(out, "[%d%c%d] ", i+1, p.mark, len(pieces))
		}
		out.WriteString(p.text + "\n")
	}
}

// stream reads text as a source and returns what each line gave.
func stream(t testing.TB, text []byte, path string) (records []string, counts [3]int) {
	t.Helper()
	s, err := detect.NewStream(parsers.Options{Location: time.UTC, Host: "mx1", Path: path}, "auto", 2026, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		counts[s.Parse(bytes.TrimSuffix(line, []byte("\n")), func(r *parsers.Record) {
			records = append(records, fmt.Sprintf("%d %s %s %x %s", r.Time.Unix(), r.Host, r.ID, r.LineHash, show(r)))
		})]++
	}
	return records, counts
}

// counted takes out what a store does not count: copies of lines it has.
func counted(records []string) []string {
	var kept []string
	main, copies := map[string]int{}, map[string]int{}
	for _, r := range records {
		if !strings.Contains(r, " rejection ") {
			kept = append(kept, r)
			continue
		}
		hash := strings.Fields(r)[2]
		if !strings.HasPrefix(r[strings.Index(r, " rejection "):], " rejection copy ") {
			main[hash]++
			kept = append(kept, r)
			continue
		}
		if copies[hash]++; copies[hash] > main[hash] {
			kept = append(kept, r)
		}
	}
	return kept
}

// TestSyslogCopies reads the logs of real runs as syslog would have them: the
// records are those of the log file.
func TestSyslogCopies(t *testing.T) {
	compareSyslog(t, filepath.Join(small, "inbound"))
	compareSyslog(t, filepath.Join(small, "outbound"))
	if _, err := os.Stat(real); err == nil && !testing.Short() {
		for _, run := range append([]string{"exim-inbound"}, runs...) {
			compareSyslog(t, filepath.Join(real, run))
		}
	}
}

func compareSyslog(t *testing.T, dir string) {
	t.Helper()
	main, err := os.ReadFile(filepath.Join(dir, "mainlog"))
	if err != nil {
		t.Fatal(err)
	}
	reject, _ := os.ReadFile(filepath.Join(dir, "rejectlog")) // only one run has it
	if bytes.Contains(main[:40], []byte(" +0000 ")) {
		main = bytes.ReplaceAll(main, []byte(" +0000 ["), []byte(" [")) // as without log_timezone
		main = dropFraction(main)
	}
	want, _ := stream(t, main, "mainlog")
	for _, s := range shapes {
		text := syslogOf(main, reject, s)
		got, counts := stream(t, text, "mail.log")
		got = counted(got)
		if counts[parsers.Unparsed] > 3 {
			t.Errorf("%s, %+v: %d lines unparsed", dir, s, counts[parsers.Unparsed])
		}
		if len(got) != len(want) {
			t.Errorf("%s, %+v: %d records, of the log file %d", dir, s, len(got), len(want))
		}
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("%s, %+v: record %d\nsyslog  %s\nmainlog %s", dir, s, i, got[i], want[i])
			}
		}
	}
}

// dropFraction removes milliseconds and process ids, so that a test may put
// its own in their place.
func dropFraction(text []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		n := stampLen(line)
		if n == 0 {
			out.Write(line)
			continue
		}
		out.Write(line[:19])
		out.WriteByte(' ')
		out.Write(skipPID(line[n+1:]))
	}
	return out.Bytes()
}
