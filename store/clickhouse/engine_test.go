package clickhouse

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/store/storetest"
)

// server is what the tests talk to; .ci/clickhouse starts one.
var server = flag.String("server", os.Getenv("MAILFAIL_TEST_CLICKHOUSE"), "URL of a ClickHouse server for the tests, without a database")

// databases counts those of this run.
var databases atomic.Int64

// newClient returns a client with a database of its own.
func newClient(tb testing.TB) *Client {
	tb.Helper()
	if *server == "" {
		tb.Skip("no ClickHouse: set MAILFAIL_TEST_CLICKHOUSE, as .ci/clickhouse does")
	}
	c, err := NewClient(fmt.Sprintf("%s/test_%d_%d", *server, os.Getpid(), databases.Add(1)), os.Getenv)
	if err != nil {
		tb.Fatal(err)
	}
	if err := Init(tb.Context(), c, ""); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		anywhere := *c
		anywhere.database = "default"
		if err := anywhere.Exec(context.Background(), "DROP DATABASE "+quoteName(c.database)); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// engine is a spool whose rows are sent with every commit, and read from the server.
type engine struct {
	*DB
	spool, sender *sqlite.DB
	send          func(context.Context) error
}

func newEngine(tb testing.TB, times int, opt PushOptions) *engine {
	c := newClient(tb)
	path := filepath.Join(tb.TempDir(), "spool.db")
	e := &engine{}
	var err error
	for _, db := range []**sqlite.DB{&e.spool, &e.sender} {
		if *db, err = sqlite.Open(path); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { (*db).Close() })
	}
	if e.DB, err = Open(tb.Context(), c); err != nil {
		tb.Fatal(err)
	}
	e.send = func(ctx context.Context) error {
		for range times {
			if _, err := Send(ctx, c, e.sender, opt); err != nil {
				return err
			}
		}
		return nil
	}
	return e
}

func (e *engine) Writer() (store.Writer, error) {
	w, err := e.spool.Writer()
	return &sendingWriter{w, e.send}, err
}

type sendingWriter struct {
	store.Writer
	send func(context.Context) error
}

func (w *sendingWriter) Commit() error {
	if err := w.Writer.Commit(); err != nil {
		return err
	}
	return w.send(context.Background())
}

func TestEngine(t *testing.T) { runEngine(t, 1, PushOptions{}) }

// Rows that are sent twice, and a few at a time, count once.
func TestEngineInPieces(t *testing.T) { runEngine(t, 2, PushOptions{BodyRows: 7}) }

func runEngine(t *testing.T, times int, opt PushOptions) {
	storetest.Run(t, filepath.Join("..", "storetest", "testdata", "answers.json"), false, func(tb testing.TB) storetest.Engine {
		return newEngine(tb, times, opt)
	})
}
