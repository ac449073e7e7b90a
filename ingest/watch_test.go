package ingest_test

import (
	"bytes"
	"context"
	"maps"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// All who follow a log see all that happens, whoever of them, or of others that read
// it too, stores it.
func TestTwoFollow(t *testing.T) {
	takesLong(t)
	log, c := generated(t, 300)
	dir := t.TempDir()
	path, database := filepath.Join(dir, "mail.log"), filepath.Join(dir, "x.db")
	db, err := sqlite.Open(database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	writeFile(t, path, nil)
	want := map[string]int64{"delivered": c.Delivered, "deferred": c.Deferrals, "failed": c.Failures, "rejected": c.Rejected}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var following sync.WaitGroup
	var seen [2]map[string]int64
	var complete [2]chan struct{}
	for i := range seen {
		own, err := sqlite.Open(database)
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		seen[i], complete[i] = map[string]int64{}, make(chan struct{})
		started := make(chan struct{})
		var once sync.Once
		opt := ingest.FollowOptions{
			Options: options,
			Source:  source.FollowOptions{Tick: 20 * time.Millisecond, Spacing: time.Millisecond},
			Observe: func(e *store.Event) {
				if seen[i][e.Outcome]++; maps.Equal(seen[i], want) {
					close(complete[i])
				}
			},
			Committed: func(store.Lines) { once.Do(func() { close(started) }) },
		}
		following.Go(func() {
			if err := ingest.Follow(ctx, own, registry.DefaultRules(), []string{path}, opt); err != nil {
				t.Error(err)
			}
		})
		<-started
	}
	for n, line := range bytes.SplitAfter(log, []byte("\n")) {
		appendTo(t, path, line)
		switch {
		case n%100 == 99:
			read(t, db, path)
		case n == 1010:
			rotate(t, path)
		}
	}
	for i := range complete {
		select {
		case <-complete[i]:
		case <-time.After(time.Minute):
			t.Errorf("the follower %d has seen too little", i)
		}
	}
	cancel()
	following.Wait()
	for i := range seen {
		if !maps.Equal(seen[i], want) {
			t.Errorf("follower %d has seen %v, want %v", i, seen[i], want)
		}
	}
	same(t, sqlitetest.Dump(t, db), atOnce(t, log))
}
