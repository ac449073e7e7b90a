package all

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryFormatIsImported fails when a folder beside this one registers a
// format and the import list does not name it.
func TestEveryFormatIsImported(t *testing.T) {
	list, err := os.ReadFile("all.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") || !strings.Contains(string(src), "parsers.Register(") {
			continue
		}
		folder := filepath.Base(filepath.Dir(file))
		if !strings.Contains(string(list), `"mailfail/parsers/`+folder+`"`) {
			t.Errorf("all.go does not import mailfail/parsers/%s", folder)
		}
	}
}
