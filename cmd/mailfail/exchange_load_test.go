package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// exchangeSets are the sets of testdata that a load is made of: logs that
// servers write at the same time.
var exchangeSets = []string{"tracking-2007", "tracking-2019-utf16", "send-2010", "recv-2010", "connectivity-2013"}

const (
	// abreast is how many copies of a set a day holds, row beside row: as many
	// sessions are open at any time.
	abreast = 3
	// filesPerDay is how many files a log fills in a day, as when they reach
	// their maximum size. Sessions go on in the next one.
	filesPerDay = 3
)

// exchangeLoad is Exchange logs that grow together: the sets of testdata again
// and again, each copy with ids of its own and on its day, and with line breaks
// in subjects.
type exchangeLoad struct {
	series []*exchangeSeries
	share  float64 // that was written
	lines  int64
	want   map[string]int // the totals of truth.json, times the copies
	r      *rand.Rand
}

// exchangeSeries is the files of one log, of which only the last one grows.
type exchangeSeries struct {
	files   []*exchangeFile
	size    int // of all files
	written int
}

type exchangeFile struct {
	path    string
	content []byte
	written int
	packed  bool
}

// newExchangeLoad makes up logs of several days, to be written below dir.
func newExchangeLoad(t *testing.T, dir string, days int) *exchangeLoad {
	t.Helper()
	load := &exchangeLoad{want: map[string]int{}, r: rand.New(rand.NewPCG(11, 12))}
	for _, set := range exchangeSets {
		root := filepath.Join("../../testdata/exchange", set)
		for name, n := range readExchangeTruth(t, filepath.Join(root, "truth.json")).Totals {
			load.want[name] += n * days * abreast
		}
		logs := exchangeLogs(t, root)
		if len(logs) == 0 {
			t.Fatalf("there are no logs in %s", root)
		}
		for _, log := range logs {
			name, err := filepath.Rel(root, log)
			if err != nil {
				t.Fatal(err)
			}
			load.add(unpack(t, log), filepath.Join(dir, set, strings.TrimSuffix(name, ".gz")), days)
		}
	}
	return load
}

func unpack(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// add makes a series out of the log of one day, whose lines are its rows.
func (load *exchangeLoad) add(log []byte, path string, days int) {
	log, wide := bytes.CutPrefix(log, []byte("\xff\xfe"))
	if wide {
		log = fromUTF16(log)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(log), "\n"), "\n")
	lines[len(lines)-1] += "\n"
	first := slices.IndexFunc(lines, func(line string) bool { return line[0] != '#' })
	header, rows := strings.Join(lines[:first], ""), lines[first:]
	if strings.Contains(header, "Tracking") {
		breakSubjects(header, rows)
	}
	s := &exchangeSeries{}
	prefix, _ := strings.CutSuffix(path, "-1.LOG")
	for day := range days {
		for n := range filesPerDay {
			var b strings.Builder
			part := rows[n*len(rows)/filesPerDay : (n+1)*len(rows)/filesPerDay]
			b.WriteString(copyOf(headerDate.ReplaceAllLiteralString(header, "#Date: "+part[0][:len("2026-11-20T00:00:00.000Z")]), day, 0))
			for _, row := range part {
				for i := range abreast {
					b.WriteString(copyOf(row, day, abreast*day+i))
				}
			}
			content := []byte(b.String())
			load.lines += int64(bytes.Count(content, []byte("\n")))
			if wide {
				content = toUTF16("\ufeff" + b.String())
			}
			date := firstDay.AddDate(0, 0, day).Format("20060102")
			s.files = append(s.files, &exchangeFile{path: fmt.Sprintf("%s-%d.LOG", strings.Replace(prefix, "20261120", date, 1), n+1), content: content})
			s.size += len(content)
		}
	}
	load.series = append(load.series, s)
}

// breakSubjects puts line breaks, quotes and what looks like other rows into the
// subject of every second row.
func breakSubjects(header string, rows []string) {
	_, names, _ := strings.Cut(header, "#Fields: ")
	subject := slices.Index(strings.Split(names, ","), "message-subject")
	for i := 0; i < len(rows); i += 2 {
		fields, err := csv.NewReader(strings.NewReader(rows[i])).Read()
		if err != nil {
			panic(err) // the rows are ours
		}
		fields[subject] += "\n\n2026-11-20T00:00:00.000Z,\"quoted\"\n#end"
		var b strings.Builder
		w := csv.NewWriter(&b)
		w.UseCRLF = true
		_ = w.Write(fields)
		w.Flush()
		rows[i] = b.String()
	}
}

var (
	firstDay   = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	headerDate = regexp.MustCompile(`#Date: \S+`)

	// perCopy are the dates, and the beginnings of session ids, GUIDs and
	// Message-IDs.
	perCopy = regexp.MustCompile(`2026-11-2\dT|\b08DE[0-9A-F]{4}|\b[0-9a-f]{4}([0-9a-f]{4}-[0-9a-f]{4}-)|<[0-9a-f]{16}`)
)

// copyOf is a piece of a log as it is written on another day, about another
// message in another session.
func copyOf(text string, day, n int) string {
	return perCopy.ReplaceAllStringFunc(text, func(s string) string {
		switch {
		case strings.HasPrefix(s, "2026-"):
			date, _ := time.Parse("2006-01-02T", s)
			return date.AddDate(0, 0, day).Format("2006-01-02T")
		case strings.HasPrefix(s, "08DE"):
			return fmt.Sprintf("08DE%04X", n)
		case s[0] == '<':
			return fmt.Sprintf("<%04x%s", n, s[5:])
		}
		return fmt.Sprintf("%04x%s", n, s[4:])
	})
}

func fromUTF16(b []byte) []byte {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}

func toUTF16(s string) (b []byte) {
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}

// grow lets every log grow up to that share of its size, or a little less, and
// end anywhere. An admin compresses some files that do not grow any more.
func (load *exchangeLoad) grow(t *testing.T, share float64) {
	t.Helper()
	load.share = share
	for _, s := range load.series {
		end := int(share * float64(s.size))
		if share < 1 {
			end -= load.r.IntN(1 + (end-s.written)/2)
		}
		load.compress(t, s)
		s.grow(t, end)
	}
}

// growOn is grow, unless more was written before.
func (load *exchangeLoad) growOn(t *testing.T, share float64) {
	t.Helper()
	if share > load.share {
		load.grow(t, share)
	}
}

func (s *exchangeSeries) grow(t *testing.T, end int) {
	t.Helper()
	start := 0
	for _, f := range s.files {
		if n := min(end-start, len(f.content)); n > f.written {
			if f.written == 0 {
				if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			extend(t, f.path, f.content[f.written:n])
			s.written += n - f.written
			f.written = n
		}
		start += len(f.content)
	}
}

// compress replaces one of the older files by a compressed one, at times.
func (load *exchangeLoad) compress(t *testing.T, s *exchangeSeries) {
	t.Helper()
	f := s.files[load.r.IntN(len(s.files))]
	if load.r.IntN(4) > 0 || f.packed || f.written < len(f.content) {
		return
	}
	f.packed = true
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(f.content)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	extend(t, f.path+".gz", packed.Bytes())
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
}

func (load *exchangeLoad) files() (n int) {
	for _, s := range load.series {
		n += len(s.files)
	}
	return n
}

// check compares a database with what is in the logs.
func (load *exchangeLoad) check(t *testing.T, path string) {
	t.Helper()
	db, err := sqlite.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	sum := sqlitetest.Sum(t, db)
	temporary := sqlitetest.Int(t, db, "SELECT sum(n) FROM rejections JOIN causes ON causes.id = rejections.cause WHERE reply < 500")
	got := map[string]int{}
	for name, n := range map[string]int64{
		"messages": sum.Messages, "recipients": sum.Recipients, "delivered": sum.Delivered, "bounced": sum.Bounced, "expired": sum.Expired,
		"removed": sum.Removed, "pending": sum.Pending, "attempts": sum.Attempts, "deferrals": sum.Deferrals, "failures": sum.Failures,
		"deferred": sum.Deferred, "rejected": sum.Rejected - temporary, "rejected_temporary": temporary,
	} {
		got[name] = int(n)
	}
	compareCounts(t, "totals", got, load.want)
	if lines := sqlitetest.Int(t, db, "SELECT sum(read) FROM lines"); lines != load.lines {
		t.Errorf("%d lines were read of %d", lines, load.lines)
	}
	if n := sqlitetest.Int(t, db, "SELECT sum(unparsed) FROM lines"); n > 0 {
		t.Errorf("%d lines were not understood", n)
	}
}
