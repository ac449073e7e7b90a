package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/net/html"
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

// hostileLogs writes a log of each kind with every hostile text in every field
// that a stranger controls, and returns their names.
func hostileLogs(t *testing.T, dir string) []string {
	t.Helper()
	logs := map[string]*bytes.Buffer{}
	add := func(name, format string, args ...any) {
		if logs[name] == nil {
			logs[name] = &bytes.Buffer{}
		}
		fmt.Fprintf(logs[name], format+"\n", args...)
	}
	add("MSGTRK20261120-1.LOG", "#Software: Microsoft Exchange Server\r\n#Version: 15.02.0986.000\r\n#Log-type: Message Tracking Log\r\n"+
		"#Date: 2026-11-20T00:00:00.000Z\r\n#Fields: date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,"+
		"source,event-id,internal-message-id,message-id,recipient-address,recipient-status,total-bytes,recipient-count,"+
		"related-recipient-address,reference,message-subject,sender-address,return-path,message-info\r")
	n := 0
	for _, text := range hostileTexts {
		for field := range 8 {
			n++
			mark := fmt.Sprintf("hm%dx", n)
			f := []string{"sender@far.example", "rcpt@near.example", "mx.near.example", "550 5.1.1 no such user", "client.example", "<id@far.example>", "smtp", "mx1"}
			evil := fmt.Sprintf(text, mark)
			switch field {
			case 0, 1:
				f[field] = evil + "@evil.example"
			case 3:
				f[field] = "550 5.7.1 " + evil
			case 5:
				f[field] = "<" + evil + "@evil.example>"
			case 6:
				f[field] = "smtp" + strings.ReplaceAll(evil, " ", "")
			case 7:
				f[field] = strings.ReplaceAll(evil, " ", "")
			default:
				f[field] = evil
			}
			clock := fmt.Sprintf("%02d:%02d:%02d", n/3600, n/60%60, n%60)
			id := fmt.Sprintf("4jXJzW%05dz", n)
			pre := "Nov 20 " + clock + " " + f[7] + " postfix/"
			add("mail.log", "%ssmtpd[10]: %s: client=%s[192.0.2.9], sasl_username=%s", pre, id, f[4], f[4])
			add("mail.log", "%scleanup[11]: %s: message-id=%s", pre, id, f[5])
			add("mail.log", "%sqmgr[12]: %s: from=<%s>, size=100, nrcpt=1 (queue active)", pre, id, f[0])
			add("mail.log", "%s%s[13]: %s: to=<%s>, relay=%s[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=5.7.1, status=bounced (host %s[192.0.2.1] said: %s (in reply to RCPT TO command))",
				pre, f[6], id, f[1], f[2], f[2], f[3])
			if n%2 == 0 { // others stay open, and wait
				add("mail.log", "%sqmgr[12]: %s: removed", pre, id)
			}
			add("mail.log", "%ssmtpd[14]: NOQUEUE: reject: RCPT from %s[192.0.2.9]: %s; from=<%s> to=<%s> proto=ESMTP helo=<%s>", pre, f[4], f[3], f[0], f[1], f[4])
			add("mail.log", "%ssmtpd[14]: fatal: open %s: No space left on device", pre, f[4])

			xid := fmt.Sprintf("1xV1Fu-%010dK-0byR", n)
			at := "2026-11-20 " + clock + " "
			add("mainlog", "%s%s <= %s H=(%s) [192.0.2.9] P=esmtp A=plain:%s S=875 id=%s", at, xid, f[0], f[4], f[4], f[5])
			add("mainlog", "%s%s ** %s R=dnslookup T=remote_smtp H=%s [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<%s>: %s", at, xid, f[1], f[2], f[1], f[3])
			add("mainlog", "%s%s Completed", at, xid)
			add("mainlog", "%sH=(%s) [192.0.2.9] F=<%s> rejected RCPT <%s>: %s", at, f[4], f[0], f[1], f[3])

			q := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
			add("MSGTRK20261120-1.LOG", "2026-11-20T%s.000Z,192.0.2.9,%s,192.0.2.1,%s,%s,Out,SMTP,FAIL,%d,%s,%s,%s,100,1,,,subject,%s,%s,04I:\r",
				clock, q(f[4]), q(f[2]), q(f[4]), n, q(f[5]), q(f[1]), q("[{LRT=};{LED="+f[3]+"};{FQDN="+f[2]+"};{IP=192.0.2.1}]"), q(f[0]), q(f[0]))
		}
	}
	var names []string
	for name, b := range logs {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, path)
	}
	sort.Strings(names)
	return names
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
func hostileRuns(dir string, logs []string) []hostileRun {
	db := []string{"--db", filepath.Join(dir, "m.db")}
	window := []string{"--tz", "UTC", "--since", "2026-11-19", "--until", "2026-11-20 03:00"}
	var runs []hostileRun
	add := func(form string, args ...[]string) {
		runs = append(runs, hostileRun{args: slices.Concat(args...), form: form})
	}
	one := func(s ...string) []string { return s }
	add("text", one("ingest", "--year", "2026", "--tz", "UTC"), db, logs)
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
	for _, form := range []string{"text", "json", "csv"} {
		for _, by := range []string{"domain", "code", "provider", "sender", "relay", "host", "instance", "reason", "mta", "direction", "account", "client"} {
			add(form, one("report", "--top", "0", "--by", by, "--format", form), db, window)
		}
		add(form, one("events", "--rejections", "--format", form), db, window)
	}
	for _, form := range []string{"text", "json", "csv", "markdown"} {
		add(form, one("codes", "--format", form))
	}
	for _, form := range []string{"text", "json"} {
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
	for _, form := range []string{"text", "json"} {
		runs = append(runs, hostileRun{args: slices.Concat(one("check", "--since", "2026-11-19", "--format", form), db), form: form, codes: []int{0, 1, 2}})
	}
	add("text", one("prune", "--dry-run", "--keep", "90d"), db)
	add("text", one("db", "size"), db)
	add("csv", one("db", "export"), db)
	// What serve shows is looked at in report/web; these are its messages.
	for _, text := range hostileTexts {
		runs = append(runs, hostileRun{args: slices.Concat(one("serve", "--listen", text+":x:y"), db), form: "text", codes: []int{2}})
	}
	return append(runs, hostileNames(dir, logs)...)
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
	if testing.Short() {
		t.Skip("long")
	}
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("MAILFAIL_CONFIG", os.DevNull)
	logs := hostileLogs(t, dir)
	runs := hostileRuns(dir, logs)
	covered, arrived := map[string]bool{}, 0
	for _, r := range runs {
		covered[r.args[0]+" "+r.form] = true
		var out, errs bytes.Buffer
		code := run(r.args, strings.NewReader(r.stdin), &out, &errs)
		if r.codes == nil {
			r.codes = []int{0}
		}
		if !slices.Contains(r.codes, code) {
			t.Errorf("mailfail %q: exit code %d\n%.300s", r.args, code, errs.String())
		}
		arrived += bytes.Count(out.Bytes(), []byte("hm"))
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
	if arrived < 10*len(hostileTexts) {
		t.Errorf("only %d marks of hostile texts were seen: they do not arrive where they should", arrived)
	}
	for _, missing := range uncovered(rootCommand(), covered) {
		t.Errorf("mailfail %s is not among hostileRuns", missing)
	}
}

// uncovered returns the commands and their forms of output that are not covered.
func uncovered(root *cobra.Command, covered map[string]bool) (missing []string) {
	for _, c := range root.Commands() {
		forms := []string{"text"}
		if f := c.Flags().Lookup("format"); f != nil {
			forms = nil
			for _, form := range []string{"text", "json", "csv", "html", "markdown"} {
				if strings.Contains(f.Usage, form) {
					forms = append(forms, form)
				}
			}
		}
		for _, form := range forms {
			if name := c.Name() + " " + form; !covered[name] && !hostileElsewhere[c.Name()] {
				missing = append(missing, name)
			}
		}
	}
	return missing
}

// hostileElsewhere lists commands whose output another test of this kind looks
// at, or that print no text of strangers.
var hostileElsewhere = map[string]bool{
	"help":       true,
	"completion": true, // its own texts
	"follow":     true, // the screen: report/live/screen; lines: AppendLine, as events prints them
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

// harmfulHTML returns what in a page runs, loads or links to something that a
// report does not have.
func harmfulHTML(page []byte) string {
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return ""
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			if slices.Contains([]string{"script", "img", "iframe", "object", "embed", "link", "base", "form"}, tag.Data) {
				return "a tag " + tag.String()
			}
			for _, a := range tag.Attr {
				if strings.HasPrefix(a.Key, "on") || (a.Key == "href" || a.Key == "src") && !strings.HasPrefix(a.Val, "#") {
					return "an attribute in " + tag.String()
				}
			}
		}
	}
}
