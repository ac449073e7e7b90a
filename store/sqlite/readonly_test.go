package sqlite

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mailfail/store"
)

// Whoever may only read a database can read it while nobody writes, and is told
// what is in the way while somebody does.
func TestReadOnlyFolder(t *testing.T) {
	if path := os.Getenv("MAILFAIL_TEST_READONLY"); path != "" {
		db, err := OpenReadOnly(path)
		if err == nil {
			_, err = db.Numbers(t.Context(), store.Window{}, store.Filter{}, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody who may only read")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("no setpriv")
	}
	dir, err := os.MkdirTemp("", "readonly")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "test")
	content, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, content, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.db")
	read := func() (string, error) {
		cmd := exec.Command(setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", program, "-test.run=^TestReadOnlyFolder$")
		cmd.Env, cmd.Dir = append(os.Environ(), "MAILFAIL_TEST_READONLY="+path), dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := db.writer()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, w)
	w.CountLines(1, store.Lines{Read: 1})
	commit(t, w)
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		mode := os.FileMode(0o644)
		if f != path {
			mode = 0o600
		}
		if err := os.Chmod(f, mode); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := read(); err == nil || !strings.Contains(out, "run as that user") {
		t.Errorf("beside a writer: %v, %s; want advice", err, out)
	}
	w.Close()
	db.Close()
	if out, err := read(); err != nil {
		t.Errorf("at rest: %v, %s", err, out)
	}
	left, err := filepath.Glob(path + "-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if !strings.HasSuffix(f, "-turn") {
			t.Errorf("%s was made", f)
		}
	}
}
