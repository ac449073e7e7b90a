package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/registry"
	"mailfail/store"
)

// What is shown of a backlog of messages that do not end takes no more memory than
// what is stored of it.
func TestFollowBacklogMemory(t *testing.T) {
	takesLong(t)
	const messages = 120_000
	var log bytes.Buffer
	for n := range messages {
		fmt.Fprintf(&log, "2026-11-20T10:00:00.000000+00:00 mx postfix/smtp[7]: %010X: to=<u%d@d.example>, relay=mx.example[192.0.2.1]:25, delay=1, "+
			"delays=0/0/0/1, dsn=4.2.0, status=deferred (host mx.example[192.0.2.1] said: 450 4.2.0 later)\n", 0xA000000000+n, n)
	}
	path := filepath.Join(t.TempDir(), "mail.log")
	writeFile(t, path, log.Bytes())
	log = bytes.Buffer{}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	seen, half, all := 0, uint64(0), uint64(0)
	opt := ingest.FollowOptions{Options: options, Source: source.FollowOptions{Spacing: -1}, Observe: func(*store.Event) {
		switch seen++; seen {
		case messages / 2:
			half = heap()
		case messages:
			all = heap()
		}
	}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	opt.Committed = func(store.Lines) {
		if seen == messages {
			stop()
		}
	}
	if err := ingest.Follow(ctx, openStore(t), registry.DefaultRules(), []string{path}, opt); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages seen: %d kB of heap with half of them, %d kB with all", seen, half>>10, all>>10)
	if all > half+half/4 {
		t.Errorf("the heap grew from %d to %d kB", half>>10, all>>10)
	}
}
