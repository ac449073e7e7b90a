package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const eximSmall = "../../testdata/exim"

// eximJSON runs mailfail report on files and returns what it says less the
// counts of lines, which differ when the same is read in other files.
func eximJSON(t *testing.T, args ...string) map[string]any {
	t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{"report", "--format", "json", "--tz", "UTC", "--log-host", "mx1"}, args...)
	if rc := run(args, strings.NewReader(""), &out, &errs); rc != 0 || errs.Len() > 0 {
		t.Fatalf("%v: exit code %d: %s", args, rc, &errs)
	}
	var report map[string]any
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	delete(report["totals"].(map[string]any), "lines")
	return report
}

// TestEximRejectLog counts refusals once, whichever of the logs are given, in
// whatever order, and whether they are compressed.
func TestEximRejectLog(t *testing.T) {
	mainlog, rejectlog := filepath.Join(eximSmall, "inbound", "mainlog"), filepath.Join(eximSmall, "inbound", "rejectlog")
	packed := filepath.Join(t.TempDir(), "rejectlog.1.gz")
	compress(t, rejectlog, packed)
	want := asText(t, eximJSON(t, mainlog))
	totals := eximJSON(t, mainlog)["totals"].(map[string]any)
	if totals["rejected"] != 124.0 || totals["rejected_temporary"] != 35.0 {
		t.Errorf("%v refusals and %v temporary ones, want 124 and 35", totals["rejected"], totals["rejected_temporary"])
	}
	for _, files := range [][]string{{mainlog, rejectlog}, {rejectlog, mainlog}, {mainlog, packed}} {
		if got := asText(t, eximJSON(t, files...)); got != want {
			t.Errorf("%v: not the report of the main log alone:\n%s\nwant\n%s", files, got, want)
		}
	}
}

func asText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func compress(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEximTruth compares the recipients of the report, by domain, with what
// the servers accepted, and with what was submitted.
func TestEximTruth(t *testing.T) {
	dirs := []string{filepath.Join(eximSmall, "outbound")}
	for _, run := range []string{"exim-plain-default", "exim-plain-millisec-pid-tz", "exim13-plain"} {
		if dir := filepath.Join("../../../shared/corpus-real", run); exists(dir) && !testing.Short() {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			accepted, submitted := eximTruth(t, dir)
			for _, d := range eximJSON(t, filepath.Join(dir, "mainlog"))["domains"].([]any) {
				d := d.(map[string]any)
				name := d["domain"].(string)
				if strings.HasSuffix(name, "sender.test") {
					continue // bounces, delivered on the host itself
				}
				if got := int(d["delivered"].(float64)); got != accepted[name] {
					t.Errorf("%s: %d delivered, the servers accepted %d", name, got, accepted[name])
				}
				if got := int(d["recipients"].(float64)); got != submitted[name] && name != "dropdata.test" {
					t.Errorf("%s: %d recipients, submitted were %d", name, got, submitted[name])
				}
				if got := int(d["pending"].(float64)); got != 0 {
					t.Errorf("%s: %d pending in a run that ended", name, got)
				}
				delete(submitted, name)
			}
			delete(submitted, "dropdata.test") // some of its lines were written blank by Exim 4.98.2
			for name, n := range submitted {
				t.Errorf("%s: %d recipients, none reported", name, n)
			}
		})
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// eximTruth returns the recipients that servers accepted and that were
// submitted, by domain.
func eximTruth(t *testing.T, dir string) (accepted, submitted map[string]int) {
	t.Helper()
	accepted, submitted = map[string]int{}, map[string]int{}
	domain := func(a string) string { return strings.ToLower(a[strings.LastIndexByte(a, '@')+1:]) }
	lines(t, filepath.Join(dir, "truth.jsonl"), func(line []byte) error {
		var e struct {
			Stage, Event, Rcpt string
			Code               int
		}
		err := json.Unmarshal(line, &e)
		if e.Stage == "eod" && e.Event == "reply" && e.Code/100 == 2 {
			accepted[domain(e.Rcpt)]++
		}
		return err
	})
	lines(t, filepath.Join(dir, "inject.jsonl"), func(line []byte) error {
		var o struct {
			Rcpts []struct{ Rcpt string }
		}
		err := json.Unmarshal(line, &o)
		for _, r := range o.Rcpts {
			submitted[domain(r.Rcpt)]++
		}
		return err
	})
	return accepted, submitted
}

func lines(t *testing.T, path string, f func([]byte) error) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if err := f(line); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}
