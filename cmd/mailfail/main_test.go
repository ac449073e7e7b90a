package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"mailfail": main,
	})
}

// TestScripts runs the program as a user would. $TESTDATA is the folder
// testdata of the project.
func TestScripts(t *testing.T) {
	data, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
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
