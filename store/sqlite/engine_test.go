package sqlite

import (
	"flag"
	"path/filepath"
	"testing"

	"mailfail/store/storetest"
)

var update = flag.Bool("update", false, "write golden files")

func TestEngine(t *testing.T) {
	storetest.Run(t, filepath.Join("..", "storetest", "testdata", "answers.json"), *update, func(tb testing.TB) storetest.Engine {
		db, err := Open(filepath.Join(tb.TempDir(), "engine.db"))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { db.Close() })
		return db
	})
}
