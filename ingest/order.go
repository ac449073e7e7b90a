package ingest

import (
	"os"
	"slices"
	"strings"
	"time"

	"mailfail/ingest/source"
	"mailfail/parsers/detect"
)

// inTime sorts families by the time of their first line or, if that line has no time, by
// the modification time of the file. So counts do not depend on the order of the
// arguments, and the pieces of one log may have any names. If one of the families is a
// stream (standard input), the order stays.
func (l *loop) inTime(families []source.Family) []source.Family {
	if len(families) == 1 || slices.ContainsFunc(families, func(f source.Family) bool {
		return f.Stream()
	}) {
		return families
	}
	type begun struct {
		family source.Family
		at     time.Time
	}
	list := make([]begun, len(families))
	for i, f := range families {
		list[i] = begun{f, l.begins(f)}
	}
	slices.SortStableFunc(list, func(a, b begun) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return strings.Compare(a.family.Name, b.family.Name)
	})
	sorted := make([]source.Family, len(list))
	for i := range list {
		sorted[i] = list[i].family
	}
	return sorted
}

// begins returns when the log of a family begins.
func (l *loop) begins(f source.Family) time.Time {
	if len(f.Files) == 0 {
		return time.Time{}
	}
	path := f.Files[0].Path
	var modified time.Time
	if info, err := os.Stat(path); err == nil {
		modified = info.ModTime()
	}
	if t := detect.TimeOf(source.FirstLine(path), l.opt.Location, l.opt.Year, modified); !t.IsZero() {
		return t
	}
	return modified
}
