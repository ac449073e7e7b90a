package sqlite

import (
	"flag"
	"path/filepath"
	"testing"

	"mailfail/store/storetest"
)

var update = flag.Bool("update", false, "write golden files")

func TestEngine(t *testing.T) { runEngine(t, *update) }

// The answers are the same when hardly anything is read row by row.
func TestEngineWithSegments(t *testing.T) {
	if testing.Short() {
		t.Skip("TestEngine asks the same, of rows")
	}
	defer func(a, b int64, c int) { segmentMin, segmentMax, manyChanged = a, b, c }(segmentMin, segmentMax, manyChanged)
	segmentMin, segmentMax, manyChanged = 2, 3, 1
	runEngine(t, false)
}

func runEngine(t *testing.T, update bool) {
	storetest.Run(t, filepath.Join("..", "storetest", "testdata", "answers.json"), update, func(tb testing.TB) storetest.Engine {
		db, err := Open(filepath.Join(tb.TempDir(), "engine.db"))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { db.Close() })
		return db
	})
}
