package exchange_test

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mailfail/parsers"
	"mailfail/parsers/exchange"
)

// property is one of an object that a list shows.
type property struct{ name, value string }

// A window is where PowerShell prints a list.
type window struct {
	width   int
	words   bool // its language has words: lines break at blanks
	trimmed bool // blanks at the ends of lines were cut off
}

// format prints an object as PowerShell's ListWriter does.
func (w window) format(object []property) string {
	column := 0
	for _, p := range object {
		column = max(column, len(p.name))
	}
	var out strings.Builder
	for _, p := range object {
		head := p.name + strings.Repeat(" ", column-len(p.name)) + " : "
		for part := range strings.SplitSeq(strings.ReplaceAll(p.value, "\r", ""), "\n") {
			for _, line := range w.wrap(part, w.width-len(head)) {
				if line = head + line; w.trimmed {
					line = strings.TrimRight(line, " ")
				}
				out.WriteString(line + "\n")
				head = strings.Repeat(" ", len(head))
			}
		}
	}
	return out.String() + "\n\n"
}

// wrap breaks a value as PowerShell does (StringManipulationHelper): a word
// keeps the blank behind it, and one that is wider than a line fills the lines.
func (w window) wrap(value string, width int) []string {
	if utf8.RuneCountInString(value) <= width {
		return []string{value}
	}
	lines := []string{""}
	room := width
	put := func(text string) {
		n := utf8.RuneCountInString(text)
		if n > room {
			lines, room = append(lines, ""), width
		}
		lines[len(lines)-1] += text
		room -= n
	}
	for _, word := range strings.SplitAfter(value, " ") {
		if w.words && utf8.RuneCountInString(word) <= width {
			put(word)
			continue
		}
		for _, c := range word {
			put(string(c))
		}
	}
	return lines
}

// listNames are the names of the columns as properties, where they are not
// those of the log without its hyphens.
var listNames = map[string]string{"date-time": "Timestamp", "recipient-address": "Recipients", "sender-address": "Sender"}

// object makes of a row what Get-MessageTrackingLog does.
func object(names, row []string) []property {
	list := []property{{"RunspaceId", "8e1cd3dc-2244-4b1d-96bc-e1d4af6e9aac"}}
	recipients, statuses := exchange.Members(row[slices.Index(names, "recipient-address")], row[slices.Index(names, "recipient-status")])
	for i, name := range names {
		p := property{listNames[name], row[i]}
		if p.name == "" {
			for word := range strings.SplitSeq(name, "-") {
				p.name += strings.ToUpper(word[:1]) + word[1:]
			}
		}
		switch name {
		case "date-time":
			at, _ := time.Parse(time.RFC3339, p.value)
			p.value = at.Format("1/2/2006 3:04:05 PM")
		case "recipient-address":
			p.value = "{" + strings.Join(recipients, ", ") + "}"
		case "recipient-status":
			p.value = "{" + strings.Join(statuses, ", ") + "}"
		case "message-info", "log-id":
			continue
		}
		list = append(list, p)
	}
	return list
}

// rowsOf returns the names and the rows of the tracking logs of a set.
func rowsOf(t *testing.T, dir string) (names []string, rows [][]string) {
	t.Helper()
	for _, f := range logsOf(t, dir) {
		r := csv.NewReader(bytes.NewReader(bytes.Join(f.lines, []byte("\n"))))
		r.FieldsPerRecord = -1
		for {
			row, err := r.Read()
			if row == nil && err != nil {
				break
			}
			if name, ok := strings.CutPrefix(row[0], "#Fields: "); ok {
				names = append([]string{name}, row[1:]...)
			} else if len(row) == len(names) && err == nil {
				rows = append(rows, row)
			}
		}
	}
	return names, rows
}

// recordsOf returns the records of a log, without what lists do not tell: parts
// of a second, and how long a delivery took.
func recordsOf(t *testing.T, log string) (records []string, results [3]int) {
	t.Helper()
	s := newStream(t, "auto")
	for line := range strings.SplitSeq(strings.TrimSuffix(log, "\n"), "\n") {
		results[s.Parse([]byte(line), func(r *parsers.Record) {
			r.Time, r.Delay = r.Time.Truncate(time.Second), -1
			records = append(records, describe(r))
		})]++
	}
	return records, results
}

// every returns every n-th row.
func every(rows [][]string, n int) (some [][]string) {
	for i := 0; i < len(rows); i += n {
		some = append(some, rows[i])
	}
	return some
}

// TestListIsTheLog prints the rows of the sets as lists, in windows of many
// kinds: each gives the records that the log gives.
func TestListIsTheLog(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a second log of every set: left to the tests without -short")
	}
	for _, dir := range sets(t) {
		if !strings.HasPrefix(filepath.Base(dir), "tracking-") {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			names, rows := rowsOf(t, dir)
			rows = every(rows, 1+len(rows)/200)
			var log bytes.Buffer
			log.WriteString("#Log-type: Message Tracking Log\n#Fields: ")
			w := csv.NewWriter(&log)
			if err := w.WriteAll(append([][]string{names}, rows...)); err != nil {
				t.Fatal(err)
			}
			want, _ := recordsOf(t, log.String())
			if len(want) == 0 {
				t.Fatal("no records")
			}
			for _, w := range []window{{80, true, false}, {80, true, true}, {120, true, false}, {120, true, true},
				{80, false, false}, {120, false, false}, {4096, true, false}, {4096, true, true}} {
				list := "\n\n"
				for _, row := range rows {
					list += w.format(object(names, row))
				}
				got, results := recordsOf(t, list)
				if results[parsers.Unparsed] > 0 {
					t.Errorf("%+v: %v", w, results)
				}
				same := func(a, b string) bool { return a == b }
				if w.trimmed { // then blanks are lost, one or several
					same = func(a, b string) bool { return strings.ReplaceAll(a, " ", "") == strings.ReplaceAll(b, " ", "") }
				}
				for i := range min(len(got), len(want)) {
					if !same(got[i], want[i]) {
						t.Fatalf("%+v: record %d:\n got %s\nwant %s", w, i, got[i], want[i])
					}
				}
				if len(got) != len(want) {
					t.Errorf("%+v: %d records, want %d", w, len(got), len(want))
				}
			}
		})
	}
}

// listed is an object of Exchange 2016 with what a test is about.
func listed(values ...property) []property {
	object := []property{{"RunspaceId", "8e1cd3dc-2244-4b1d-96bc-e1d4af6e9aac"}, {"Timestamp", "11/20/2026 9:28:06 AM"},
		{"ServerHostname", "EX01"}, {"SourceContext", ""}, {"Source", "SMTP"}, {"EventId", "FAIL"}, {"MessageId", "<m@x>"},
		{"Recipients", "{a@x}"}, {"RecipientStatus", "{[{LED=550 5.1.1 No};{MSG=};{FQDN=mx};{IP=};{LRT=}]}"}, {"TotalBytes", "1"},
		{"MessageSubject", "hi"}, {"Sender", "s@x"}, {"SchemaVersion", "15.02.0221.012"}}
	for _, v := range values {
		i := slices.IndexFunc(object, func(p property) bool { return p.name == v.name })
		object[i] = v
	}
	return object
}

// without returns the object without a property.
func without(object []property, name string) []property {
	return slices.DeleteFunc(object, func(p property) bool { return p.name == name })
}

const failedA, failedB = "failed a@x 550 5.1.1 remote", "failed b@x 550 5.1.1 remote"

func TestList(t *testing.T) {
	w := window{width: 80, words: true}
	one := w.format(listed())
	other := w.format(listed(property{"Recipients", "{b@x}"}))
	old := w.format(without(listed(), "SchemaVersion"))
	chosen := "Timestamp       : 20.11.2026 09:28:06\nEventId         : FAIL\nMessageId       : <m@x>\nSource          : SMTP\nRecipients      : {a@x}\nRecipientStatus : {550 5.1.1 No}\n"
	for _, test := range []struct {
		name, log string
		want      []string
		unparsed  int
	}{
		{"two", "\n\n" + one + other, []string{failedA, failedB}, 0},
		{"no blank line at the end", strings.TrimSpace(one), []string{failedA}, 0},
		{"carriage returns", strings.ReplaceAll(one+other, "\n", "\r\n"), []string{failedA, failedB}, 0},
		{"byte order mark", "\ufeff" + one, []string{failedA}, 0},
		{"no blank lines between", strings.ReplaceAll(one+other, "\n\n", ""), []string{failedA, failedB}, 0},
		{"before 2016", old + old, []string{failedA, failedA}, 0},
		{"before 2016, no blank lines", strings.TrimRight(old, "\n") + "\n" + old, []string{failedA, failedA}, 0},
		{"before 2016, the end is not known", strings.TrimRight(old, "\n"), nil, 0},
		{"chosen properties", chosen + "\n" + chosen + chosen + "\n\n", []string{failedA, failedA, failedA}, 0},
		{"from a remote shell", "PSComputerName     : ex01\nRunspaceId         : 8e1cd3dc\nPSShowComputerName : False\n" + strings.ReplaceAll(chosen, " : ", "    : ") + "\n", []string{failedA}, 0},
		{"names of the shell at the end", one[:len(one)-2] + "PSComputerName          : ex01\n\n\n", []string{failedA}, 0},
		{"a prompt before and behind", "[PS] C:\\>Get-MessageTrackingLog | fl\n\n" + old[:len(old)-2] + "[PS] C:\\>", []string{failedA}, 2},
		{"then the log", old[:len(old)-2] + header2007 + row2007("b@x", "s"), []string{failedA, "delivered b@x"}, 0},
		{"the log, then a list", header2007 + row2007("b@x", "s") + one + row2007("b@x", "s"), []string{"delivered b@x", failedA, "delivered b@x"}, 0},
		{"several recipients", w.format(listed(property{"Recipients", "{a@x, \"o, p\"@y, b@z}"}, property{"RecipientStatus", "{[{LED=550 5.1.1 No, 450 no}], [{LED=550 5.2.2 Full}], [{LED=550 5.7.1 Spam}]}"})),
			[]string{failedA, "failed \"o;p\"@y 550 5.2.2 remote", "failed b@z 550 5.7.1 remote"}, 0},
		{"plain statuses", w.format(listed(property{"Recipients", "{a@x, b@x}"}, property{"RecipientStatus", "{550 5.1.1 No, sorry, 550 5.1.1 No}"})), []string{failedA, failedB}, 0},
		{"a status with dots", w.format(listed(property{"RecipientStatus", "{550 5.1.1 No...}"})), []string{failedA}, 0},
		{"recipients are cut off", w.format(listed(property{"Recipients", "{a@x, b@x, c@x, d@x...}"})) + other, []string{failedB}, 1},
		{"recipients are cut off by PowerShell 7", w.format(listed(property{"Recipients", "{a@x, b@x, c@x, d@x…}"})) + other, []string{failedB}, 1},
		{"recipients are torn", w.format(listed(property{"Recipients", "{a@x, b"})) + other, []string{failedB}, 1},
		{"an unknown event", w.format(listed(property{"EventId", "VANISH"})) + one, []string{failedA}, 1},
		{"no time", w.format(listed(property{"Timestamp", "yesterday"})) + one, []string{failedA}, 1},
		{"no ids", w.format(without(listed(), "MessageId")) + one, []string{failedA}, 1},
		{"no recipients", w.format(without(listed(), "Recipients")) + one, []string{failedA}, 1},
		{"a name twice", strings.Replace(one, "\nTotalBytes ", "\nRecipients      : {c@x}\nTotalBytes ", 1), []string{failedA}, 0},
		{"torn", one[:strings.Index(one, "RecipientStatus")] + "\n" + other, []string{failedB}, 1},
		{"a subject that looks like properties", w.format(listed(property{"MessageSubject", "a\nEventId         : DELIVER\n\nRunspaceId      : 1\n#Software: Microsoft Exchange Server"})) + other, []string{failedA, failedB}, 0},
		{"a list of another command", "RunspaceId     : 1\nIdentity       : EX01\\3\nMessageCount   : 0\n\n" + one, []string{failedA}, 2},
	} {
		t.Run(test.name, func(t *testing.T) { check(t, test.log, test.want, test.unparsed) })
	}
}

// TestRealList reads a list that was found in the open.
func TestRealList(t *testing.T) {
	const name = "../../../shared/corpus/exchange/msqa-fail-fl.txt"
	if _, err := os.Stat(name); err != nil {
		t.Skip("the shared corpus is not here")
	}
	log := string(bytes.Join(readFile(t, name).lines, []byte("\n")))
	check(t, log, []string{"failed officer2@Naadi.test 501 5.1.4 remote"}, 0)
	records, _ := recordsOf(t, log)
	if !strings.Contains(records[1], "501 5.1.4 Recipient address reserved by RFC 2606 ") {
		t.Errorf("got %s", records[1])
	}
}

// TestListInPieces passes the state on after every line of a list.
func TestListInPieces(t *testing.T) {
	w := window{width: 80, words: true}
	log := w.format(listed(property{"MessageSubject", "a\nb\n\nc"})) + w.format(without(listed(), "SchemaVersion")) + w.format(listed(property{"Recipients", "{a@x...}"}))
	lines := bytes.Split([]byte(strings.ReplaceAll(log, "\n", "\r\n")), []byte("\n"))
	everywhere := map[int]bool{}
	for i := range lines {
		everywhere[i] = true
	}
	got, want := record(t, lines, everywhere), record(t, lines, nil)
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestListOfNoEnd reads an object whose subject never ends.
func TestListOfNoEnd(t *testing.T) {
	s := newStream(t, "auto")
	for line := range strings.SplitSeq(strings.TrimSpace(window{width: 80}.format(without(listed(), "SchemaVersion"))), "\n") {
		s.Parse([]byte(line), func(*parsers.Record) {})
	}
	unparsed := 0
	for range 20_000 {
		if s.Parse([]byte(strings.Repeat(" ", 100)+"x"), func(*parsers.Record) {}) == parsers.Unparsed {
			unparsed++
		}
	}
	if state, err := s.AppendBinary(nil); err != nil || len(state) > 1<<20 || unparsed == 0 {
		t.Errorf("%d bytes of state, %v; %d lines unparsed", len(state), err, unparsed)
	}
}

func TestIsListHeader(t *testing.T) {
	for line, want := range map[string]bool{
		"RunspaceId              : 8e1cd3dc-2244-4b1d-96bc-e1d4af6e9aac": true,
		"Timestamp : 12/22/2020 9:28:06 AM":                              true,
		"Timestamp      : 22.12.2020 09:28:06":                           true,
		"Timestamp      : 2020-12-22 09:28:06":                           true,
		"EventId : SENDEXTERNAL":                                         true,
		"Recipients : {a@x}":                                             true,
		"Timestamp : now":                                                false,
		"EventId : 4624":                                                 false,
		"Recipients : many":                                              false,
		"RunspaceId : ":                                                  false,
		"Timestamp: 12/22/2020 9:28:06 AM":                               false,
		"  EventId : FAIL":                                               false,
		"Dec 22 09:28:06 mx postfix/smtp[1]: EventId : FAIL":             false,
		"2020-12-22 09:28:06 EventId : FAIL":                             false,
		"Subject : x":                                                    false,
		"":                                                               false,
	} {
		s := newStream(t, "auto")
		s.Parse([]byte(line), func(*parsers.Record) {})
		if got := len(s.Seen()) > 0 && s.Seen()[0].Format.Name == "exchange-tracking"; got != want {
			t.Errorf("%q: got %v", line, got)
		}
	}
}
