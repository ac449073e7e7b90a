package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/registry"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// realLines returns the lines of a log of a real Postfix. Some are there twice: a
// client that is refused twice within a second leaves such lines.
func realLines(t *testing.T) []string {
	t.Helper()
	log, err := os.ReadFile("../testdata/postfix/plain/mail.log")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(log), "\n")
	lines = lines[:len(lines)-1]
	var all []string
	for i, line := range lines {
		all = append(all, line)
		if i%37 == 0 {
			all = append(all, refusal(line, i), refusal(line, i))
		}
	}
	return all
}

// refusal returns a rejection at the time of a line.
func refusal(line string, n int) string {
	return line[:len("Nov 22 06:28:04")] + fmt.Sprintf(" mx1 postfix/smtpd[77]: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: "+
		"550 5.1.1 <u%d@a.test>: Recipient address rejected: User unknown in local recipient table; from=<s@b.test> to=<u%[1]d@a.test> proto=ESMTP helo=<c.test>\n", n)
}

// amongOthers returns lines with those of other programs between them, as syslog has
// them.
func amongOthers(lines []string, r *rand.Rand) []byte {
	var b bytes.Buffer
	for i, line := range lines {
		b.WriteString(line)
		for range r.IntN(3) {
			fmt.Fprintf(&b, "%s mx1 CRON[%d]: (root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)\n", line[:15], i)
		}
	}
	return b.Bytes()
}

// mail returns what a store knows of mail: not how many lines it took.
func mail(tb testing.TB, db *sqlite.DB) string {
	var lines []string
	for line := range strings.Lines(sqlitetest.Dump(tb, db)) {
		if !strings.HasPrefix(line, "lines\t") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// mailOf returns what a store knows that has read one log.
func mailOf(t *testing.T, lines []string) string {
	path := filepath.Join(t.TempDir(), "mail.log")
	writeFile(t, path, []byte(strings.Join(lines, "")))
	db := openStore(t)
	read(t, db, path)
	return mail(t, db)
}

func TestTwoLogsOfTheSameLines(t *testing.T) {
	takesLong(t)
	lines := realLines(t)
	want := mailOf(t, lines)
	r := rand.New(rand.NewPCG(1, 2))
	mailLog, syslog := []byte(strings.Join(lines, "")), amongOthers(lines, r)
	folder := func() (mailPath, syslogPath string) {
		dir := t.TempDir()
		mailPath, syslogPath = filepath.Join(dir, "mail.log"), filepath.Join(dir, "syslog")
		writeFile(t, mailPath, mailLog)
		writeFile(t, syslogPath, syslog)
		return mailPath, syslogPath
	}
	for _, test := range []struct {
		name string
		read func(db *sqlite.DB, mailPath, syslogPath string)
	}{
		{"a folder", func(db *sqlite.DB, m, _ string) { read(t, db, filepath.Dir(m)) }},
		{"two runs", func(db *sqlite.DB, m, s string) { read(t, db, m); read(t, db, s) }},
		{"the other way round", func(db *sqlite.DB, m, s string) { read(t, db, s); read(t, db, m) }},
		{"twice", func(db *sqlite.DB, m, _ string) { read(t, db, filepath.Dir(m)); read(t, db, filepath.Dir(m)) }},
		{"follow", func(db *sqlite.DB, m, s string) {
			n := bytes.Count(mailLog, []byte("\n")) + bytes.Count(syslog, []byte("\n"))
			following(t, db, int64(n), ingest.FollowOptions{}, func() {}, m, s)
		}},
		{"follow standard input", func(db *sqlite.DB, m, _ string) {
			read(t, db, m)
			following(t, db, 0, ingest.FollowOptions{Stdin: bytes.NewReader(syslog)}, func() {}, "-")
		}},
		{"compressed", func(db *sqlite.DB, m, s string) {
			read(t, db, m)
			cut := bytes.LastIndexByte(syslog[:len(syslog)/2], '\n') + 1
			writeFile(t, s+".2.gz", zip(t, syslog[:cut]))
			writeFile(t, s, syslog[cut:])
			read(t, db, s+"*")
		}},
		{"a store that vanishes", func(_ *sqlite.DB, m, _ string) {
			db, err := sqlite.OpenTemporary()
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			families, _ := source.Expand([]string{filepath.Dir(m)})
			opt := options
			opt.Whole = true
			if _, err := ingest.Run(t.Context(), db, registry.DefaultRules(), families, opt); err != nil {
				t.Fatal(err)
			}
			same(t, mail(t, db), want)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			db := openStore(t)
			mailPath, syslogPath := folder()
			test.read(db, mailPath, syslogPath)
			if got := mail(t, db); got != "" {
				same(t, got, want)
			} else if test.name != "a store that vanishes" {
				t.Error("nothing was read")
			}
		})
	}
}

// Any files that overlap, in whatever runs they are read, give what the log gives
// that holds all their lines. Identical lines are in the same file: nobody could tell
// whether two files hold one of them each, or both the same one.
func TestOverlappingFiles(t *testing.T) {
	takesLong(t)
	lines := realLines(t)
	want := mailOf(t, lines)
	for seed := range few(2, 20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 5))
			dir, db := t.TempDir(), openStore(t)
			var unread []string
			for n, end := 0, 0; end < len(lines); n++ {
				begin := between(lines, max(0, end-r.IntN(len(lines)/3)))
				end = between(lines, min(len(lines), end+1+r.IntN(len(lines)/3)))
				content := []byte(strings.Join(lines[begin:end], ""))
				if r.IntN(2) == 0 {
					content = amongOthers(lines[begin:end], r)
				}
				path := filepath.Join(dir, fmt.Sprintf("%c.log", 'a'+n))
				writeFile(t, path, content)
				if unread = append(unread, path); r.IntN(2) == 0 || end == len(lines) {
					read(t, db, unread...)
					unread = nil
				}
			}
			same(t, mail(t, db), want)
		})
	}
}

// between returns the first place from n on that is not between identical lines.
func between(lines []string, n int) int {
	for 0 < n && n < len(lines) && lines[n-1] == lines[n] {
		n++
	}
	return n
}

// The same line of two hosts is two events, and so is the same text at another time.
func TestNotTheSameLine(t *testing.T) {
	dir := t.TempDir()
	line := refusal("Nov 22 06:28:04", 1)
	other := strings.Replace(line, " mx1 ", " mx2 ", 1)
	later := strings.Replace(line, "06:28:04", "06:28:05", 1)
	process := strings.Replace(line, "[77]", "[78]", 1)
	for i, content := range []string{line, line + line, other, later, process, line} {
		writeFile(t, filepath.Join(dir, fmt.Sprintf("%c.log", 'a'+i)), []byte(content+strings.Repeat("x", i)+"\n"))
	}
	db := openStore(t)
	read(t, db, dir)
	if n := sqlitetest.Sum(t, db).Rejected; n != 5 {
		t.Errorf("%d rejections, want 5", n)
	}
}

// What is kept of lines is removed when no other log of them is expected.
func TestLineHashesAreForgotten(t *testing.T) {
	dir := t.TempDir()
	at := func(d time.Time) string { return refusal(d.Format("Jan _2 15:04:05"), 1) }
	now := time.Now().UTC()
	path := filepath.Join(dir, "mail.log")
	writeFile(t, path, []byte(at(now.AddDate(0, 0, -40))+at(now.AddDate(0, 0, -2))))
	db := openStore(t)
	families, _ := source.Expand([]string{path})
	opt := options
	opt.Year = 0
	if _, err := ingest.Run(context.Background(), db, registry.DefaultRules(), families, opt); err != nil {
		t.Fatal(err)
	}
	if n := sqlitetest.Int(t, db, "SELECT count(*) FROM line_hashes"); n != 1 {
		t.Errorf("%d minutes are kept, want 1", n)
	}
}

// TestTwoLogsInTwoLayouts reads one log with the times of the classic layout, and with
// those of RFC 3339 and fractions of seconds.
func TestTwoLogsInTwoLayouts(t *testing.T) {
	takesLong(t)
	classic := realLines(t)
	precise := make([]string, len(classic))
	for i, line := range classic {
		precise[i] = "2026-11-22T" + line[len("Nov 22 "):len("Nov 22 06:28:04")] + fmt.Sprintf(".%06d+00:00", i%1e6) + line[len("Nov 22 06:28:04"):]
	}
	for name, logs := range map[string][2][]string{"classic first": {classic, precise}, "RFC 3339 first": {precise, classic}} {
		t.Run(name, func(t *testing.T) {
			db, dir := openStore(t), t.TempDir()
			for i, lines := range logs {
				path := filepath.Join(dir, fmt.Sprintf("%d.log", i))
				writeFile(t, path, []byte(strings.Join(lines, "")))
				read(t, db, path)
			}
			same(t, mail(t, db), mailOf(t, logs[0]))
		})
	}
}
