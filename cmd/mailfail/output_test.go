package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestWriteFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes of files are those of Unix")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "re[p]*rt.txt")
	write := func(text string) {
		t.Helper()
		err := writeFile(path, func(w io.Writer) error {
			_, err := fmt.Fprint(w, text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Fatalf("%q, %v", got, err)
		}
	}
	// What a run left that was killed yesterday goes, and nothing else.
	left, fresh := filepath.Join(dir, ".re[p]*rt.txt.mailfail-1-0"), filepath.Join(dir, ".re[p]*rt.txt.mailfail-2-0")
	other := filepath.Join(dir, ".rep-rt.txt.mailfail-1-0")
	old := time.Now().Add(-25 * time.Hour)
	for _, name := range []string{left, fresh, other} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if name != fresh {
			if err := os.Chtimes(name, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("one")
	for name, want := range map[string]bool{left: false, fresh: true, other: true} {
		if _, err := os.Lstat(name); (err == nil) != want {
			t.Errorf("%s: %v, want it to be there: %v", name, err, want)
		}
	}
	umask := func(path string) os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	plain := filepath.Join(dir, "plain")
	if file, err := os.OpenFile(plain, os.O_CREATE, 0o640); err != nil {
		t.Fatal(err)
	} else {
		file.Close()
	}
	if got, want := umask(path), umask(plain); got != want {
		t.Errorf("mode %v of a new file, want %v", got, want)
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	write("two")
	if got := umask(path); got != 0o604 {
		t.Errorf("mode %v of a file that was replaced, want its own, 0604", got)
	}
}
