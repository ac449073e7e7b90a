package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/net/html"

	"mailfail/report"
)

// hostileTexts is what anyone on the internet can put into a log: through a
// reply, an address, a HELO. %s is a mark that says where a text went.
var hostileTexts = []string{
	"a\x1b[31m%s\x1b[0m",                     // ANSI colours
	"a\x1b]0;%s\x07",                         // OSC: the title of the terminal
	"a\x1b]8;;http://evil.example/%s\x1b\\x", // OSC 8: a link
	"a\x1bP%s\x1b\\",                         // DCS
	"a\u009b31m%s",                           // C1 CSI
	"a\u009d0;%s\u009c",                      // C1 OSC
	"a\x9b31m%s",                             // the same in Latin-1: invalid UTF-8
	"a\u202e%s\u202c",                        // bidirectional override
	"a\u2066%s\u2069",                        // bidirectional isolate
	"a\u200b%s\u200d\ufeff",                  // zero width
	"a\u3164%s\u115f\u2800",                  // fillers: letters without a shape
	"a\ufe0f%s\u034f\U000e0100",              // variation selectors
	"a\x00%s",                                // NUL
	"a\xff\xfe%s\xc3",                        // invalid UTF-8
	"a\rb%s",                                 // carriage return
	"a\n\nb%s",                               // newlines
	"a\b\b%s\x7f",                            // backspace, DEL
	"a\u2028%s\u2029",                        // line separators
	"a\u0085%s",                              // next line
	"=cmd|'/C calc'!A0%s",                    // formulas
	"x;=cmd|'/C calc'!A0;%s",
	"+1%s", "-1%s", "@SUM(%s)",
	"<script>alert(1)</script>%s",
	"<img src=x onerror=alert(1)>%s",
	"\"><svg onload=alert(1)>%s",
	"'%s\" onmouseover=alert(1) x=\"",
	"](javascript:alert(1))%s",
	"![x](http://evil.example/%s)",
	"`%s`|`",
	"{{.}}%s{{template \"x\"}}",
	"$(touch %s)`id`",
	"%%s%%n%s",
	"e\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301%s",
}

// hostileRun is one call of the program whose output is looked at.
type hostileRun struct {
	args  []string
	stdin string
	form  string // text, json, csv, html, markdown: of standard output
	codes []int  // exit codes that are right; nil: 0
}

// hostileRuns calls every command in every form. A command or a form that is
// missing here fails TestHostileTexts.
func hostileRuns(t *testing.T, dir string, logs []string) []hostileRun {
	db := []string{"--db", filepath.Join(dir, "m.db")}
	window := []string{"--tz", "UTC", "--since", "2026-11-19", "--until", "2026-11-20 03:00"}
	var runs []hostileRun
	add := func(form string, args ...[]string) {
		runs = append(runs, hostileRun{args: slices.Concat(args...), form: form})
	}
	one := func(s ...string) []string { return s }
	add("text", one("ingest", "--verbose", "--year", "2026", "--log-tz", "UTC"), db, logs)
	for _, form := range []string{"text", "html", "markdown", "json", "csv"} {
		add(form, one("report", "--top", "0", "--format", form), db, window)
		add(form, one("report", "--format", form), db, window)
		add(form, one("report", "--anonymize=all", "--top", "0", "--format", form), db, window)
		add(form, one("report", "--top", "0", "--format", form, "--year", "2026", "--tz", "UTC"), logs)
	}
	for _, form := range []string{"text", "html", "markdown", "json"} {
		add(form, one("investigate", "--format", form), db, window)
		add(form, one("investigate", "--format", form, "--year", "2026", "--tz", "UTC"), logs)
	}
	for _, log := range hostileIncidents(t, dir) {
		add("text", one("ingest", "--quiet", "--db", log+".db", log))
		for _, form := range []string{"text", "html", "markdown", "json"} {
			add(form, one("investigate", "--since", "24h", "--format", form, "--db", log+".db"))
		}
		for _, form := range []string{"text", "json"} {
			runs = append(runs, hostileRun{args: one("check", "--format", form, "--db", log+".db"), form: form, codes: []int{0, 1, 2}})
		}
	}
	for _, form := range []string{"text", "json", "csv"} {
		for _, by := range append(dimensionNames(), aloneNames()...) {
			if by == string(report.BySenderAddress) { // a database has none
				add(form, one("report", "--top", "0", "--by", by, "--format", form, "--year", "2026", "--tz", "UTC"), logs)
				continue
			}
			add(form, one("report", "--top", "0", "--by", by, "--format", form), db, window)
		}
		add(form, one("events", "--rejections", "--top", "0", "--format", form), db, window)
		add(form, one("events", "--anonymize=all", "--rejections", "--top", "500", "--format", form), db, window)
	}
	for _, form := range []string{"text", "json", "csv", "markdown"} {
		add(form, one("codes", "--format", form))
	}
	for _, log := range logs { // what the screen shows is looked at in report/live/screen
		for _, form := range []string{"text", "json"} {
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			args := one("follow", "--plain", "--rejections", "--format", form, "--year", "2026", "--tz", "UTC", "--db", log+"."+form+".db", "-")
			runs = append(runs, hostileRun{args: args, stdin: string(text), form: form})
		}
	}
	for _, form := range []string{"text", "json"} {
		add(form, one("trace", "--anonymize=all", "--format", form, "4jXJzW00009z"), db, one("--tz", "UTC"))
		add(form, one("trace", "--format", form, "rcpt@near.example"), db, one("--tz", "UTC"))
		add(form, one("trace", "--format", form, "4jXJzW00009z"), db, one("--tz", "UTC"))
		for i, text := range hostileTexts {
			evil := fmt.Sprintf(text, fmt.Sprintf("hx%d", i))
			add(form, one("explain", "--format", form, "--", "550 5.7.1 "+evil))
			bounce := "From: MAILER-DAEMON@far.example\r\nTo: s@near.example\r\nSubject: " + strings.NewReplacer("\r", "", "\n", "").Replace(evil) +
				"\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n" + evil +
				"\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; " + evil + "\r\n\r\nFinal-Recipient: rfc822; " + evil +
				"@far.example\r\nOriginal-Recipient: rfc822; " + evil + "\r\nAction: " + evil + "\r\nStatus: 5.1.1 " + evil + "\r\nRemote-MTA: dns; " + evil +
				"\r\nDiagnostic-Code: smtp; 550 5.1.1 " + evil + "\r\n\r\n--b--\r\n"
			runs = append(runs, hostileRun{args: one("explain", "--format", form, "-"), stdin: bounce, form: form, codes: []int{0, 1}})
		}
	}
	read := slices.Concat(one("--verbose", "--year", "2026", "--tz", "UTC"), logs)
	add("text", one("report", "--width", "60", "--no-color", "--no-pager"), read)
	runs = append(runs, hostileRun{args: slices.Concat(one("report", "--week", "--quiet"), db), form: "text", codes: []int{0, 1}})
	add("text", one("events", "--no-color", "--top", "9"), read)
	add("text", one("events", "--quiet", "--top", "9"), db)
	add("text", one("trace", "--no-color", "4jXJzW00009z"), read)
	add("text", one("trace", "--quiet", "4jXJzW00009z"), db)
	add("text", one("investigate", "--no-color", "--exit-code"), read)
	add("text", one("investigate", "--quiet"), db)
	add("text", one("ingest", "--quiet"), db, logs)
	add("text", one("follow", "--plain", "--no-color", "--quiet", "--from-start", "--verbose", "--db", filepath.Join(dir, "followed.db"), "-"))
	add("text", one("check", "--no-color", "--crit", "age<0"), db)
	add("text", one("codes", "--no-color"))
	add("text", one("explain", "--no-color", "550 5.1.1 \x1b[31mhx"))
	add("csv", one("db", "export", "--no-color"), db)
	runs = append(runs, hostileRun{args: slices.Concat(one("push", "--quiet", "--to", "clickhouse://u@127.0.0.1:1/x"), db), form: "text", codes: []int{1}})
	add("text", one("prune", "--dry-run", "--keep", "90d"), db)
	add("text", one("db", "size"), db)
	add("text", one("db", "check"), db)
	add("text", one("db", "backup", filepath.Join(dir, "copy.db")), db)
	add("text", one("db", "merge", "--db", filepath.Join(dir, "all.db"), filepath.Join(dir, "copy.db")))
	add("csv", one("db", "export"), db)
	// What serve shows is looked at in report/web; these are its messages.
	for _, text := range hostileTexts {
		runs = append(runs, hostileRun{args: slices.Concat(one("serve", "--listen", text+":x:y"), db), form: "text", codes: []int{2}})
	}
	return slices.Concat(runs, hostileNames(dir, logs), hostileFlags(dir))
}

// hostileNames uses hostile texts as names of files, of databases and as values
// of flags: errors quote them.
func hostileNames(dir string, logs []string) []hostileRun {
	var runs []hostileRun
	for i, text := range hostileTexts {
		name := strings.NewReplacer("\x00", "", "/", "").Replace(fmt.Sprintf(text, fmt.Sprintf("hn%d", i)))
		path := filepath.Join(dir, name)
		truncated := path + ".gz"
		if os.WriteFile(truncated, []byte("\x1f\x8b\x08x"), 0o644) != nil {
			continue // the file system does not take this name
		}
		missing, text := filepath.Join(dir, "missing", name), filepath.Join(dir, "text"+name)
		os.WriteFile(text, []byte("nothing that is understood\n"), 0o644)
		for _, args := range [][]string{
			{"report", missing}, {"report", truncated}, {"report", text},
			{"ingest", "--db", filepath.Join(dir, "n.db"), missing, truncated},
			{"report", "--db", missing}, {"report", "--db", text}, {"events", "--db", text}, {"trace", "--db", text, name},
			{"ingest", "--db", text, logs[0]},
			{"explain", missing}, {"explain", "--rules", text, "550"}, {"report", "--rules", missing, logs[0]},
			{"report", "--since", name, logs[0]}, {"report", "--tz", name, logs[0]}, {"report", "--by", name, logs[0]},
			{"report", "--provider", name, logs[0]}, {"report", "--domain", name, "--year", "2026", logs[0]},
			{"events", "--db", filepath.Join(dir, "m.db"), "--outcome", name}, {"trace", "--db", filepath.Join(dir, "m.db"), "--", name},
			{"push", "--db", filepath.Join(dir, "m.db"), "--to", "clickhouse://" + name + "@127.0.0.1:1/" + name},
			{"db", "init", "--to", "clickhouse://" + name + "@127.0.0.1:1/" + name, "--cluster", name, "--dry-run"},
			{"--" + name}, {name},
		} {
			runs = append(runs, hostileRun{args: args, form: "text", codes: []int{0, 1, 2, 3}})
		}
	}
	return runs
}

// TestHostileTexts walks every output of every command with texts that attack
// the reader of it. Each must arrive, and none unharmed.
func TestHostileTexts(t *testing.T) {
	takesLong(t)
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("MAILFAIL_CONFIG", os.DevNull)
	logs := slices.Sorted(maps.Values(hostileLogs(t, dir)))
	runs := hostileRuns(t, dir, logs)
	walked := walk{seen: map[string]bool{}, arrived: map[string]int{}}
	arrived := 0
	for _, r := range runs {
		var out, errs bytes.Buffer
		code := run(r.args, strings.NewReader(r.stdin), &out, &errs)
		if r.codes == nil {
			r.codes = []int{0}
		}
		if !slices.Contains(r.codes, code) {
			t.Errorf("mailfail %q: exit code %d\n%.300s", r.args, code, errs.String())
		}
		arrived += walked.note(r, out.Bytes())
		if fault := harm(r.form, out.Bytes()); fault != "" {
			t.Errorf("mailfail %q: standard output: %s", r.args, fault)
		}
		if fault := harm("text", errs.Bytes()); fault != "" {
			t.Errorf("mailfail %q: standard error: %s", r.args, fault)
		}
		if t.Failed() && arrived > 1e6 {
			break
		}
	}
	for _, missing := range walked.missing(rootCommand()) {
		t.Errorf("mailfail %s", missing)
	}
}

// A walk notes what hostileRuns reached. Its keys are a command and a form of its output,
// or a command and one of its flags.
type walk struct {
	seen    map[string]bool
	arrived map[string]int // marks of hostile texts
}

// walkedElsewhere lists flags with which a command would not end.
var walkedElsewhere = map[string]bool{"push --every": true}

// note returns how many marks of hostile texts arrived in an output.
func (w walk) note(r hostileRun, out []byte) int {
	n := bytes.Count(out, []byte("hm")) + bytes.Count(out, []byte("hx"))
	c, rest, err := rootCommand().Find(r.args)
	if err != nil {
		return n
	}
	_, name, _ := strings.Cut(c.CommandPath(), " ")
	w.seen[name+" "+r.form] = true
	w.arrived[name+" "+r.form] += n
	for _, arg := range rest {
		if arg == "--" {
			break
		}
		flag, _, _ := strings.Cut(arg, "=")
		w.seen[name+" "+flag] = true
	}
	return n
}

// missing says which commands, forms and flags no run has, and where no hostile text arrives.
func (w walk) missing(parent *cobra.Command) (missing []string) {
	for _, c := range parent.Commands() {
		if c.HasSubCommands() {
			missing = append(missing, w.missing(c)...)
			continue
		}
		_, name, _ := strings.Cut(c.CommandPath(), " ")
		if hostileElsewhere[name] {
			continue
		}
		for _, form := range forms(c) {
			key := name + " " + cmp.Or(form, "text")
			switch {
			case !w.seen[key]:
				missing = append(missing, key+" is not among hostileRuns")
			case w.arrived[key] == 0 && !withoutStrangers[name]:
				missing = append(missing, key+" shows no hostile text: what is looked at is not what it prints")
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if key := name + " --" + f.Name; !w.seen[key] && !walkedElsewhere[key] && name != "serve" && f.Name != "help" && f.Name != "config" {
				missing = append(missing, key+" is not among hostileRuns")
			}
		})
	}
	return missing
}

// withoutStrangers lists commands that print numbers, or nothing, when all goes well.
var withoutStrangers = map[string]bool{
	"codes": true, "ingest": true, "prune": true, "push": true, "serve": true,
	"db size": true, "db check": true, "db backup": true, "db merge": true, "db init": true,
}

// forms returns the forms of output that a command has, "" for the only one.
func forms(c *cobra.Command) []string {
	f := c.Flags().Lookup("format")
	if f == nil {
		return []string{""}
	}
	_, list, _ := strings.Cut(f.Usage, ": ")
	return strings.Split(list, ", ")
}

// hostileFlags gives hostile texts to every flag of every command that takes a text:
// errors quote them, and titles name them.
func hostileFlags(dir string) (runs []hostileRun) {
	var walk func(parent *cobra.Command)
	walk = func(parent *cobra.Command) {
		for _, c := range parent.Commands() {
			walk(c)
			_, name, _ := strings.Cut(c.CommandPath(), " ")
			if c.HasSubCommands() || hostileElsewhere[name] || name == "serve" { // which would not end
				continue
			}
			c.Flags().VisitAll(func(f *pflag.Flag) {
				if !strings.HasPrefix(f.Value.Type(), "string") {
					return
				}
				for i, text := range []string{hostileTexts[0], hostileTexts[4], hostileTexts[7], hostileTexts[13]} {
					value := fmt.Sprintf(text, fmt.Sprintf("hf%d", i))
					if f.Name == "db" || f.Name == "output" { // files that are made
						value = filepath.Join(dir, f.Name+value)
					}
					args := append(strings.Fields(name), "--"+f.Name+"="+value)
					if f.Name != "db" && c.Flags().Lookup("db") != nil {
						args = append(args, "--db", filepath.Join(dir, "f.db"))
					}
					if f.Name == "mail-to" { // nothing is to go through the sendmail of this host
						args = append(args, "--smtp", "localhost:1")
					}
					switch {
					case name == "follow":
						args = append(args, "--plain", "-")
					case c.ValidateArgs(nil) != nil: // it needs one
						args = append(args, filepath.Join(dir, "argument"))
					}
					runs = append(runs, hostileRun{args: args, form: "text", codes: []int{0, 1, 2, 3}})
				}
			})
		}
	}
	walk(rootCommand())
	return runs
}

// hostileElsewhere lists commands that print no text of strangers.
var hostileElsewhere = map[string]bool{
	"help": true, "completion bash": true, "completion fish": true, "completion powershell": true, "completion zsh": true,
}

// harm returns what in an output can do something to its reader, "" for nothing.
func harm(form string, out []byte) string {
	switch form {
	case "json":
		d := json.NewDecoder(bytes.NewReader(out))
		for {
			var v any
			if err := d.Decode(&v); err == io.EOF {
				break
			} else if err != nil {
				return "no JSON: " + err.Error()
			}
		}
	case "csv":
		rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
		if err != nil {
			return "no CSV: " + err.Error()
		}
		for _, row := range rows {
			for _, cell := range row {
				for part := range strings.SplitSeq(cell, ";") {
					part = strings.TrimLeft(part, " \"")
					if part != "" && strings.ContainsRune("=+-@", rune(part[0])) && !isNumber(part) {
						return fmt.Sprintf("a formula: %q", cell)
					}
				}
			}
		}
	case "html":
		if fault := harmfulHTML(out); fault != "" {
			return fault
		}
	}
	for i := 0; i < len(out); {
		r, n := utf8.DecodeRune(out[i:])
		switch {
		case r == '\n', r == '\r' && form == "csv" && bytes.HasPrefix(out[i:], []byte("\r\n")): // RFC 4180
		case r == utf8.RuneError && n == 1, unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			return fmt.Sprintf("%q in %q", out[i:i+n], out[max(0, i-60):min(len(out), i+60)])
		}
		i += n
	}
	return ""
}

func isNumber(s string) bool {
	var v json.Number
	return json.Unmarshal([]byte(s), &v) == nil
}

// harmfulHTML returns what in a report runs, loads or links to something that a report
// does not have.
func harmfulHTML(page []byte) string {
	return harmfulTag(page, anchor, "script", "img", "iframe", "object", "embed", "link", "base", "form")
}

// anchor is a link to a place of the same page.
var anchor = regexp.MustCompile("^#")

// harmfulTag returns the first tag of a page that is one of those named, or that runs
// something, or links to another place than those.
func harmfulTag(page []byte, links *regexp.Regexp, names ...string) string {
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return ""
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			if slices.Contains(names, tag.Data) {
				return "a tag " + tag.String()
			}
			for _, a := range tag.Attr {
				isLink := slices.Contains([]string{"href", "src", "action"}, a.Key)
				if strings.HasPrefix(a.Key, "on") || isLink && !links.MatchString(a.Val) {
					return "an attribute in " + tag.String()
				}
			}
		}
	}
}
