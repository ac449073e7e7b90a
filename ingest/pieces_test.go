package ingest_test

import (
	"compress/gzip"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailfail/store/sqlite/sqlitetest"
)

// logsIn returns the logs below a folder of testdata, decompressed, by path.
func logsIn(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	logs := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".json") || strings.HasSuffix(path, ".jsonl") || strings.HasSuffix(path, ".md") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				return err
			}
		}
		name, _ := filepath.Rel(dir, strings.TrimSuffix(path, ".gz"))
		logs[name], err = io.ReadAll(r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return logs
}

// Logs of every kind that are read while they grow, cut at any byte (in a quoted
// row, in an open session, in half a character), give what they give when they
// are read at once.
func TestPiecesOfEveryKind(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
	var sets []string
	for _, pattern := range []string{"exchange/*", "exim/*", "postfix/*"} {
		found, err := filepath.Glob("../testdata/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range found {
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				sets = append(sets, dir)
			}
		}
	}
	if len(sets) < 10 {
		t.Fatalf("only %d sets in testdata", len(sets))
	}
	for n, set := range sets {
		t.Run(strings.TrimPrefix(set, "../testdata/"), func(t *testing.T) {
			logs := logsIn(t, set)
			write := func(dir, name string, content []byte) {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				writeFile(t, path, content)
			}
			whole := t.TempDir()
			for name, log := range logs {
				write(whole, name, log)
			}
			db := openStore(t)
			read(t, db, whole)
			want := sqlitetest.Dump(t, db)

			// One log after the other, as they are read at once.
			names := slices.Sorted(maps.Keys(logs))
			r := rand.New(rand.NewPCG(uint64(n), 3))
			grown := t.TempDir()
			db = openStore(t)
			for _, name := range names {
				log := logs[name]
				for end := 0; end < len(log); {
					end = min(len(log), end+1+r.IntN(len(log)/4+2))
					write(grown, name, log[:end])
					read(t, db, grown)
				}
			}
			same(t, sqlitetest.Dump(t, db), want)
			if res := read(t, db, whole, grown); res.Lines.Read != 0 {
				t.Errorf("%d lines read again", res.Lines.Read)
			}

			// All at the same time.
			grown, ends := t.TempDir(), map[string]int{}
			db = openStore(t)
			for open := len(logs); open > 0; {
				open = 0
				for _, name := range names {
					log := logs[name]
					ends[name] = min(len(log), ends[name]+1+r.IntN(len(log)/4+2))
					write(grown, name, log[:ends[name]])
					if ends[name] < len(log) {
						open++
					}
				}
				read(t, db, grown)
			}
			same(t, sqlitetest.Dump(t, db), want)
		})
	}
}
