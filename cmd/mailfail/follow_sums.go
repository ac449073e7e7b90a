package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"mailfail/report"
	"mailfail/store"
	"mailfail/templates"
)

// sums counts what was seen while the screen was shown. Only the reading goroutine
// writes it.
type sums struct {
	began    time.Time
	lines    int64
	outcomes map[string]int64
}

// print writes the sums on one line, after the screen has closed.
func (s *sums) print(w io.Writer, now time.Time) {
	fmt.Fprintf(w,
		"mailfail followed for %v: %s %s; %s delivered, %s deferred, %s failed attempts, %s rejected.\n",
		now.Sub(s.began).Round(time.Second),
		templates.Count(s.lines), templates.Plural(s.lines, "line"),
		templates.Count(s.outcomes["delivered"]),
		templates.Count(s.outcomes["deferred"]),
		templates.Count(s.outcomes["failed"]), templates.Count(s.outcomes["rejected"]))
}

// story returns the function that reads the story of a failure's message.
func (f *follow) story(query store.Reader) func(context.Context, *store.Event) ([]string, error) {
	return func(ctx context.Context, e *store.Event) ([]string, error) {
		t, err := report.NewTrace(ctx, query, e.Message.Raw(), f.loc)
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		if err := t.WriteText(&b); err != nil {
			return nil, err
		}
		return strings.Split(strings.TrimRight(b.String(), "\n"), "\n"), nil
	}
}

// warnings keeps warnings that cannot be printed while the screen is shown.
type warnings struct {
	mu    sync.Mutex
	list  []error
	count int
}

const maxWarnings = 100

func (w *warnings) add(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	if len(w.list) < maxWarnings {
		w.list = append(w.list, err)
	}
}

func (w *warnings) print(cmd *cobra.Command) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.list {
		warn(cmd, errors.New(templates.Printable(err.Error())))
	}
	if more := w.count - len(w.list); more > 0 {
		warn(cmd, fmt.Errorf("%d more warnings", more))
	}
}
