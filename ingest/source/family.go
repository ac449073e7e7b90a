package source

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Family is a log with its rotated generations, or a series of files whose names contain
// a time (MSGTRK2026112000-1.LOG), or one stream.
type Family struct {
	// Name identifies all generations: the path of the file that is being written or, if
	// there is no such file, the path with a # for every run of digits.
	Name  string
	Files []File // oldest first

	// whole means that every generation is wanted: for directories, globs and the usual
	// places. Otherwise only the named files are, and the generations between these and
	// the last one that was read before.
	whole bool

	stream bool
}

// Stream reports whether the family is a stream: standard input, a pipe, a device. A
// stream cannot be read twice, and may keep its reader waiting.
func (f *Family) Stream() bool { return f.stream }

// File is one generation.
type File struct {
	Path  string
	Given bool // named by the user, not found in a directory or by a glob

	key  generation
	info os.FileInfo // when it was listed; nil if it was not there
}

// look sets info to the current state of the file.
func (f *File) look() {
	f.info = nil
	if info, err := os.Stat(f.Path); err == nil {
		f.info = info
	}
}

// lookedAt returns a copy of files with their current state.
func lookedAt(files []File) []File {
	files = slices.Clone(files)
	for i := range files {
		files[i].look()
	}
	return files
}

// generation is the position of a file in its family.
type generation struct {
	kind   uint8  // dated generations are older than numbered ones, and these are older than the live file
	number int    // of numbered files: a larger number is older
	date   string // digits, of dated files and series
	packed bool   // has the suffix of a compression
}

const (
	dated uint8 = iota
	numbered
	live
)

// compare orders generations, oldest first. If a generation exists in two forms, the
// plain one comes first: the compressed one may not be complete yet.
func (g generation) compare(h generation) int {
	packed := 0
	if g.packed != h.packed {
		packed = 1
		if h.packed {
			packed = -1
		}
	}
	return cmp.Or(
		cmp.Compare(g.kind, h.kind),
		cmp.Compare(h.number, g.number),
		strings.Compare(g.date, h.date),
		packed,
	)
}

var packedSuffixes = []string{".gz", ".bz2", ".xz", ".zst", ".Z", ".lzma"}

// parseName splits the name of a file into the name of its family and its position there.
// It recognizes the suffixes of logrotate (.1, -20261120, -20261120-1763600000, also
// before an extension), savelog and newsyslog (.0, .20261120), exicyclog (.01), and
// manual copies (.old), each also compressed, and names that contain a time, as Exchange
// and Exim write them (mainlog-20261120 may have a live file or not).
func parseName(name string) (family string, g generation) {
	for _, suffix := range packedSuffixes {
		if stem, ok := strings.CutSuffix(name, suffix); ok && stem != "" {
			name, g.packed = stem, true
			break
		}
	}
	g.kind = live
	if stem, ok := strings.CutSuffix(name, ".old"); ok && stem != "" {
		g.kind, g.number = numbered, 1
		return stem, g
	}
	stem, digits, separator := cutRotation(name)
	switch {
	case digits == "":
		return series(name, g)
	case len(digits) >= 6:
		g.kind, g.date = dated, digits
	case separator == '.':
		g.kind, g.number = numbered, atoi(digits)
	default:
		return series(name, g)
	}
	return stem, g
}

// cutRotation cuts a suffix of digits and separators off name, and returns
// the digits in it.
func cutRotation(name string) (stem, digits string, separator byte) {
	i := len(name)
	for i > 0 && (isDigit(name[i-1]) || strings.IndexByte("-._", name[i-1]) >= 0) {
		i--
	}
	// The suffix starts with a separator after which there are only digits and
	// separators: in "mail-2.log.1" that is ".1".
	for i < len(name) && isDigit(name[i]) {
		i++
	}
	if i == 0 || i >= len(name)-1 {
		return name, "", 0
	}
	return name[:i], onlyDigits(name[i:]), name[i]
}

// series handles names without a rotation suffix: a name with a run of at least six
// digits belongs to a series, in the order of its digits. The number after a "-" at the
// end, as in MSGTRK2026112000-12.LOG, is compared as a number.
func series(name string, g generation) (string, generation) {
	var family, order strings.Builder
	longest := 0
	for i := 0; i < len(name); {
		if !isDigit(name[i]) {
			family.WriteByte(name[i])
			i++
			continue
		}
		j := i
		for j < len(name) && isDigit(name[j]) {
			j++
		}
		family.WriteByte('#')
		order.WriteString(strings.Repeat("0", max(0, 8-(j-i)))) // so that 2 comes before 12
		order.WriteString(name[i:j])
		longest = max(longest, j-i)
		i = j
	}
	if longest < 6 {
		if g.packed { // a compressed file is not being written
			g.kind = numbered
		}
		return name, g
	}
	g.kind, g.date = dated, order.String()
	return family.String(), g
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// atoi reads up to five digits.
func atoi(digits string) (n int) {
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}

// generations lists the files on disk that belong to the named family, oldest first,
// including the live file if it exists. Pipes are left out.
func generations(family string) (files []File) {
	for _, file := range lastListing.of(filepath.Split(family)) {
		file.look()
		if file.info == nil || file.info.Mode().IsRegular() {
			files = append(files, file)
		}
	}
	sortFiles(files)
	return files
}

// listing caches the names in a directory. It is read again only if files may have come,
// gone or been renamed: with ten thousand logs in a directory, reading it for each of
// them took minutes.
type listing struct {
	sync.Mutex
	dir   string
	info  os.FileInfo       // of the directory; nil if its modification time cannot be relied on
	files map[string][]File // by the base name of their family
}

var lastListing listing

// settled is the age that the last change of a directory needs so that the next change
// has a different time: some file systems count in steps of two seconds.
const settled = 3 * time.Second

// of returns the files of a family in a directory, with the names they have there.
func (l *listing) of(dir, base string) []File {
	l.Lock()
	defer l.Unlock()
	if !l.holds(dir) {
		l.read(dir)
	}
	return slices.Clone(l.files[base])
}

// holds reports whether the cached names are those of the directory now.
func (l *listing) holds(dir string) bool {
	if l.dir != dir || l.info == nil {
		return false
	}
	info, err := os.Stat(dir)
	return err == nil && os.SameFile(info, l.info) && info.ModTime().Equal(l.info.ModTime())
}

// read reads the names in a directory. An error leaves the listing empty: opening a file
// reports the reason.
func (l *listing) read(dir string) {
	l.dir, l.info, l.files = dir, nil, map[string][]File{}
	// The time must be taken before the names are read.
	if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > settled {
		l.info = info
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() {
			f, g := parseName(e.Name())
			l.files[f] = append(l.files[f], File{Path: dir + e.Name(), key: g})
		}
	}
}

// packedForm returns the compressed form of a file that is gone. The position in the
// file, and the state that the next generation inherits, are valid for that form too.
// Numbered files move on: the number may now belong to another file.
func packedForm(family string, file File) (packed File, ok bool) {
	if file.key.packed || file.Given || file.key.kind != dated {
		return packed, false
	}
	for _, f := range generations(family) {
		if f.key.packed && sameGeneration(f, file) {
			return f, true
		}
	}
	return packed, false
}

func sortFiles(files []File) { slices.SortStableFunc(files, compareFiles) }

func compareFiles(a, b File) int {
	return cmp.Or(a.key.compare(b.key), strings.Compare(a.Path, b.Path))
}

// Since returns the family with only the files that were written at or after a
// time.
func (f Family) Since(t time.Time) Family {
	f.Files = slices.DeleteFunc(slices.Clone(f.Files), func(file File) bool {
		return file.info != nil && file.info.ModTime().Before(t)
	})
	return f
}
