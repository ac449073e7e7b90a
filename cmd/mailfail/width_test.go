package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// tabular are lines that may be long: rows of tables, samples of logs in comments,
// patterns, constants of one string, and SQL.
var tabular = regexp.MustCompile("^\\s*(//\t|//go:|\\{|\"[^\" ]*\"$|\"[^\"]*\"\\}|\\S+:\\s+\\{|(const )?\\w+ += \"[^\"]*\"$|static )|`" +
	`|"[^"]*\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|CREATE|JOIN|VALUES|ORDER BY|WITH|AND|AS|PRAGMA)\b`)

// Lines are shorter than 110 columns, but for tables of data, SQL and tests; a tab
// counts four.
func TestWidth(t *testing.T) {
	wide := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		raw := false // within a string of several lines
		for i, line := range strings.Split(string(text), "\n") {
			if n := utf8.RuneCountInString(line) + 3*strings.Count(line, "\t"); n >= 110 {
				if wide++; !raw && !tabular.MatchString(line) {
					t.Errorf("%s:%d: %d columns", path, i+1, n)
				}
			}
			raw = raw != (strings.Count(line, "`")%2 == 1)
		}
		return err
	})
	if err != nil || wide == 0 {
		t.Errorf("%d wide lines were seen, %v", wide, err)
	}
}
