package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mailfail/ingest"
	"mailfail/ingest/source"
	_ "mailfail/parsers/all"
	"mailfail/parsers/parserstest/loggen"
	"mailfail/registry"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// generated returns a log and what is to be found in it.
func generated(tb testing.TB, messages int) ([]byte, loggen.Counts) {
	tb.Helper()
	var b bytes.Buffer
	c, err := loggen.Generate(&b, loggen.Options{Seed: 7, Messages: messages})
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes(), c
}

func openStore(tb testing.TB) *sqlite.DB {
	tb.Helper()
	db, err := sqlite.Open(filepath.Join(tb.TempDir(), "mailfail.db"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	return db
}

var options = ingest.Options{Format: "auto", Year: 2026, Location: time.UTC, Host: "mx1"}

// read runs ingest over the arguments of a command line.
func read(tb testing.TB, db *sqlite.DB, args ...string) ingest.Result {
	tb.Helper()
	families, errs := source.Expand(args)
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	res, err := ingest.Run(context.Background(), db, registry.DefaultRules(), families, options)
	if err != nil {
		tb.Fatal(err)
	}
	for _, err := range res.Errs {
		tb.Error(err)
	}
	return res
}

func writeFile(tb testing.TB, path string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// atOnce returns what a store knows after reading a log at once.
func atOnce(tb testing.TB, log []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "mail.log")
	writeFile(tb, path, log)
	db := openStore(tb)
	read(tb, db, path)
	return sqlitetest.Dump(tb, db)
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	inWant := map[string]int{}
	for _, l := range w {
		inWant[l]++
	}
	shown := 0
	for _, l := range g {
		if inWant[l]--; inWant[l] < 0 && shown < 5 {
			t.Errorf("too much: %s", l)
			shown++
		}
	}
	for l, n := range inWant {
		if n > 0 && shown < 10 {
			t.Errorf("missing:  %s", l)
			shown++
		}
	}
	t.Fatalf("%d rows instead of %d", len(g), len(w))
}

// takesLong leaves a test to the runs without -short, as .ci/run is one.
func takesLong(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
}

// few returns how many cases a test tries: fewer in a quick run (go test -short).
func few(quick, all int) int {
	if testing.Short() {
		return quick
	}
	return all
}

func TestCountsAreTrue(t *testing.T) {
	log, c := generated(t, few(800, 3000))
	path := filepath.Join(t.TempDir(), "mail.log")
	writeFile(t, path, log)
	db := openStore(t)
	res := read(t, db, path)
	want := sqlitetest.Totals{Messages: c.Messages, Recipients: c.Recipients, Delivered: c.Delivered, Bounced: c.Bounced, Expired: c.Expired,
		Attempts: c.Attempts, Deferrals: c.Deferrals, Failures: c.Failures, Deferred: c.Deferred, Rejected: c.Rejected}
	if got := sqlitetest.Sum(t, db); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if l := res.Lines; l.Read != c.Lines || l.Unparsed != 0 || l.Understood+l.Irrelevant != c.Lines {
		t.Errorf("lines %+v, want %d and all of them known", l, c.Lines)
	}
	for code, n := range c.FailingByCode {
		reply, enhanced, _ := strings.Cut(code, " ")
		got := sqlitetest.Int(t, db, "SELECT count(*) FROM attempts a JOIN causes c ON c.id = a.cause WHERE c.reply = ? AND c.enhanced = ?", reply, enhanced)
		if got != n {
			t.Errorf("code %s: %d attempts, want %d", code, got, n)
		}
	}
	for domain, n := range c.FailuresByDomain {
		got := sqlitetest.Int(t, db, `SELECT count(*) FROM attempts a JOIN series s ON s.id = a.series JOIN names n ON n.id = s.domain
			WHERE a.outcome = 3 AND n.text = ?`, domain)
		if got != n {
			t.Errorf("%s: %d failures, want %d", domain, got, n)
		}
	}
}

func TestTwiceIsOnce(t *testing.T) {
	log, _ := generated(t, 300)
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	writeFile(t, path, log)
	db := openStore(t)
	read(t, db, path)
	want := sqlitetest.Dump(t, db)
	writeFile(t, filepath.Join(dir, "copy.log"), log)
	for _, args := range [][]string{{path}, {path, path}, {dir}, {filepath.Join(dir, "*.log")}} {
		if res := read(t, db, args...); res.Lines.Read != 0 {
			t.Errorf("%v: %d lines read again", args, res.Lines.Read)
		}
	}
	same(t, sqlitetest.Dump(t, db), want)
}

// A log that is read while it grows, cut at any byte, gives what it gives when
// it is read at once.
func TestSplitAnywhere(t *testing.T) {
	log, _ := generated(t, 120)
	want := atOnce(t, log)
	for seed := range few(1, 4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 0))
			path := filepath.Join(t.TempDir(), "mail.log")
			db := openStore(t)
			for end := 0; end < len(log); {
				end = min(len(log), end+1+r.IntN(1+r.IntN(20_000)))
				writeFile(t, path, log[:end])
				read(t, db, path)
			}
			same(t, sqlitetest.Dump(t, db), want)
		})
	}
}

func zip(tb testing.TB, content []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// A log that is rotated and compressed between the runs, or all of whose
// generations are read at the end, in any order of the arguments.
func TestRotation(t *testing.T) {
	log, _ := generated(t, 400)
	want := atOnce(t, log)
	third := bytes.IndexByte(log[len(log)/3:], '\n') + len(log)/3 + 1
	rest := bytes.IndexByte(log[2*len(log)/3:], '\n') + 2*len(log)/3 + 1
	parts := [][]byte{log[:third], log[third:rest], log[rest:]}

	t.Run("between runs", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "mail.log")
		db := openStore(t)
		writeFile(t, path, parts[0][:len(parts[0])/2])
		read(t, db, path)
		writeFile(t, path, parts[0]) // grown, then rotated while nobody looked
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, parts[1])
		read(t, db, path)
		writeFile(t, path+".2.gz", zip(t, parts[0]))
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, parts[2])
		read(t, db, path)
		same(t, sqlitetest.Dump(t, db), want)
		if res := read(t, db, dir); res.Lines.Read != 0 {
			t.Errorf("%d lines read again", res.Lines.Read)
		}
	})
	t.Run("all generations", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "mail.log")
		writeFile(t, path+".2.gz", zip(t, parts[0]))
		writeFile(t, path+".1", parts[1])
		writeFile(t, path, parts[2])
		db := openStore(t)
		read(t, db, path, path+".1", path+".2.gz")
		same(t, sqlitetest.Dump(t, db), want)
	})
	t.Run("copytruncate", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "mail.log")
		db := openStore(t)
		writeFile(t, path, parts[0][:len(parts[0])/2])
		read(t, db, path)
		writeFile(t, path+".1", parts[0])
		writeFile(t, path, parts[1])
		read(t, db, path)
		writeFile(t, path, append(bytes.Clone(parts[1]), parts[2]...))
		read(t, db, path)
		same(t, sqlitetest.Dump(t, db), want)
	})
}

// Two runs over the same files at the same time count every line once.
func TestTwoRunsAtTheSameTime(t *testing.T) {
	takesLong(t)
	log, _ := generated(t, few(500, 3000))
	want := atOnce(t, log)
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	half := bytes.IndexByte(log[len(log)/2:], '\n') + len(log)/2 + 1
	writeFile(t, path+".1", log[:half])
	writeFile(t, path, log[half:])
	file := filepath.Join(t.TempDir(), "mailfail.db")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			db, err := sqlite.Open(file)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			read(t, db, dir)
		})
	}
	wg.Wait()
	db, err := sqlite.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	same(t, sqlitetest.Dump(t, db), want)
}

// What was read of a stream before another process read on in the same log is in
// the result, too: both together have every line.
func TestResultWhenAnotherReadsOn(t *testing.T) {
	takesLong(t)
	log, c := generated(t, 500)
	cut := func(n int) int { return bytes.IndexByte(log[n:], '\n') + n + 1 }
	first, second := cut(len(log)/3), cut(len(log)*2/3)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	stdin := os.Stdin
	os.Stdin = in
	defer func() { os.Stdin = stdin }()
	path := filepath.Join(t.TempDir(), "mailfail.db")
	db, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	results := make(chan ingest.Result)
	go func() {
		defer close(results)
		results <- read(t, db, source.Stdin)
	}()
	if _, err := out.Write(log[:first]); err != nil {
		t.Fatal(err)
	}
	for sqlitetest.Int(t, db, "SELECT sum(read) FROM lines") == 0 {
		time.Sleep(time.Millisecond) // between two looks
	}
	other, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	file := filepath.Join(t.TempDir(), "mail.log")
	writeFile(t, file, log[:second])
	beside := read(t, other, file)
	if _, err := out.Write(log[first:]); err != nil {
		t.Fatal(err)
	}
	out.Close()
	res := <-results
	if beside.Lines.Read == 0 || res.Lines.Read+beside.Lines.Read != c.Lines {
		t.Errorf("read %d lines, and beside that %d; there are %d", res.Lines.Read, beside.Lines.Read, c.Lines)
	}
	var files int64
	for _, f := range res.Files {
		files += f.Lines.Read
	}
	if files != res.Lines.Read {
		t.Errorf("%d lines of files, %d of all", files, res.Lines.Read)
	}
	same(t, sqlitetest.Dump(t, db), atOnce(t, log))
}

// A run that is told to stop keeps what it has read, and the next goes on.
func TestInterrupted(t *testing.T) {
	takesLong(t)
	log, _ := generated(t, 2000)
	want := atOnce(t, log)
	path := filepath.Join(t.TempDir(), "mail.log")
	writeFile(t, path, log)
	db := openStore(t)
	families, _ := source.Expand([]string{path})
	ctx, cancel := context.WithCancel(context.Background())
	opt := options
	opt.Progress = func(string, int64, int64) { cancel() }
	res, err := ingest.Run(ctx, db, registry.DefaultRules(), families, opt)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("err = %v", err)
	}
	if n := sqlitetest.Int(t, db, "SELECT sum(read) FROM lines"); n == 0 || n >= int64(bytes.Count(log, []byte("\n"))) {
		t.Errorf("%d lines kept", n)
	}
	_ = res
	read(t, db, path)
	same(t, sqlitetest.Dump(t, db), want)
}

func TestBadFilesHarmNothingElse(t *testing.T) {
	log, _ := generated(t, 50)
	dir := t.TempDir()
	good, broken, other := filepath.Join(dir, "mail.log"), filepath.Join(dir, "x.gz"), filepath.Join(dir, "web.log")
	writeFile(t, good, log)
	zipped := zip(t, []byte(strings.ReplaceAll(string(log), "mx1", "mx2")))
	writeFile(t, broken, zipped[:len(zipped)/2])
	writeFile(t, other, []byte(strings.Repeat("192.0.2.1 - - [22/Nov/2026:06:25:52 +0000] \"GET / HTTP/1.1\" 200 5\n", 50)))
	families, errs := source.Expand([]string{broken, filepath.Join(dir, "missing.log"), other, good})
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "missing.log") {
		t.Errorf("errors %v, want one about missing.log", errs)
	}
	db := openStore(t)
	res, err := ingest.Run(context.Background(), db, registry.DefaultRules(), families, options)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Errs) != 1 || !strings.Contains(res.Errs[0].Error(), "x.gz") {
		t.Errorf("errors %v, want one about x.gz", res.Errs)
	}
	refused := 0
	for _, f := range res.Files {
		if f.NotUnderstood() {
			refused++
			if f.Path != other {
				t.Errorf("%s was not understood", f.Path)
			}
		}
	}
	if refused != 1 {
		t.Errorf("%d files refused, want 1", refused)
	}
	if n := sqlitetest.Int(t, db, "SELECT count(*) FROM sources WHERE path = ?", good); n != 1 {
		t.Error("the good file was not read")
	}
}

// One odd line that was added to a log does not make another file of it.
func TestOddLineAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	log, _ := generated(t, 100)
	writeFile(t, path, log)
	db := openStore(t)
	for _, added := range []string{"", "rubbish\n", "Nov 22 10:00:00 mx1 postfix/smtp[1]: more of it\n"} {
		log = append(log, added...)
		writeFile(t, path, log)
		families, errs := source.Expand([]string{path})
		if errs != nil {
			t.Fatal(errs)
		}
		res, err := ingest.Run(t.Context(), db, registry.DefaultRules(), families, options)
		if err != nil || len(res.Files) != 1 {
			t.Fatalf("%v, %d files", err, len(res.Files))
		}
		if f := &res.Files[0]; f.NotUnderstood() || added != "" && f.Lines.Unparsed != 1 {
			t.Errorf("after %q: %+v", added, f)
		}
	}
}

// BenchmarkIngest reads a log that loggen makes, or the file that
// $MAILFAIL_BENCH_LOG names.
func BenchmarkIngest(b *testing.B) {
	path := os.Getenv("MAILFAIL_BENCH_LOG")
	if path == "" {
		log, _ := generated(b, 20_000)
		path = filepath.Join(b.TempDir(), "mail.log")
		writeFile(b, path, log)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		db, err := sqlite.OpenTemporary()
		if err != nil {
			b.Fatal(err)
		}
		read(b, db, path)
		db.Close()
	}
}
