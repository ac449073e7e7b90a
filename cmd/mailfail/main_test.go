package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"mailfail": main,
	})
}

// quickScripts are those of the commands that most changes touch. A process for each
// line of all of them takes long.
var quickScripts = []string{"check", "events", "explain", "follow", "ingest", "report", "serve", "version"}

// TestScripts runs the program as a user would. $TESTDATA is the folder
// testdata of the project.
func TestScripts(t *testing.T) {
	data, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	if testing.Short() {
		scripts = slices.DeleteFunc(scripts, func(path string) bool {
			return !slices.Contains(quickScripts, strings.TrimSuffix(filepath.Base(path), ".txtar"))
		})
	}
	testscript.Run(t, testscript.Params{
		Files: scripts,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TESTDATA", data)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TZ", "UTC")
			env.Setenv("MAILFAIL_CONFIG", os.DevNull) // whatever is installed here
			return nil
		},
		UpdateScripts: os.Getenv("UPDATE") != "",
	})
}
