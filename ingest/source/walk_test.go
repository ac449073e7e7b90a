package source

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"mail.log", "mail.log.1", "mail.log.2.gz", "mail.log.10.gz", "other.log-20261120", "other.log",
		"ex/MSGTRK2026112001-1.LOG", "ex/MSGTRK2026112000-2.LOG", "ex/MSGTRK2026112000-10.LOG",
		"ex/.hidden", ".git/config", "a/b/c/d/e/f/deep.log",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), name+"\n")
	}
	for from, to := range map[string]string{"mail.log": "link", "nothing": "dangling"} {
		if err := os.Symlink(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, test := range []struct{ args, want string }{
		{"mail.log mail.log.1 mail.log.2.gz", "mail.log.2.gz mail.log.1 mail.log"},
		{"mail.log*", "mail.log.10.gz mail.log.2.gz mail.log.1 mail.log"},
		{"other.log mail.log.1 other.log-20261120", "other.log-20261120 other.log | mail.log.1"},
		{"mail.log link ./mail.log mail.log", "mail.log"},
		{"link mail.log", "link"},
		{"ex", "ex/MSGTRK2026112000-2.LOG ex/MSGTRK2026112000-10.LOG ex/MSGTRK2026112001-1.LOG"},
		{"- mail.log -", "standard input | mail.log"},
		{".", "ex/MSGTRK2026112000-2.LOG ex/MSGTRK2026112000-10.LOG ex/MSGTRK2026112001-1.LOG | link |" +
			" mail.log.10.gz mail.log.2.gz mail.log.1 | other.log-20261120 other.log"},
	} {
		families, errs := Expand(strings.Fields(test.args))
		if len(errs) > 0 {
			t.Errorf("%s: %v", test.args, errs)
		}
		var got []string
		for _, f := range families {
			var paths []string
			for _, file := range f.Files {
				paths = append(paths, file.Path)
			}
			got = append(got, strings.Join(paths, " "))
		}
		if got := strings.Join(got, " | "); got != test.want {
			t.Errorf("%s:\n got  %s\n want %s", test.args, got, test.want)
		}
	}
	for arg, want := range map[string]string{
		"nothing":  "open nothing: no such file or directory",
		"no*thing": `no file matches "no*thing"`,
		"dangling": "open dangling: no such file or directory",
		"[":        `the pattern "[" cannot be read: syntax error in pattern`,
	} {
		families, errs := Expand([]string{arg, "mail.log"})
		if len(errs) != 1 || errs[0].Error() != want {
			t.Errorf("%s: got %v, want %s", arg, errs, want)
		}
		if len(families) != 1 || families[0].Files[0].Path != "mail.log" {
			t.Errorf("%s: the rest is not there: %+v", arg, families)
		}
	}
}

// A pipe is a stream of its own, whatever its name, and is not opened to look at
// its beginning.
// A directory that changes while it is listed never shows a file without those
// before it.
func TestListedWhileItChanges(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ first, second, want string }{
		{"SEND20261120-2.LOG", "SEND20261120-1.LOG SEND20261120-2.LOG SEND20261120-3.LOG RECV20261120-1.LOG", "SEND20261120-1.LOG SEND20261120-2.LOG"},
		{"SEND20261120-1.LOG SEND20261120-3.LOG", "SEND20261120-1.LOG SEND20261120-2.LOG.gz SEND20261120-3.LOG", "SEND20261120-1.LOG SEND20261120-2.LOG.gz SEND20261120-3.LOG"},
		{"mail.log mail.log.1", "mail.log mail.log.1 mail.log.2.gz", "mail.log.2.gz mail.log.1 mail.log"},
		{"mail.log.1", "mail.log mail.log.1", "mail.log.1"},
	} {
		names := test.first
		families, _ := listed(func(e *expander) []error {
			for name := range strings.FieldsSeq(names) {
				e.addFile(filepath.Join(dir, name), false)
			}
			names = test.second
			return nil
		})
		var got []string
		for _, f := range families {
			for _, file := range f.Files {
				got = append(got, filepath.Base(file.Path))
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s, then %s: got %s, want %s", test.first, test.second, got, test.want)
		}
	}
}

// The number of a file that is gone may be that of a new one.
func TestNumbersAreUsedAgain(t *testing.T) {
	dir := t.TempDir()
	e := newExpander()
	write(t, dir+"/SEND20261120-1.LOG", "")
	e.addFile(dir+"/SEND20261120-1.LOG", false)
	if err := os.Link(dir+"/SEND20261120-1.LOG", dir+"/SEND20261120-2.LOG"); err != nil {
		t.Fatal(err)
	}
	e.addFile(dir+"/SEND20261120-2.LOG", false) // the same file
	rename(t, dir+"/SEND20261120-1.LOG", dir+"/RECV20261120-1.LOG")
	e.addFile(dir+"/RECV20261120-1.LOG", false) // may be another one
	for name, want := range map[string]int{"SEND#-#.LOG": 1, "RECV#-#.LOG": 1} {
		if got := len(e.family(dir + "/" + name).Files); got != want {
			t.Errorf("%s: got %d files, want %d", name, got, want)
		}
	}
}

func TestPipes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log.1")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	write(t, filepath.Join(dir, "mail.log"), "of the file\n")
	var m Memory
	want(t, must(t, &m, dir), []string{"of the file"})
	appendTo(t, filepath.Join(dir, "mail.log"), "more\n")
	want(t, must(t, &m, filepath.Join(dir, "mail.log")), []string{"more"})
	if r, err := openFile(path); !errors.Is(err, errForeign) {
		t.Errorf("opened as a file: got %v, %v", r, err)
	}
	go func() { _ = os.WriteFile(path, []byte("of the pipe\nnot whole"), 0) }()
	families, errs := Expand([]string{path, filepath.Join(dir, "mail.log"), path})
	if len(errs) > 0 || len(families) != 2 || !families[0].Stream() || families[1].Stream() {
		t.Fatalf("got %+v, %v", families, errs)
	}
	got, errs := read(&m, families, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	want(t, got, []string{"of the pipe", "not whole"})
}

func TestDirectoryLeavesOutWhatIsNoText(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mail.log"), "a line\n")
	write(t, filepath.Join(dir, "wtmp"), "\x00\x01\x02\n")
	write(t, filepath.Join(dir, "system.journal"), "LPKSHHRH")
	write(t, filepath.Join(dir, "old.tar.gz"), gz("name"+strings.Repeat("\x00", 253)+"ustar\x0000"))
	want(t, must(t, new(Memory), dir), []string{"a line"})
	for name, advice := range map[string]string{"system.journal": "journalctl -o export", "old.tar.gz": "unpack"} {
		if _, errs := ingest(t, new(Memory), filepath.Join(dir, name)); len(errs) != 1 || !strings.Contains(errs[0].Error(), advice) {
			t.Errorf("%s: got %v", name, errs)
		}
	}
}

func TestUnchangedFilesAreNotOpened(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		write(t, filepath.Join(dir, fmt.Sprintf("mail.log.%d", i)), join((&log{i * 100}).lines(50))+"part")
	}
	var m Memory
	if n := len(must(t, &m, dir)); n != 250 {
		t.Fatalf("%d lines", n)
	}
	families, _ := Expand([]string{dir})
	for r, err := range Read(context.Background(), families, &m) {
		t.Errorf("opened %v, %v", r.Path(), err)
	}
}

// TestTailOfThePreviousGeneration names the live file only: what was written
// to the old one before the rotation must not be lost, and older generations
// that were never read are not wanted.
func TestTailOfThePreviousGeneration(t *testing.T) {
	for _, test := range []struct {
		name      string
		rotations int
		suffix    string
		remove    bool // the file that was read
		dated     bool
	}{
		{name: "renamed", rotations: 1},
		{name: "compressed", rotations: 1, suffix: ".gz"},
		{name: "dated", rotations: 1, dated: true},
		{name: "three times", rotations: 3, suffix: ".zst"},
		{name: "three times, dated", rotations: 3, suffix: ".gz", dated: true},
		{name: "and gone", rotations: 3, remove: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mail.log")
			rotated := func(i int) string {
				if test.dated {
					return fmt.Sprintf("%s-202611%02d", path, i)
				}
				return fmt.Sprintf("%s.%d", path, test.rotations-i+1)
			}
			var l log
			write(t, rotated(0), join(l.lines(100))) // never read
			past := time.Now().Add(-time.Hour)
			if err := os.Chtimes(rotated(0), past, past); err != nil {
				t.Fatal(err)
			}
			lines := l.lines(100)
			write(t, path, join(lines[:60]))
			var m Memory
			got := must(t, &m, path)
			appendTo(t, path, join(lines[60:]))
			if test.remove {
				lines = lines[:60]
				if err := os.Chtimes(path, past, past); err != nil {
					t.Fatal(err)
				}
			}
			for i := range test.rotations {
				rename(t, path, rotated(i+1))
				if i == 0 && test.remove {
					if err := os.Remove(rotated(1)); err != nil {
						t.Fatal(err)
					}
				} else if test.suffix != "" {
					compress(t, rotated(i+1), test.suffix)
				}
				more := l.lines(100)
				lines = append(lines, more...)
				appendTo(t, path, join(more))
			}
			got = append(got, must(t, &m, path)...)
			want(t, got, lines)
			// A daemon that has not reopened its log goes on in the old one.
			if test.suffix == "" {
				appendTo(t, rotated(test.rotations), "late\n")
				want(t, must(t, &m, path), []string{"late"})
			}
			want(t, must(t, &m, path), nil)
		})
	}
}

func TestLinkThatIsSwitched(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "current")
	var l log
	var m Memory
	var got, all []string
	for i := range 4 {
		target := filepath.Join(dir, fmt.Sprintf("log.%c", 'a'+i))
		lines := l.lines(100)
		all = append(all, lines...)
		_ = os.Remove(link)
		if i > 0 { // the rest of what was read before
			late := l.lines(10)
			appendTo(t, filepath.Join(dir, fmt.Sprintf("log.%c", 'a'+i-1)), join(late))
			all = append(all[:len(all)-100], append(late, lines...)...)
		}
		write(t, target, join(lines))
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		got = append(got, must(t, &m, link)...)
	}
	want(t, got, all)
}

func TestCopiesAreKnown(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "mail.log"), filepath.Join(dir, "backup")
	for _, n := range []int{5, 500} { // less than a fingerprint, more
		lines := (&log{n}).lines(n)
		write(t, path, join(lines))
		write(t, other, join(lines))
		var m Memory
		want(t, must(t, &m, path, other), lines)
		want(t, must(t, &m, other), nil)
		appendTo(t, path, "more\n")
		if n == 500 { // of a copy with less than a fingerprint nothing is known when the log has grown
			want(t, must(t, &m, path, other), []string{"more"})
		} else {
			want(t, must(t, &m, path), []string{"more"})
		}
		if m.positions[0].Path != realPath(path) || len(m.positions) != 1 {
			t.Errorf("%d lines: the log is looked for in the copy: %+v", n, m.positions)
		}
	}
}

func TestCutInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	lines := new(log).lines(100)
	write(t, path, join(lines))
	var m Memory
	want(t, must(t, &m, path), lines)
	if err := os.Truncate(path, int64(len(join(lines[:50])))); err != nil {
		t.Fatal(err)
	}
	want(t, must(t, &m, path), nil)
	appendTo(t, path, "new\n")
	want(t, must(t, &m, path), []string{"new"})
}

// TestSameHeader has two Exchange logs whose first lines are the same, read
// when there was no more.
func TestSameHeader(t *testing.T) {
	dir := t.TempDir()
	header := "#Software: Microsoft Exchange Server\r\n#Version: 15.01.2507.039\r\n"
	one, two := filepath.Join(dir, "MSGTRK2026112000-1.LOG"), filepath.Join(dir, "MSGTRK2026112001-1.LOG")
	for _, part := range []int{20, 39, len(header)} {
		var m Memory
		write(t, one, header[:part])
		_ = os.Remove(two)
		got := must(t, &m, dir)
		appendTo(t, one, header[part:]+"#Date: 2026-11-20T00:00:00.000Z\r\n1,a\r\n")
		write(t, two, header+"#Date: 2026-11-20T01:00:00.000Z\r\n2,a\r\n")
		got = append(got, must(t, &m, dir)...)
		appendTo(t, one, "1,b\r\n")
		appendTo(t, two, "2,b\r\n")
		got = append(got, must(t, &m, dir)...)
		lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(header, "\r", "")), "\n")
		all := append([]string{}, lines...)
		all = append(all, "#Date: 2026-11-20T00:00:00.000Z", "1,a")
		all = append(all, lines...)
		all = append(all, "#Date: 2026-11-20T01:00:00.000Z", "2,a", "1,b", "2,b")
		want(t, got, all)
	}
}

func TestStateGoesFromOneGenerationToTheNext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	var l log
	write(t, path, join(l.lines(10)))
	var m Memory
	last := must(t, &m, path)[9]
	rename(t, path, path+".1")
	write(t, path, join(l.lines(10)))
	families, _ := Expand([]string{path})
	n := 0
	for r, err := range Read(context.Background(), families, &m) {
		if n++; err != nil || string(r.Position().State) != last {
			t.Errorf("got state %q, %v, want %q", r.Position().State, err, last)
		}
	}
	if n != 1 {
		t.Errorf("%d readers", n)
	}
	// Another family has a state of its own.
	other := filepath.Join(filepath.Dir(path), "other.log")
	write(t, other, join(l.lines(10)))
	families, _ = Expand([]string{path + ".1", other})
	for r := range Read(context.Background(), families, &m) {
		if r.Position().State != nil {
			t.Errorf("%s: got state %q", r.Path(), r.Position().State)
		}
	}
}

// A new file also goes on with the state of one that was read in another run, the
// newest before it, and one that was begun with its own.
func TestStateGoesFromOneRunToTheNext(t *testing.T) {
	for _, test := range []struct {
		runs  string // each with the files it is given; they are made or, behind a +, grow before it
		state string // that the last file of the last run begins with, by the file it was kept of
	}{
		{"01 | 02", "01"},
		{"01 | 02 | 03", "02"},
		{"01 | 03", "01"},
		{"01 | 02 | 01 03", "02"},
		{"01 | 03 | 01 02", "01"},
		{"02 03 | 01 04", "03"},
		{"02 | 01 03", "02"},
		{"02 | 01", ""},
		{"01 | +01 | 02", "01"},
		{"02 | 01 | +02", "02"},
		{"01 | 02 | +01 | +02", "02"},
		{"01 | 02 | gz 02 | 03", "02"},
		{"01 | *02 | *03", "02"},
	} {
		for _, format := range []string{"SEND20261120%s-1.LOG", "mail.log-202611%s", "mail-202611%s.log"} {
			t.Run(test.runs+" "+format, func(t *testing.T) {
				dir := t.TempDir()
				var m Memory
				var state string
				for run := range strings.SplitSeq(test.runs, " | ") {
					if n, ok := strings.CutPrefix(run, "gz "); ok {
						compress(t, filepath.Join(dir, fmt.Sprintf(format, n)), ".gz")
						continue
					}
					var args []string
					for n := range strings.FieldsSeq(run) {
						path := filepath.Join(dir, fmt.Sprintf(format, strings.Trim(n, "*+")))
						if _, err := os.Stat(path); err != nil || n[0] == '+' {
							appendTo(t, path, strings.Repeat(strings.Trim(n, "*+")+" is the number of the file\n", 50))
						}
						if n[0] == '*' {
							path += "*"
						}
						args = append(args, path)
					}
					families, errs := Expand(args)
					state = lastState(t, &m, families, errs)
				}
				if got := state[:min(len(state), 2)]; got != test.state {
					t.Errorf("the last file begins with the state of %q, want %q", got, test.state)
				}
			})
		}
	}
}

// lastState reads files, and returns the state with which the last began.
func lastState(t *testing.T, m *Memory, families []Family, errs []error) (state string) {
	t.Helper()
	_, errs = readEach(func(yield func(*Reader, error) bool) {
		for r, err := range Read(context.Background(), families, m) {
			if err == nil {
				state = string(r.Position().State)
			}
			if !yield(r, err) {
				return
			}
		}
	}, m, errs, func() {})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return state
}

// The same with numbered generations, each named when it is one; and the log itself
// goes on with the state of the newest.
func TestStateOfNumberedGenerations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	var l log
	var m Memory
	var last string
	for i := range 5 {
		if i > 0 {
			compress(t, path+".1", ".gz")
		}
		for n := i; n > 0; n-- {
			rename(t, fmt.Sprintf("%s.%d.gz", path, n), fmt.Sprintf("%s.%d.gz", path, n+1))
		}
		lines := l.lines(50)
		name := path + ".1"
		if i == 4 {
			name = path
			rename(t, path+".2.gz", path+".1.gz")
		}
		write(t, name, join(lines))
		families, errs := Expand([]string{name})
		if state := lastState(t, &m, families, errs); state != last {
			t.Errorf("%d: got state %q, want %q", i, state, last)
		}
		last = lines[49]
	}
}

// directoryReadings are the ways to read a directory: what is in it is listed when
// they are called, and opened when the sources are asked for.
var directoryReadings = map[string]func(t *testing.T, dir string, m *Memory) iter.Seq2[*Reader, error]{
	"read": func(_ *testing.T, dir string, m *Memory) iter.Seq2[*Reader, error] {
		families, _ := Expand([]string{dir})
		return Read(context.Background(), families, m)
	},
	"follow": func(t *testing.T, dir string, m *Memory) iter.Seq2[*Reader, error] {
		f := Follow([]string{dir}, FollowOptions{Tick: time.Hour})
		t.Cleanup(func() { f.Close() })
		f.scan()
		return f.Ready(context.Background(), m)
	},
}

// The state goes on from a file that is compressed between the listing and the
// opening of the generations.
func TestStateOfACompressedGeneration(t *testing.T) {
	for name, list := range directoryReadings {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := dir + "/RECV20261120-"
			var l log
			var m Memory
			write(t, path+"1.LOG", join(l.lines(60)))
			write(t, path+"2.LOG", join(l.lines(60)))
			want := path + "3.LOG after " + lastOf(must(t, &m, dir))
			write(t, path+"3.LOG", join(l.lines(60)))
			read := list(t, dir, &m)
			compress(t, path+"2.LOG", ".gz")
			found := false
			for r := range read {
				if r.Path() != path+"3.LOG" {
					continue
				}
				found = true
				if got := r.Path() + " after " + string(r.Position().State); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
			if !found {
				t.Errorf("the new file was not read")
			}
		})
	}
}

// So it does when that happens while the one before it is read.
func TestStateOfAGenerationThatIsCompressedMeanwhile(t *testing.T) {
	for name, list := range directoryReadings {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := dir + "/RECV20261120-"
			var l log
			var m Memory
			files := [][]string{l.lines(60), l.lines(60), l.lines(60)}
			for i, lines := range files {
				write(t, fmt.Sprintf("%s%d.LOG", path, i+1), join(lines))
			}
			read, states := list(t, dir, &m), map[string]string{}
			lines, errs := readEach(func(yield func(*Reader, error) bool) {
				for r, err := range read {
					if r.Path() == path+"1.LOG" {
						compress(t, path+"2.LOG", ".gz")
					}
					states[r.Path()] = string(r.Position().State)
					if !yield(r, err) {
						return
					}
				}
			}, &m, nil, func() {})
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			want(t, lines, slices.Concat(files...))
			for file, before := range map[string][]string{"2.LOG.gz": files[0], "3.LOG": files[1]} {
				if got := states[path+file]; got != lastOf(before) {
					t.Errorf("%s begins with the state %q, want %q", file, got, lastOf(before))
				}
			}
		})
	}
}

func TestVanishedFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	var l log
	old, now := l.lines(100), l.lines(100)
	write(t, path+".1", join(old))
	write(t, path, join(now))
	families, errs := Expand([]string{dir})
	// Rotated between listing and reading.
	rename(t, path+".1", path+".2")
	compress(t, path+".2", ".gz")
	rename(t, path, path+".1")
	more := l.lines(10)
	write(t, path, join(more))
	got, errs := read(new(Memory), families, errs)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if len(got) != 210 {
		t.Errorf("%d lines, want 210", len(got))
	}
	families, _ = Expand([]string{path})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, errs = read(new(Memory), families, nil); len(errs) != 1 || !strings.Contains(errs[0].Error(), "open "+path) {
		t.Errorf("a named file is gone: got %v", errs)
	}
}

// TestNamedLogIsRotatedAway names a log that is there again only when its
// daemon has something to write.
func TestNamedLogIsRotatedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	var l log
	all := l.lines(100)
	write(t, path, join(all[:60]))
	var m Memory
	got := must(t, &m, path)
	appendTo(t, path, join(all[60:]))
	rename(t, path, path+".1")
	got = append(got, must(t, &m, path)...)
	want(t, got, all)

	f := newFollower(t)
	f.memory = &m
	f.start(quick, path)
	more := l.lines(10)
	write(t, path, join(more))
	want(t, f.lines(10), more)
	f.end()
	if len(f.errs) > 0 {
		t.Errorf("follow: %v", f.errs)
	}

	// Of what was never read nobody knows whether that is it.
	rename(t, path, path+".2")
	if got, errs := ingest(t, new(Memory), path); len(got) > 0 || len(errs) != 1 || !errors.Is(errs[0], os.ErrNotExist) {
		t.Errorf("nothing is known of it: got %d lines, %v", len(got), errs)
	}
}

// Between the listing of a log's generations and the opening of the newest it
// may be rotated: what was moved out of it comes first all the same.
func TestRotatedAfterListing(t *testing.T) {
	rotate := map[string]func(t *testing.T, path string){
		"renamed": func(t *testing.T, path string) { rename(t, path, path+".1") },
		"copied and truncated": func(t *testing.T, path string) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path+".1", string(content))
			write(t, path, "")
		},
		"copied, truncated and compressed": func(t *testing.T, path string) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path+".1.gz", gz(string(content)))
			write(t, path, "")
		},
	}
	for name, rotated := range rotate {
		for _, pattern := range []string{"", "*"} {
			t.Run(name+pattern, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "mail.log")
				var l log
				var m Memory
				lines := l.lines(60)
				write(t, path, join(lines[:40]))
				got := must(t, &m, path+pattern)
				appendTo(t, path, join(lines[40:]))
				families, errs := Expand([]string{path + pattern})
				rotated(t, path)
				more := l.lines(100) // more than was there, so that no size tells
				appendTo(t, path, join(more))
				now, errs := read(&m, families, errs)
				if len(errs) > 0 {
					t.Fatal(errs)
				}
				want(t, append(got, now...), append(lines, more...))
				want(t, must(t, &m, path+pattern), nil)
			})
		}
	}
}

// rotatedLog is a log that is rotated at any moment, by renaming and compressing.
type rotatedLog struct {
	t       *testing.T
	rnd     *rand.Rand
	path    string
	log     log
	written []string
	packed  int  // compressed generations
	rotated bool // since this was last set
}

func newRotatedLog(t *testing.T, seed uint64) *rotatedLog {
	return &rotatedLog{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), path: filepath.Join(t.TempDir(), "mail.log")}
}

func (l *rotatedLog) grow() {
	lines := l.log.lines(1 + l.rnd.IntN(80))
	appendTo(l.t, l.path, join(lines))
	l.written = append(l.written, lines...)
}

// rotate rotates the log now and then, but once.
func (l *rotatedLog) rotate() {
	if l.rotated || l.rnd.IntN(3) > 0 {
		return
	}
	l.rotated = true
	if _, err := os.Stat(l.path + ".1"); err == nil {
		for n := l.packed + 1; n > 1; n-- {
			rename(l.t, fmt.Sprintf("%s.%d.gz", l.path, n), fmt.Sprintf("%s.%d.gz", l.path, n+1))
		}
		compress(l.t, l.path+".1", ".gz")
		rename(l.t, l.path+".1.gz", l.path+".2.gz")
		l.packed++
	}
	rename(l.t, l.path, l.path+".1")
	l.grow()
}

// A log that is rotated before its generations are listed, and again between that
// and the end of reading them, gives its lines in their order.
func TestRotatedWhileItIsRead(t *testing.T) {
	takesLong(t)
	for seed := range uint64(100) {
		for _, pattern := range []string{"", "*"} {
			t.Run(fmt.Sprint(seed, pattern), func(t *testing.T) {
				l := newRotatedLog(t, seed)
				var m Memory
				l.grow()
				got := must(t, &m, l.path+pattern) // else its older generations are not asked for
				for range 5 {
					l.rotated = false
					l.grow()
					l.rotate()
					families, errs := Expand([]string{l.path + pattern})
					l.rotated = false
					l.rotate()
					lines, errs := readWith(&m, families, errs, l.rotate)
					if len(errs) > 0 {
						t.Fatal(errs)
					}
					got = append(got, lines...)
				}
				want(t, append(got, must(t, &m, l.path+pattern)...), l.written)
			})
		}
	}
}

// A log that is followed gives its lines in their order when it is rotated once
// between two looks at it, or while it is read.
func TestRotatedWhileItIsFollowed(t *testing.T) {
	takesLong(t)
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newRotatedLog(t, seed)
			var m Memory
			f := Follow([]string{l.path}, FollowOptions{Tick: time.Hour})
			defer f.Close()
			var got []string
			for i := range 8 {
				if l.rotated = i == 0 || i > 5; i <= 5 {
					l.grow()
				}
				l.rotate()
				f.scanned = time.Time{}
				f.scan()
				l.rotate()
				lines, errs := readEach(f.Ready(context.Background(), &m), &m, nil, l.rotate)
				if len(errs) > 0 {
					t.Fatal(errs)
				}
				got = append(got, lines...)
			}
			want(t, got, l.written)
		})
	}
}

// asked is a Memory that lets something happen before each question.
type asked struct {
	Memory
	before func()
}

func (a *asked) FingerprintLengths(ctx context.Context) ([]int64, error) {
	a.before()
	return a.Memory.FingerprintLengths(ctx)
}

func (a *asked) ByInode(ctx context.Context, device, inode uint64) ([]Position, error) {
	a.before()
	return a.Memory.ByInode(ctx, device, inode)
}

func (a *asked) ByFamily(ctx context.Context, family string) ([]Position, error) {
	a.before()
	return a.Memory.ByFamily(ctx, family)
}

// slowLog is a log with several generations that is rotated slowly: one of the steps
// now and then, at a question.
type slowLog struct {
	asked
	t     *testing.T
	rnd   *rand.Rand
	path  string
	log   log
	lines []string // that were written
	steps []func()
}

func newSlow(t *testing.T, seed, kind uint64, name string) *slowLog {
	l := &slowLog{t: t, rnd: rand.New(rand.NewPCG(seed, kind)), path: filepath.Join(t.TempDir(), name)}
	l.before = l.step
	return l
}

// newSlowSeries makes logs as Exchange names them. New ones come, and older ones are
// compressed.
func newSlowSeries(t *testing.T, seed uint64) *slowLog {
	l := newSlow(t, seed, 10, "SEND20261120-")
	name := func(n int) string { return fmt.Sprintf("%s%d.LOG", l.path, n) }
	l.write(name(1))
	packed := 1
	for n := 2; n < 8; n++ {
		for range l.rnd.IntN(3) {
			l.steps = append(l.steps, func() { l.write(name(n - 1)) })
		}
		l.steps = append(l.steps, func() { l.write(name(n)) })
		for ; packed < n && l.rnd.IntN(2) == 0; packed++ {
			done := name(packed)
			l.steps = append(l.steps, func() { compress(t, done, ".gz") })
		}
	}
	return l
}

func newSlowLog(t *testing.T, seed uint64) *slowLog {
	l := newSlow(t, seed, 9, "mail.log")
	name := func(n int) string {
		if n == 0 {
			return l.path
		}
		return fmt.Sprintf("%s.%d", l.path, n)
	}
	for n := 4; n >= 0; n-- {
		l.write(name(n))
		l.steps = append(l.steps, func() { rename(t, name(n), name(n+1)) })
	}
	oldest := 3 + l.rnd.IntN(3)
	l.steps = append(l.steps, func() { l.write(l.path) }, func() { compress(t, name(oldest), ".gz") })
	return l
}

func (l *slowLog) write(path string) {
	lines := l.log.lines(1 + l.rnd.IntN(80))
	appendTo(l.t, path, join(lines))
	l.lines = append(l.lines, lines...)
}

func (l *slowLog) step() {
	if len(l.steps) > 0 && l.rnd.IntN(3) == 0 {
		l.steps[0]()
		l.steps = l.steps[1:]
	}
}

// read reads sources, and wants each that is new to begin with the state that the
// line before its first one has left.
func (l *slowLog) read(sources iter.Seq2[*Reader, error], errs []error) []string {
	lines, errs := readEach(func(yield func(*Reader, error) bool) {
		for r, err := range sources {
			if err == nil && r.pos.Offset == 0 {
				first, _, _ := strings.Cut(string(r.head), "\n")
				before := slices.Index(l.lines, string(r.pos.State))
				if i := slices.Index(l.lines, first); i > 0 && i != before+1 {
					l.t.Errorf("%s begins with line %d, and the state behind line %d", r.path, i, before)
				}
			}
			if !yield(r, err) {
				return
			}
		}
	}, &l.Memory, errs, l.step)
	if len(errs) > 0 {
		l.t.Fatal(errs)
	}
	return lines
}

// Logs whose generations are renamed one after the other while they are read for the
// first time, and logs of which new ones come and old ones are compressed meanwhile,
// give their lines in their order.
func TestSlowChanges(t *testing.T) {
	takesLong(t)
	for name, make := range map[string]func(*testing.T, uint64) *slowLog{"rotation": newSlowLog, "series": newSlowSeries} {
		for seed := range uint64(100) {
			t.Run(fmt.Sprint(name, " read ", seed), func(t *testing.T) {
				l := make(t, seed)
				var got []string
				for more := true; more; {
					more = len(l.steps) > 0
					l.step()
					families, errs := Expand([]string{l.path + "*"})
					got = append(got, l.read(Read(context.Background(), families, l), errs)...)
				}
				want(t, got, l.lines)
			})
			t.Run(fmt.Sprint(name, " follow ", seed), func(t *testing.T) {
				l := make(t, seed)
				f := Follow([]string{filepath.Dir(l.path)}, FollowOptions{Tick: time.Hour})
				defer f.Close()
				var got []string
				for again := 3; again > 0; {
					if l.step(); len(l.steps) == 0 {
						again--
					}
					f.scanned = time.Time{}
					got = append(got, l.read(f.Ready(context.Background(), l), nil)...)
				}
				want(t, got, l.lines)
			})
		}
	}
}

// A log that was rotated several times while nobody read it, and once more while
// that is caught up with, gives its lines in their order.
func TestRotatedWhileItIsCaughtUpWith(t *testing.T) {
	takesLong(t)
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newRotatedLog(t, seed)
			var m Memory
			var got []string
			l.grow()
			for i := range 5 {
				for range 2 * min(i, 1) { // the first time it is not known yet
					l.rotated = false
					l.rotate()
					l.grow()
				}
				f := Follow([]string{l.path}, FollowOptions{Tick: time.Hour})
				for l.rotated = i == 0; ; l.rotated = true {
					f.scanned = time.Time{}
					lines, errs := readEach(f.Ready(context.Background(), &m), &m, nil, l.rotate)
					if len(errs) > 0 {
						t.Fatal(errs)
					}
					if got = append(got, lines...); len(lines) == 0 && !f.due() {
						break
					}
				}
				f.Close()
			}
			want(t, got, l.written)
		})
	}
}

// lateLog is a log that grows and is rotated while who reads it asks what is
// known. As daemons do until they are told, its writer goes on in the old file for
// a while when there is a new one; or it is held while the log is copied and
// truncated.
type lateLog struct {
	rotatedLog
	asked
	copied bool
	old    bool // it still writes to the old file, or is held
}

func newLateLog(t *testing.T, seed uint64, copied bool) *lateLog {
	l := &lateLog{rotatedLog: *newRotatedLog(t, seed), copied: copied}
	l.before = l.step
	return l
}

// step lets a line be written, or the next thing of a rotation happen, of which
// there is one.
func (l *lateLog) step() {
	switch l.rnd.IntN(5) {
	case 0:
		if !l.rotated {
			l.rotated, l.old = true, true
			l.rotate()
		}
	case 1:
		if l.old && l.copied {
			write(l.t, l.path, "")
		}
		l.old = false
	case 2, 3:
		path := l.path
		switch {
		case l.old && l.copied:
			return
		case l.old:
			path += ".1"
		}
		lines := l.log.lines(1 + l.rnd.IntN(30)*l.rnd.IntN(2))
		appendTo(l.t, path, join(lines))
		l.written = append(l.written, lines...)
	}
}

func (l *lateLog) rotate() {
	if !l.copied {
		rename(l.t, l.path, l.path+".1")
		write(l.t, l.path, "")
		return
	}
	content, err := os.ReadFile(l.path)
	if err != nil {
		l.t.Fatal(err)
	}
	write(l.t, l.path+".1", string(content))
}

// push makes room for the next rotation.
func (l *lateLog) push() {
	if l.rotated && !l.old {
		l.packed++
		rename(l.t, l.path+".1", fmt.Sprintf("%s-%06d", l.path, l.packed))
		l.rotated = false
	}
}

// What a daemon writes to the old file after there is a new one comes before what
// it then writes to the new one, whenever these are looked at.
func TestLateLines(t *testing.T) {
	takesLong(t)
	for n := range 2 * uint64(60) {
		seed, copied := n/2, n%2 == 1
		for _, pattern := range []string{"", "*"} {
			t.Run(fmt.Sprint("read", n, pattern), func(t *testing.T) {
				l := newLateLog(t, seed, copied)
				l.grow()
				got := must(t, &l.Memory, l.path+pattern) // else its older generations are not asked for
				for i := range 20 {
					families, errs := Expand([]string{l.path + pattern})
					lines, errs := readEach(Read(context.Background(), families, l), &l.Memory, errs, l.step)
					if len(errs) > 0 {
						t.Fatal(errs)
					}
					got = append(got, lines...)
					if i < 18 {
						l.push()
					} else {
						l.rotated, l.old = true, false
					}
				}
				want(t, append(got, must(t, &l.Memory, l.path+pattern)...), l.written)
			})
		}
		t.Run(fmt.Sprint("follow", n), func(t *testing.T) {
			l := newLateLog(t, seed, copied)
			l.grow()
			f := Follow([]string{l.path}, FollowOptions{Tick: time.Hour})
			defer f.Close()
			var got []string
			ready := func(p Positions, after func()) {
				lines, errs := readEach(f.Ready(context.Background(), p), &l.Memory, nil, after)
				if len(errs) > 0 {
					t.Fatal(errs)
				}
				got = append(got, lines...)
			}
			ready(&l.Memory, func() {})
			for range 20 {
				l.step()
				l.step()
				ready(l, l.step)
				l.push()
			}
			for l.old {
				l.step()
			}
			l.grow()
			for range 3 {
				ready(&l.Memory, func() {})
			}
			want(t, got, l.written)
		})
	}
}

func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	write(t, path, "a\n")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	_, errs := ingest(t, new(Memory), path)
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "permission denied (run as root") {
		t.Errorf("got %v", errs)
	}
}

func TestUsualPlaces(t *testing.T) {
	dir := t.TempDir()
	defer func(before []string) { usual = before }(usual)
	usual = []string{dir + "/mail.log", dir + "/exim4/mainlog", dir + "/maillog"}
	if err := os.Mkdir(dir+"/exim4", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mail.log", "mail.log.1", "mail.log.2.gz", "mail.err", "exim4/mainlog", "exim4/mainlog.1", "exim4/rejectlog", "maillog-20261120"} {
		write(t, filepath.Join(dir, name), name+"\n")
	}
	var m Memory
	got, errs := read(&m, Usual(), nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	want(t, got, []string{"mail.log.2.gz", "mail.log.1", "mail.log", "exim4/mainlog.1", "exim4/mainlog"})
}

// TestNamedOldFilesAreNoBeginning reads an old generation because it is named:
// those between it and the live file are not wanted for that.
func TestNamedOldFilesAreNoBeginning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	var l log
	oldest, between, now := l.lines(50), l.lines(50), l.lines(50)
	write(t, path+".2.gz", gz(join(oldest)))
	write(t, path+".1", join(between))
	write(t, path, join(now))
	var m Memory
	want(t, must(t, &m, path, path+".2.gz"), append(oldest, now...))
	want(t, must(t, &m, path), nil)
	want(t, must(t, &m, path+"*"), between)
}
