package sites

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"time"
)

// MTAs are the servers whose logs a site can write.
var MTAs = []string{"postfix", "exim", "exchange"}

// WriteLog writes the log of a host, with the lines before until, in the format of one
// of MTAs. It returns an error for another mta, or when writing fails.
func (s *Site) WriteLog(w io.Writer, mta, host string, until time.Time) error {
	var l lines
	layout, space := "2006-01-02T15:04:05.000000-07:00", " "
	for i, m := range s.Messages {
		if m.Host != host || !m.At.Before(until) {
			continue
		}
		switch mta {
		case "postfix":
			l.postfix(m, fmt.Sprintf("4%09X", i))
		case "exim":
			layout = "2006-01-02 15:04:05"
			l.exim(m, eximID(i))
		case "exchange":
			layout, space = exchangeTime, ""
			l.exchange(m, i)
		default:
			return fmt.Errorf("no logs of %q; want one of %v", mta, MTAs)
		}
	}
	if mta == "exchange" {
		if _, err := fmt.Fprintf(w, exchangeHead, s.Start.Format(exchangeTime)); err != nil {
			return err
		}
	}
	return l.write(w, until, layout, space)
}

// line is a line of a log.
type line struct {
	at   time.Time
	text string
}

// lines collects lines, which write sorts by time.
type lines []line

func (l *lines) add(at time.Time, format string, args ...any) {
	*l = append(*l, line{at, fmt.Sprintf(format, args...)})
}

// write writes the lines before a time, in order of time.
func (l lines) write(w io.Writer, until time.Time, layout, space string) error {
	slices.SortStableFunc(l, func(a, b line) int { return a.at.Compare(b.at) })
	b := bufio.NewWriterSize(w, 1<<16)
	for i := range l {
		if e := &l[i]; e.at.Before(until) {
			fmt.Fprintf(b, "%s%s%s\n", e.at.Format(layout), space, e.text)
		}
	}
	return b.Flush()
}
