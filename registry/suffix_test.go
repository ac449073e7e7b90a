package registry

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateSuffixes = flag.Bool("update-suffixes", false, "write suffixes.txt anew from golang.org/x/net")

// TestSuffixes compares suffixes.txt with the list in the module golang.org/x/net
// that go.mod names: a newer module brings a newer list.
func TestSuffixes(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/net").Output()
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "publicsuffix", "table_test.go"))
	if err != nil {
		t.Skipf("the list of golang.org/x/net is not here (%v)", err)
	}
	_, rules, _ := strings.Cut(string(table), "var rules = [...]string{")
	rules, _, _ = strings.Cut(rules, "\n}")
	var lines []string
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(rules, -1) {
		lines = append(lines, m[1])
	}
	if len(lines) < 9000 {
		t.Fatalf("%d rules: the table has another form", len(lines))
	}
	slices.Sort(lines)
	want := strings.Join(slices.Compact(lines), "\n") + "\n"
	if *updateSuffixes {
		if err := os.WriteFile("suffixes.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if suffixes != want {
		t.Error("golang.org/x/net has another list: run go test ./registry -run Suffixes -update-suffixes")
	}
}

func TestRegistrable(t *testing.T) {
	for host, want := range map[string]string{
		"example.com":                  "example.com",
		"mx.a.example.com":             "example.com",
		"com":                          "",
		"mx.example.co.uk":             "example.co.uk",
		"co.uk":                        "",
		"mx.example.nonesuch":          "example.nonesuch", // no rule: the last label is the suffix
		"localhost":                    "",
		"a.b.ck":                       "a.b.ck", // *.ck
		"mx.a.b.ck":                    "a.b.ck",
		"b.ck":                         "",
		"www.ck":                       "www.ck", // !www.ck
		"mx.www.ck":                    "www.ck",
		"mx.u.github.io":               "u.github.io", // of a private domain
		"mx.city.kawasaki.jp":          "city.kawasaki.jp",
		"mx.other.kawasaki.jp":         "mx.other.kawasaki.jp",
		"mx.xn--85x722f.com.cn":        "xn--85x722f.com.cn",
		"mx.xn--85x722f.xn--55qx5d.cn": "xn--85x722f.xn--55qx5d.cn",
		"":                             "",
		".":                            "",
		".com":                         "",
		"a..com":                       "",
		"a.com.":                       "",
	} {
		if got := registrable(host); got != want {
			t.Errorf("registrable(%q) = %q, want %q", host, got, want)
		}
	}
}

func TestLineSet(t *testing.T) {
	lines := newLineSet("*.a\n*.ab\n*.b\n*.d\n", len("*."))
	for _, line := range []string{"a", "ab", "b", "d"} {
		if !lines.has(line) {
			t.Errorf("%q is not found", line)
		}
	}
	for _, line := range []string{"", "aa", "c", "e", "A", "a\nab", "d\n"} {
		if lines.has(line) {
			t.Errorf("%q is found", line)
		}
	}
}
