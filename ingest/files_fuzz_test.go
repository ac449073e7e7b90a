package ingest_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/parsers/parserstest/loggen"
	"mailfail/registry"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// FuzzFiles divides a log anywhere into generations, compresses some, names them in
// any order, and may read a part of the last one before: what is counted is what the
// whole log gives.
func FuzzFiles(f *testing.F) {
	f.Add(uint64(1), []byte{80, 160}, uint8(0))
	f.Add(uint64(2), []byte{1, 2, 250}, uint8(5))
	f.Add(uint64(3), []byte{128}, uint8(255))
	f.Fuzz(func(t *testing.T, seed uint64, cuts []byte, order uint8) {
		var log bytes.Buffer
		if _, err := loggen.Generate(&log, loggen.Options{Seed: seed, Messages: 30}); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		paths := generationsOf(t, dir, log.Bytes(), cuts, order)
		whole := filepath.Join(dir, "whole.log")
		writeFile(t, whole, log.Bytes())

		db := openStore(t)
		if last := filepath.Join(dir, "mail.log"); order&1 != 0 { // it grows afterwards
			content, err := os.ReadFile(last)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, last, content[:len(content)/2])
			readQuietly(t, db, paths)
			writeFile(t, last, content)
		}
		readQuietly(t, db, paths)
		want := openStore(t)
		readQuietly(t, want, []string{whole})
		if got, want := sqlitetest.Dump(t, db), sqlitetest.Dump(t, want); got != want {
			t.Errorf("%v:\n%s", paths, difference(got, want))
		}
	})
}

// generationsOf writes a log as rotation leaves it, divided at lines, and returns the
// names turned and perhaps reversed.
func generationsOf(t *testing.T, dir string, log []byte, cuts []byte, order uint8) (paths []string) {
	t.Helper()
	lines := bytes.SplitAfter(log, []byte("\n"))
	var parts [][]byte
	for _, cut := range cuts[:min(len(cuts), 6)] {
		if n := 1 + int(cut)*len(lines)/256; n < len(lines) {
			parts = append(parts, bytes.Join(lines[:n], nil))
			lines = lines[n:]
		}
	}
	parts = append(parts, bytes.Join(lines, nil))
	now := time.Now()
	for i, part := range parts {
		age := len(parts) - 1 - i
		path := filepath.Join(dir, "mail.log")
		if age > 0 {
			path += fmt.Sprintf(".%d", age)
		}
		if age > 1 || age == 1 && order&2 != 0 {
			path, part = path+".gz", zip(t, part)
		}
		writeFile(t, path, part)
		stamp := now.Add(-time.Duration(age) * time.Hour)
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	turn := int(order>>3) % len(paths)
	paths = append(paths[turn:len(paths):len(paths)], paths[:turn]...)
	if order&4 != 0 {
		for i, j := 0, len(paths)-1; i < j; i, j = i+1, j-1 {
			paths[i], paths[j] = paths[j], paths[i]
		}
	}
	return paths
}

// readQuietly reads logs in one run.
func readQuietly(t *testing.T, db *sqlite.DB, paths []string) {
	t.Helper()
	families, errs := source.Expand(paths)
	res, err := ingest.Run(t.Context(), db, registry.DefaultRules(), families, options)
	if err != nil || errs != nil || res.Errs != nil {
		t.Fatal(err, errs, res.Errs)
	}
}
