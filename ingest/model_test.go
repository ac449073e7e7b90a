package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

var modelSeeds = flag.Int("model-seeds", 100, "seeds of TestModel")

// operation is a step of a script: a name and a number that says how much, in
// which way, or at which moment.
type operation struct {
	name string
	n    int
}

func (o operation) String() string { return fmt.Sprintf("%s(%d)", o.name, o.n) }

// operations are what happens to a log and its readers, as often as they are
// listed.
var operations = []string{
	"append", "append", "append", "tear", "ingest", "ingest", "killed", "killed", "twice", "follow",
	"rename", "rename", "late", "copytruncate", "recreate", "link", "compress", "compress", "quiet", "prune", "pruneKilled",
	"backup", "backupKilled", "restore", "merge", "mergeKilled", "push", "pushKilled", "pushUnanswered",
}

// TestModel runs scripts of random operations and compares the database with
// that of all lines read once, at the end, in order: the model. A script that
// fails is made as short as can be before it is shown.
func TestModel(t *testing.T) {
	seeds := few(2, *modelSeeds)
	for part := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
			t.Parallel()
			for seed := part; seed < seeds; seed += runtime.GOMAXPROCS(0) {
				script := randomScript(rand.New(rand.NewPCG(7, uint64(seed))))
				if fault := play(t, script); fault != "" {
					script = shrink(t, script)
					t.Fatalf("seed %d: %s\nshortest script: %v\n%s", seed, fault, script, play(t, script))
				}
			}
		})
	}
}

func randomScript(rnd *rand.Rand) (script []operation) {
	if rnd.IntN(3) == 0 {
		script = append(script, operation{"dateext", 0}) // a logrotate is set up one way or the other
	}
	for range 10 + rnd.IntN(25) {
		script = append(script, operation{operations[rnd.IntN(len(operations))], rnd.IntN(12)})
	}
	return script
}

// shrink removes operations for as long as the script fails without them.
func shrink(t *testing.T, script []operation) []operation {
	for size := len(script) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(script); {
			shorter := append(append([]operation(nil), script[:at]...), script[at+size:]...)
			if play(t, shorter) != "" {
				script = shorter
			} else {
				at++
			}
		}
	}
	return script
}

// world is a log that is written and rotated, and what was written to it.
type world struct {
	dir, log string // log is a link to target once it was "link"ed
	target   string
	db       *sqlite.DB
	written  bytes.Buffer // whole lines, and what was torn off the last one
	pending  string       // the rest of that line
	lines    int
	before   int       // lines that may be pruned
	clock    time.Time // modification times differ, as those of real logs do
	dated    bool      // generations have a date in their names, else a number
	saved    bool      // there is a backup, and every log since then is found by its name
	fleet    *received // nil before the first push
	err      error
}

// play runs a script and returns what is wrong in the end, "" for nothing.
func play(t *testing.T, script []operation) string {
	t.Helper()
	dir := t.TempDir()
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(filepath.Join(dir, "m.db"))
	if err != nil {
		t.Fatal(err)
	}
	logs := filepath.Join(dir, "log")
	w := &world{dir: logs, log: filepath.Join(logs, "mail.log"), db: db, clock: time.Now().Add(-24 * time.Hour)}
	defer func() { w.db.Close() }() // it may be another one by then
	w.target = w.log
	w.do(os.Mkdir(logs, 0o755))
	w.append(1) // of a log that was never seen with a line, nothing is known
	w.ingest(nil)
	for _, o := range script {
		w.step(o)
		if w.err != nil {
			return fmt.Sprintf("%v: %v", o, w.err)
		}
	}
	w.finish()
	w.ingest(nil)
	w.ingest(nil) // nothing is new
	if w.err != nil {
		return w.err.Error()
	}
	model, err := sqlite.Open(filepath.Join(dir, "model.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	once := filepath.Join(dir, "once.log")
	writeFile(t, once, w.written.Bytes())
	read(t, model, once)
	if got, want := countedIn(t, w.db), countedIn(t, model); got != want {
		return difference(got, want)
	}
	if fault := w.differentCopies(t); fault != "" {
		return fault
	}
	w.prune(w.db, nil)
	w.prune(model, nil)
	if w.err != nil {
		return w.err.Error()
	}
	got, want := sqlitetest.Dump(t, w.db), sqlitetest.Dump(t, model)
	if got != want {
		return difference(got, want)
	}
	return ""
}

// countedIn returns what a report counts, without the texts that are shown as
// examples: they are pruned.
func countedIn(t *testing.T, db *sqlite.DB) string {
	t.Helper()
	n, err := db.Numbers(t.Context(), store.Window{}, store.Filter{}, []store.Dimension{store.ByDomain})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n.Codes {
		n.Codes[i].Example = ""
	}
	return fmt.Sprintf("%+v\n%+v\n%+v\n%+v\n%+v", n.Totals, n.Lines, n.Groups, n.Codes, n.Failed)
}

func difference(got, want string) string {
	count := map[string]int{}
	for line := range strings.SplitSeq(want, "\n") {
		count[line]--
	}
	for line := range strings.SplitSeq(got, "\n") {
		count[line]++
	}
	var b strings.Builder
	for line, n := range count {
		if n != 0 && b.Len() < 2000 {
			fmt.Fprintf(&b, "%+d × %s\n", n, line)
		}
	}
	return b.String()
}

func (w *world) do(errs ...error) {
	w.err = errors.Join(append([]error{w.err}, errs...)...)
}

func (w *world) step(o operation) {
	if w.err != nil {
		return
	}
	switch o.name {
	case "dateext":
		w.dated = true
	case "append":
		w.append(1 + o.n*3)
	case "tear":
		w.tear(o.n)
	case "ingest":
		w.ingest(nil)
	case "twice":
		w.ingest(nil, w.log, w.dir, w.log+"*")
	case "killed":
		w.ingest(&dying{left: o.n % 4, after: o.n%2 == 0})
	case "follow":
		w.follow()
	case "prune", "pruneKilled":
		w.before = max(w.before, w.lines-o.n*2)
		ctx := dyingAfter(1 + o.n)
		if o.name == "prune" {
			ctx = nil
		}
		w.prune(w.db, ctx)
	case "compress":
		w.compress(o.n)
	case "quiet":
		w.do(os.Chtimes(w.target, w.clock, w.clock))
	case "rename", "late", "copytruncate", "recreate", "link":
		w.rotate(o.name, o.n)
	default:
		w.copies(o)
	}
}

// append writes lines: failures, of messages that end and of some that do not.
func (w *world) append(n int) { w.appendTo(w.target, n) }

func (w *world) appendTo(path string, n int) {
	w.finish()
	var b strings.Builder
	for range n {
		b.WriteString(w.line())
	}
	w.write(path, b.String())
}

func lineTime(n int) time.Time { return time.Date(2026, 11, 20, 10, 0, n, 0, time.UTC) }

func (w *world) line() string {
	n := w.lines
	w.lines++
	at := lineTime(n).Format("2006-01-02T15:04:05.000000+00:00")
	id := fmt.Sprintf("%010X", 0xA000000000+n/3)
	switch n % 3 {
	case 0:
		return fmt.Sprintf("%s mx postfix/qmgr[5]: %s: from=<s%d@from.example>, size=100, nrcpt=1 (queue active)\n", at, id, n)
	case 1:
		return fmt.Sprintf("%s mx postfix/smtp[7]: %s: to=<u%d@d%d.example>, relay=mx.example[192.0.2.1]:25, delay=1, delays=0.1/0/0.5/0.4, dsn=5.1.1, "+
			"status=bounced (host mx.example[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))\n", at, id, n, n%5)
	}
	return fmt.Sprintf("%s mx postfix/qmgr[5]: %s: removed\n", at, id)
}

// tear writes a line of which a part comes later.
func (w *world) tear(n int) {
	w.finish()
	line := w.line()
	cut := (n*29 + 1) % len(line)
	w.write(w.target, line[:cut])
	w.pending = line[cut:]
}

func (w *world) finish() {
	rest := w.pending
	w.pending = ""
	w.write(w.target, rest)
}

func (w *world) write(path, text string) {
	if text == "" || w.err != nil {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		w.do(err)
		return
	}
	_, err = f.WriteString(text)
	w.written.WriteString(text)
	w.clock = w.clock.Add(time.Minute)
	w.do(err, f.Close(), os.Chtimes(path, w.clock, w.clock))
}

// dying is a database whose writer is killed at a commit, before or after it
// takes effect.
type dying struct {
	store.Writable
	left  int
	after bool
}

type dyingWriter struct {
	store.Writer
	d *dying
}

var errKilled = errors.New("killed")

func (d *dying) Writer() (store.Writer, error) {
	w, err := d.Writable.Writer()
	return &dyingWriter{w, d}, err
}

func (w *dyingWriter) Commit() error {
	if w.d.left--; w.d.left >= 0 {
		return w.Writer.Commit()
	}
	if w.d.after {
		if err := w.Writer.Commit(); err != nil {
			return err
		}
	}
	return errKilled
}

func (w *world) ingest(kill *dying, args ...string) {
	if len(args) == 0 {
		args = []string{w.log}
	}
	families, errs := source.Expand(args)
	w.do(errs...)
	if w.err != nil {
		return
	}
	var db store.Writable = w.db
	if kill != nil {
		kill.Writable = db
		db = kill
	}
	res, err := ingest.Run(context.Background(), db, registry.DefaultRules(), families, options)
	if kill != nil && errors.Is(err, errKilled) {
		return
	}
	w.do(append(res.Errs, err)...)
}

// prune removes what the lines before w.before left behind. With a ctx it is
// ended on the way.
func (w *world) prune(db *sqlite.DB, ctx *countdown) {
	writer, err := db.Writer()
	if err != nil {
		w.do(err)
		return
	}
	defer writer.Close()
	horizon := lineTime(w.before)
	keep := ingest.Keep{Rows: time.Hour}
	if ctx == nil {
		_, err = ingest.Prune(context.Background(), writer, keep, horizon.Add(time.Hour))
		w.do(err)
		return
	}
	if _, err = ingest.Prune(ctx, writer, keep, horizon.Add(time.Hour)); !errors.Is(err, context.Canceled) {
		w.do(err)
	}
}

// countdown is a context that ends when it was asked some times whether it has.
type countdown struct {
	context.Context
	mu   sync.Mutex // database/sql asks from goroutines of its own
	left int
	done chan struct{}
}

func (c *countdown) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		close(c.done)
	}
	return c.done
}

func (c *countdown) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

// follow runs until all whole lines are in the database.
func (w *world) follow() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	opt := ingest.FollowOptions{Options: options, Source: source.FollowOptions{Tick: 5 * time.Millisecond, Spacing: time.Millisecond}}
	var ended error
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended = ingest.Follow(ctx, w.db, registry.DefaultRules(), []string{w.log}, opt)
	}()
	want := int64(bytes.Count(w.written.Bytes(), []byte("\n")))
	for ctx.Err() == nil {
		var n int64
		if err := w.db.SQL().QueryRow("SELECT sum(read) FROM lines").Scan(&n); err != nil {
			w.do(err)
			break
		}
		if n >= want {
			break
		}
		select {
		case <-done:
			w.do(fmt.Errorf("follow ended with %d of %d lines: %w", n, want, ended))
			return
		case <-time.After(time.Millisecond): // between two looks
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		w.do(errors.New("follow does not read what is there"))
	}
	stop()
	<-done
	w.do(ended)
}

// rotate rotates the log as programs do.
func (w *world) rotate(way string, n int) {
	if way != "late" {
		w.finish()
	}
	switch way {
	case "rename", "late":
		old := w.shift()
		w.do(os.Rename(w.target, old))
		if way == "late" { // the daemon still has the old file open
			rest := w.pending
			w.pending = ""
			w.write(old, rest)
			w.appendTo(old, n)
		}
	case "copytruncate":
		old := w.shift()
		content, err := os.ReadFile(w.target)
		w.do(err, os.WriteFile(old, content, 0o600), os.Chtimes(old, w.clock, w.clock), os.Truncate(w.target, 0))
	case "recreate": // what nobody had read would be lost to anyone
		w.ingest(nil)
		w.do(os.Remove(w.target))
		w.saved = false // a backup does not have it
	case "link":
		next := filepath.Join(w.dir, fmt.Sprintf("mail.log.at%06d", w.lines))
		w.ingest(nil)
		w.append(1)
		w.ingest(nil)
		old := w.target
		w.target = next
		if old == w.log {
			w.saved = false // a backup knows other names than those of the targets
			w.do(os.Rename(w.log, filepath.Join(w.dir, fmt.Sprintf("mail.log.at%06d", w.lines-1))))
		} else {
			w.do(os.Remove(w.log))
		}
		w.append(1)
		w.do(os.Symlink(next, w.log))
		return
	}
	w.append(1) // a new log has another beginning
}

// shift renames the older generations, and returns the name of the next one.
func (w *world) shift() string {
	if w.target != w.log { // a link's generations are its targets
		content, err := os.ReadFile(w.target)
		w.do(err, os.Remove(w.log), os.WriteFile(w.log, content, 0o600), os.Remove(w.target), os.Chtimes(w.log, w.clock, w.clock))
		w.target = w.log
		w.saved = false // nothing leads to the targets any more
	}
	if w.dated {
		day := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, w.lines)
		return w.log + day.Format("-20060102")
	}
	for i := 40; i > 0; i-- {
		for _, suffix := range []string{"", ".gz", ".zst", ".xz"} {
			from := fmt.Sprintf("%s.%d%s", w.log, i, suffix)
			if _, err := os.Lstat(from); err == nil {
				w.do(os.Rename(from, fmt.Sprintf("%s.%d%s", w.log, i+1, suffix)))
			}
		}
	}
	return w.log + ".1"
}

// compress compresses a generation.
func (w *world) compress(n int) {
	generations, err := filepath.Glob(w.log + "*[0-9]")
	w.do(err)
	if len(generations) == 0 {
		return
	}
	path := generations[n%len(generations)]
	if path == w.target || strings.Contains(path, ".at") {
		return // of logs that are links, old ones are left as they are
	}
	content, err := os.ReadFile(path)
	w.do(err)
	var b bytes.Buffer
	var z io.WriteCloser
	var suffix string
	switch n % 3 {
	case 0:
		z, suffix = gzip.NewWriter(&b), ".gz"
	case 1:
		z, err = zstd.NewWriter(&b)
		suffix = ".zst"
	case 2:
		z, err = xz.NewWriter(&b)
		suffix = ".xz"
	}
	w.do(err)
	if w.err != nil {
		return
	}
	info, err := os.Stat(path)
	w.do(err)
	_, err = z.Write(content)
	w.do(err, z.Close(), os.WriteFile(path+suffix, b.Bytes(), 0o600))
	w.do(os.Chtimes(path+suffix, info.ModTime(), info.ModTime()), os.Remove(path))
}
