package postfix

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/detect"
	"mailfail/registry"
)

// shared is where the logs are that are too big, or not ours, to ship.
const shared = "../../../shared"

// testdata is where the small runs are that ship.
const testdata = "../../testdata/postfix"

// readLines returns the lines of a file, which may be gzipped.
func readLines(t testing.TB, name string) [][]byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(all, []byte("\n")), []byte("\n"))
}

func newStream(t testing.TB) *detect.Stream {
	t.Helper()
	s, err := detect.NewStream(parsers.Options{Location: time.UTC}, "auto", 0, time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// corpusFiles returns the files of a folder of the shared corpus, or skips.
func corpusFiles(t *testing.T, patterns ...string) (files []string) {
	t.Helper()
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(shared, p))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Skip("no logs in " + shared)
	}
	return files
}

// fixtures are files of made-up, broken or abridged lines, comments among
// them: what is not understood there is looked at, not counted.
var fixtures = map[string]bool{
	"lightmeter-unit-lines.log": true, "sergeymakinen-mail.log": true, "exporter-unit-lines.log": true,
	"fail2ban-postfix.log": true, "paste-mixed.log": true, "18_expired.log": true, "sekiltoyai-test-milter.log": true,
}

// looked are the lines that may stay unparsed, by a part of them.
var looked = []string{
	"Useless Payload", "Something not supported", ": Unsupported", "reject: Unsupported", ": foo", "]: a", "]: addr", // made up
	": user@example.com, relay=",  // made up: no to=
	"2E4522C620DA:",               // cut off
	", dsn=5.0.0, st", "atus=bou", // one line broken into two
	"021-02-06T10:57:57", // the year's first digit is missing
}

// TestCorpus reads the logs of many sites: nothing crashes, and under 0.5 %
// of the lines of real logs are not understood.
func TestCorpus(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
	files := corpusFiles(t, "corpus/postfix/*.log", "corpus/postfix/*.gz", "corpus/postfix/*maillog", "corpus/postfix/lightmeter-cases/*",
		"corpus-real/postfix*/*.log")
	for _, file := range files {
		name := filepath.Base(file)
		lines, unparsed := 0, 0
		s := newStream(t)
		for _, line := range readLines(t, file) {
			lines++
			if s.Parse(line, func(*parsers.Record) {}) != parsers.Unparsed {
				continue
			}
			unparsed++
			if fixtures[name] && !isLooked(line) {
				t.Errorf("%s: not understood: %.200q", name, line)
			}
		}
		if !fixtures[name] && unparsed*200 > lines {
			t.Errorf("%s: %d of %d lines not understood", name, unparsed, lines)
		}
	}
}

// isLooked reports whether a line is no log line, or one of looked.
func isLooked(line []byte) bool {
	if !bytes.Contains(line, []byte("postfix")) || bytes.HasPrefix(line, []byte("#")) {
		return true
	}
	for _, part := range looked {
		if bytes.Contains(line, []byte(part)) {
			return true
		}
	}
	return false
}

// TestSmtpdReferences reads the rejections in the expected output of Postfix's
// own tests of smtpd; the output has no prefix.
func TestSmtpdReferences(t *testing.T) {
	rejections := 0
	for _, file := range corpusFiles(t, "corpus/postfix/smtpd-refs/*.ref") {
		for _, line := range readLines(t, file) {
			i := bytes.Index(line, []byte(": reject: "))
			if i < 0 {
				continue
			}
			rejections++
			message := "NOQUEUE" + string(line[i:])
			records, result := parse("postfix/smtpd", message)
			trouble := len(records) == 2 && strings.HasPrefix(records[1], "trouble")
			if result != parsers.Understood || len(records) != 1 && !trouble {
				t.Errorf("%s: %d, %q", message, result, records)
				continue
			}
			reply, _, _ := strings.Cut(message[strings.Index(message, "]: ")+3:], " ")
			if !strings.Contains(records[0], " code="+reply) {
				t.Errorf("%s: no code %s in %q", message, reply, records[0])
			}
		}
	}
	t.Logf("%d rejections", rejections)
}

// TestAgainstAnotherParser reads the lines of another project's tests and
// compares what both find in them.
func TestAgainstAnotherParser(t *testing.T) {
	compared := 0
	for _, file := range corpusFiles(t, "corpus/postfix/msimerson-expected.jsonl") {
		for _, text := range readLines(t, file) {
			var test struct {
				Line string
				Obj  map[string]any
			}
			if err := json.Unmarshal(text, &test); err != nil {
				t.Fatal(err)
			}
			want := func(key string) string { s, _ := test.Obj[key].(string); return s }
			newStream(t).Parse([]byte(test.Line), func(r *parsers.Record) {
				compared++
				status, _, _ := strings.Cut(want("status"), " ")
				for _, field := range []struct{ name, want, got string }{
					{"qid", want("qid"), string(r.ID)},
					{"from", want("from"), string(r.Sender)},
					{"to", want("to"), string(r.Address)},
					{"dsn", want("dsn"), r.MTAStatus.String()},
					{"message-id", want("message-id"), strings.Trim(string(r.MessageID), "<>")},
					{"sent", fmt.Sprint(status == "sent" || status == "forwarded"), fmt.Sprint(r.Outcome == registry.OutcomeDelivered)},
				} {
					// A rejection has no queue id there, an expiry no sender here.
					if field.want != field.got && field.want != "" && field.want != noQueue && (field.name != "from" || r.HasSender) {
						t.Errorf("%s: %s: got %q, want %q", test.Line, field.name, field.got, field.want)
					}
				}
			})
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}
