package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxDepth is how many levels below a directory are searched for files. Exchange keeps
// its logs two levels below TransportRoles/Logs.
const maxDepth = 4

// maxFiles bounds the number of files listed for one directory.
const maxFiles = 1_000_000

// usual are the paths to which Debian, Red Hat, SUSE, Postfix's own maillog_file and Exim
// write.
var usual = []string{
	"/var/log/mail.log",
	"/var/log/maillog",
	"/var/log/postfix.log",
	"/var/log/exim4/mainlog",
	"/var/log/exim/mainlog",
}

// Stdin is the argument that stands for standard input, and the name of its
// Family.
const Stdin = "-"

// stdinPath is the path of standard input in messages.
const stdinPath = "standard input"

// Usual returns the logs in the usual places that exist, with all their
// generations.
func Usual() []Family {
	families, _ := listed(func(e *expander) []error {
		for _, path := range usual {
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				e.addGenerations(path)
			}
		}
		return nil
	})
	return families
}

// Expand returns the files that the arguments name, grouped into families: in the order
// of the arguments, but the generations of each from the oldest to the newest. An
// argument is a file, a pipe, a directory (with its subdirectories; pipes, hidden files
// and files that are not text are left out), a pattern as in path.Match, or "-". A file
// that is named twice, or by a link, is read once. A missing file is an error, unless it
// was rotated away. Each error concerns a single argument; the families of the others are
// valid.
func Expand(args []string) ([]Family, []error) {
	return listed(func(e *expander) (errs []error) {
		for _, arg := range args {
			if err := e.argument(arg); err != nil {
				errs = append(errs, err)
			}
		}
		return errs
	})
}

// listed returns the families of the files that list adds. It calls list twice: one
// listing may contain a new file and miss the one before it, because that was created,
// renamed or compressed meanwhile, and lines would be read in the wrong order. Everything
// older than a file of the first listing existed when the second listing began.
func listed(list func(*expander) []error) ([]Family, []error) {
	var e, again = newExpander(), newExpander()
	errs := list(e)
	_ = list(again) // returns the same errors
	for _, f := range again.families {
		e.addOlder(f)
	}
	return e.sorted(), errs
}

// addOlder adds the files of a family that are older than the newest known one.
func (e *expander) addOlder(other Family) {
	i, ok := e.index[other.Name]
	if !ok || !other.whole {
		return
	}
	newest := slices.MaxFunc(e.families[i].Files, compareFiles)
	for _, f := range other.Files {
		if compareFiles(f, newest) < 0 {
			e.addFile(f.Path, f.Given)
		}
	}
}

// expander collects files.
type expander struct {
	families []Family
	index    map[string]int       // of a family, by name
	seen     map[[2]uint64]string // paths by device and inode
	paths    map[string]bool
}

func newExpander() *expander {
	return &expander{index: map[string]int{}, seen: map[[2]uint64]string{}, paths: map[string]bool{}}
}

func (e *expander) argument(arg string) error {
	if arg == Stdin {
		e.addStream(Stdin, File{Path: stdinPath, Given: true})
		return nil
	}
	info, err := os.Stat(arg)
	switch {
	case err == nil && info.IsDir():
		return e.directory(arg)
	case err == nil && isDevice(info):
		return fmt.Errorf("read %s: it is a device, not a log", arg)
	case err == nil:
		e.addFile(arg, true)
		return nil
	case strings.ContainsAny(arg, "*?["):
		return e.glob(arg)
	case errors.Is(err, fs.ErrNotExist) && betweenRotations(arg):
		e.addFile(arg, true)
		return nil
	}
	return explain("open", arg, err)
}

// isDevice reports whether a file is a device, which may never end or have no lines. The
// null device does not count: it is the same as an empty file.
func isDevice(info fs.FileInfo) bool {
	if info.Mode()&fs.ModeDevice == 0 {
		return false
	}
	empty, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, empty)
}

// betweenRotations reports whether rotated generations exist of a log that is missing
// itself: it was renamed, and its writer has not created it again.
func betweenRotations(path string) bool {
	_, key := parseName(filepath.Base(path))
	there := func(f File) bool { return f.info != nil }
	return key == generation{kind: live} && slices.ContainsFunc(generations(absolute(path)), there)
}

func (e *expander) glob(pattern string) error {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("the pattern %q cannot be read: %w", pattern, err)
	}
	found := false
	for _, path := range matches {
		if info, err := os.Stat(path); err == nil && (info.IsDir() || isDevice(info)) {
			continue
		}
		e.addFile(path, false)
		found = true
	}
	if !found {
		return fmt.Errorf("no file matches %q", pattern)
	}
	return nil
}

// directory adds the files below dir. It collects the errors of what cannot be listed and
// continues.
func (e *expander) directory(dir string) error {
	var errs []error
	n := 0
	depth := strings.Count(filepath.Clean(dir), string(filepath.Separator))
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			errs = append(errs, explain("list", path, err))
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case path != dir && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			if strings.Count(filepath.Clean(path), string(filepath.Separator))-depth > maxDepth {
				return fs.SkipDir
			}
			return nil
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return nil // a dangling link, a socket
		}
		e.addFile(path, false)
		if n++; n == maxFiles {
			errs = append(errs, fmt.Errorf("%s holds more than %d files; name the logs", dir, maxFiles))
			return fs.SkipAll
		}
		return nil
	})
	return errors.Join(errs...)
}

// addGenerations adds the existing generations of a log.
func (e *expander) addGenerations(family string) {
	for _, f := range generations(family) {
		e.addFile(f.Path, false)
	}
}

// family returns the family with a name, and creates it if necessary.
func (e *expander) family(name string) *Family {
	i, ok := e.index[name]
	if !ok {
		i = len(e.families)
		e.index[name] = i
		e.families = append(e.families, Family{Name: name})
	}
	return &e.families[i]
}

// addStream adds a source that cannot be read twice, as a family of its own.
func (e *expander) addStream(name string, file File) {
	if e.paths[name] {
		return
	}
	e.paths[name] = true
	e.families = append(e.families, Family{Name: name, Files: []File{file}, stream: true})
}

// addFile adds a file to its family, unless it is there.
func (e *expander) addFile(path string, given bool) {
	info, err := os.Stat(path)
	if err == nil && e.known(path, info) || e.paths[absolute(path)] {
		if given {
			e.give(absolute(path))
		}
		return
	}
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		e.addStream(absolute(path), File{Path: path, Given: given, key: generation{kind: live}, info: info})
		return
	}
	e.paths[absolute(path)] = true
	dir, base := filepath.Split(absolute(path))
	name, key := parseName(base)
	f := e.family(dir + name)
	f.whole = f.whole || !given
	f.Files = append(f.Files, File{Path: path, Given: given, key: key, info: info})
}

// give marks a file that was found before as named by the user.
func (e *expander) give(path string) {
	for i := range e.families {
		for j := range e.families[i].Files {
			if f := &e.families[i].Files[j]; absolute(f.Path) == path {
				f.Given = true
			}
		}
	}
}

// known reports whether a file was seen before, and remembers it. If the earlier file is
// gone, a new one may have its inode number.
func (e *expander) known(path string, info fs.FileInfo) bool {
	device, number := inode(info)
	if number == 0 || !info.Mode().IsRegular() {
		return false
	}
	id := [2]uint64{device, number}
	if before, ok := e.seen[id]; ok {
		if now, err := os.Stat(before); err == nil && os.SameFile(now, info) {
			return true
		}
	}
	e.seen[id] = path
	return false
}

func (e *expander) sorted() []Family {
	for _, f := range e.families {
		sortFiles(f.Files)
	}
	return e.families
}

// merge adds the missing files to files, without duplicates, oldest first.
func merge(missing, files []File) []File {
	all := slices.Clone(files)
	for _, m := range missing {
		if !slices.ContainsFunc(files, func(f File) bool { return absolute(f.Path) == absolute(m.Path) }) {
			all = append(all, m)
		}
	}
	sortFiles(all)
	return all
}

// explain wraps err with the attempted action and a suggestion.
func explain(attempt, path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s %s: %w (run as root, or as a member of the group that owns it)",
			attempt, path, err)
	}
	return fmt.Errorf("%s %s: %w", attempt, path, err)
}

// UsualPlaces returns where Usual looks.
func UsualPlaces() []string { return slices.Clone(usual) }
