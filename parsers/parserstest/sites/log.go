package sites

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"time"
)

// MTAs are the servers whose logs a site can write.
var MTAs = []string{"postfix"}

// WriteLog writes the log of a host, as a server would have by a time.
func (s *Site) WriteLog(w io.Writer, mta, host string, until time.Time) error {
	var l lines
	for i, m := range s.Messages {
		if m.Host == host && m.At.Before(until) {
			l.postfix(m, fmt.Sprintf("4%09X", i))
		}
	}
	return l.write(w, until, "2006-01-02T15:04:05.000000-07:00")
}

// line is a line of a log.
type line struct {
	at   time.Time
	text string
}

// lines puts lines in order.
type lines []line

func (l *lines) add(at time.Time, format string, args ...any) {
	*l = append(*l, line{at, fmt.Sprintf(format, args...)})
}

// write writes the lines before a time.
func (l lines) write(w io.Writer, until time.Time, layout string) error {
	slices.SortStableFunc(l, func(a, b line) int { return a.at.Compare(b.at) })
	b := bufio.NewWriterSize(w, 1<<16)
	for i := range l {
		if e := &l[i]; e.at.Before(until) {
			fmt.Fprintf(b, "%s %s\n", e.at.Format(layout), e.text)
		}
	}
	return b.Flush()
}
