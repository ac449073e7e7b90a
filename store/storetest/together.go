package storetest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailfail/store"
)

// together checks that questions to a snapshot have the same answers when they are asked at
// the same time.
func together(t *testing.T, e Engine, rows *rows) {
	rows.write(t, e, 4)
	ctx := t.Context()
	asked := func(r store.Reader, w store.Window, f store.Filter) []func() (any, error) {
		return []func() (any, error){
			func() (any, error) { return r.Numbers(ctx, w, f, nil) },
			func() (any, error) { return affected(ctx, r, w, f) },
			func() (any, error) { return r.Timeline(ctx, w, f, nil, time.Hour) },
			func() (any, error) { return r.Sums(ctx, w, f) },
		}
	}
	answer := func(ask func() (any, error)) string {
		v, err := ask()
		if err != nil {
			return err.Error()
		}
		text, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	for _, w := range windows {
		for _, f := range filters {
			var want, got [4]string
			for i, ask := range asked(e, w, f) { // each in a snapshot of its own
				want[i] = answer(ask)
			}
			err := e.Snapshot(ctx, func(r store.Reader) error {
				var each sync.WaitGroup
				for i, ask := range asked(r, w, f) {
					each.Go(func() { got[i] = answer(ask) })
				}
				each.Wait()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%v, %+v: answer %d together is %.300s, alone %.300s", w, f, i, got[i], want[i])
				}
			}
		}
	}
}

// affected returns the answer to Affected as JSON, one recipient a line. Recipients come in
// no order, and their numbers hold within one answer.
func affected(ctx context.Context, r store.Reader, w store.Window, f store.Filter) (string, error) {
	var lines []string
	err := r.Affected(ctx, w, f, func(a *store.Affected) error {
		one, to := *a, *a.Destination
		to.Names, one.Place, one.Cause, one.Destination = [4]int32{}, 0, 0, &to
		text, err := json.Marshal(one)
		lines = append(lines, string(text))
		return err
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n"), err
}
