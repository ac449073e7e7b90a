package detect

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
)

// The formats of these tests: "echo" reads the programs echo/*, and by
// themselves lines that begin with "echo "; "table" reads everything below a
// line "#table".
func init() {
	parsers.Register(parsers.Format{
		Name: "echo",
		MTA:  "echo",
		Claim: func(e *parsers.Entry) parsers.Claim {
			if parsers.Has(e.Program, "echo") || e.Program == nil && parsers.Has(e.Message, "echo ") {
				return parsers.Mine
			}
			return parsers.NotMine
		},
		New: func(o parsers.Options) parsers.Parser { return &echo{} },
	})
	parsers.Register(parsers.Format{
		Name: "table", MTA: "table",
		Claim: func(e *parsers.Entry) parsers.Claim {
			switch {
			case e.Program != nil:
			case string(e.Message) == "#table":
				return parsers.MineFromHereOn
			case string(e.Message) == "#chair":
				return parsers.Stranger("a chair")
			}
			return parsers.NotMine
		},
		New: func(o parsers.Options) parsers.Parser { return &echo{} },
	})
}

// An echo returns every message as a record; the record's Message holds the
// message, its Service the program and its Size the number of the line. What
// begins with "odd" is Unparsed.
// A row of it goes on after a line that ends with a comma.
type echo struct {
	lines int64
	inRow bool
}

func (p *echo) Open() bool                               { return p.inRow }
func (p *echo) End(func(*parsers.Record)) parsers.Result { return parsers.Understood }

func (p *echo) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	p.lines++
	wasInRow := p.inRow
	p.inRow = bytes.HasSuffix(e.Message, []byte(","))
	if bytes.HasPrefix(e.Message, []byte("odd")) || string(e.Message) == "#chair" && !wasInRow {
		return parsers.Unparsed
	}
	emit(&parsers.Record{
		Kind:    parsers.Arrival,
		Service: e.Program,
		Message: parsers.Message{ID: e.Message, Size: p.lines, Client: e.PID},
	})
	return parsers.Understood
}

func (p *echo) AppendBinary(b []byte) ([]byte, error) { return append(b, byte(p.lines)), nil }
func (p *echo) UnmarshalBinary(b []byte) error {
	if len(b) != 1 {
		return parsers.ErrState
	}
	p.lines = int64(b[0])
	return nil
}

func newStream(t testing.TB, format string, year int, modified string, zone string) *Stream {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	m, err := time.Parse(time.RFC3339, modified)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewStream(parsers.Options{Location: loc, Host: "nohost"}, format, year, m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// show writes a record on one line.
func show(r *parsers.Record) string {
	return fmt.Sprintf("%s %s %s[%s] %s", r.Time.UTC().Format("2006-01-02T15:04:05.999999Z"), r.Host, r.Service, r.Client, r.ID)
}

func TestPrefix(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"classic", "Nov  2 06:27:30 mx1 echo/smtp[12]: hello: world", "2026-11-02T06:27:30Z mx1 echo/smtp[12] hello: world"},
		{"classic, two digits", "Nov 12 06:27:30 mx1 echo[12]: x", "2026-11-12T06:27:30Z mx1 echo[12] x"},
		{"classic, one blank", "Jul 7 09:01:59 testing echo/local[11997]: x", "2026-07-07T09:01:59Z testing echo/local[11997] x"},
		{"classic, fraction", "Nov 22 06:25:52.174071 mx1 echo[12]: x", "2026-11-22T06:25:52.174071Z mx1 echo[12] x"},
		{"classic, no pid", "Nov 22 06:25:52 mx1 echo: x", "2026-11-22T06:25:52Z mx1 echo[] x"},
		{"classic, no host", "Nov 22 06:25:52 echo/smtp[3]: x", "2026-11-22T06:25:52Z nohost echo/smtp[3] x"},
		{"classic, no colon", "Nov 22 06:25:52 mx1 echo/smtpd[99525] AB12: client=x", "2026-11-22T06:25:52Z mx1 echo/smtpd[99525] AB12: client=x"},
		{"classic, FreeBSD facility", "Nov 22 06:25:52 <mail.info> mx1 echo[3]: x", "2026-11-22T06:25:52Z mx1 echo[3] x"},
		{"classic, Solaris id", "Nov 22 06:25:52 mx1 echo[3]: [ID 197553 mail.info] x", "2026-11-22T06:25:52Z mx1 echo[3] x"},
		{"classic, priority", "<22>Nov 22 06:25:52 mx1 echo[3]: x", "2026-11-22T06:25:52Z mx1 echo[3] x"},
		{"classic, carriage return", "Nov 22 06:25:52 mx1 echo[3]: x\r", "2026-11-22T06:25:52Z mx1 echo[3] x"},
		{"grep", "/var/log/mail.info:Jul 7 09:01:59 t echo[1]: x", "2026-07-07T09:01:59Z t echo[1] x"},
		{"NUL bytes", "\x00\x00\x00Jul  7 09:01:59 t echo[1]: x", "2026-07-07T09:01:59Z t echo[1] x"},
		{"byte order mark", "\xef\xbb\xbfJul  7 09:01:59 t echo[1]: x", "2026-07-07T09:01:59Z t echo[1] x"},
		{"year first", "2013 Jun 10 06:27:30.123 gds39d echo/smtpd[5530]: x", "2013-06-10T06:27:30.123Z gds39d echo/smtpd[5530] x"},
		{"RFC 3339", "2026-11-22T06:25:52.174071+00:00 mx1 echo[1]: x", "2026-11-22T06:25:52.174071Z mx1 echo[1] x"},
		{"RFC 3339, zone", "2020-01-30T06:26:05+09:00 mail echo[1]: x", "2020-01-29T21:26:05Z mail echo[1] x"},
		{"RFC 3339, Z", "2020-01-30T06:26:05Z mail echo[1]: x", "2020-01-30T06:26:05Z mail echo[1] x"},
		{"RFC 3339, no zone", "2020-01-30T06:26:05 mail echo[1]: x", "2020-01-30T06:26:05Z mail echo[1] x"},
		{"short-iso", "2026-11-22T06:25:52-0330 mx1 echo[1]: x", "2026-11-22T09:55:52Z mx1 echo[1] x"},
		{"blank for T", "2026-11-22 06:25:52 mx1 echo[1]: x", "2026-11-22T06:25:52Z mx1 echo[1] x"},
		{"RFC 5424", "<22>1 2026-11-22T06:25:52.174071+00:00 mx1 echo 250 - -  starting", "2026-11-22T06:25:52.174071Z mx1 echo[250] starting"},
		{"RFC 5424, data", `<22>1 2026-11-22T06:25:52Z mx1 echo/smtp 250 ID1 [a@1 b="x\"] y"][c] ` + "\xef\xbb\xbfstarting", "2026-11-22T06:25:52Z mx1 echo/smtp[250] starting"},
		{"RFC 5424, no host", "<22>1 2026-11-22T06:25:52Z - echo - - - x", "2026-11-22T06:25:52Z nohost echo[] x"},
		{"json", `{"__CURSOR":"s=1;\"i","MESSAGE":"a \"b\" \u00e4\ud83d\ude00\n","_PID":"7","_HOSTNAME":"mx1","X":[1,{"y":null}],"SYSLOG_IDENTIFIER":"echo/smtp","__REALTIME_TIMESTAMP":"1795328887586123"}`, "2026-11-22T06:28:07.586123Z mx1 echo/smtp[7] a \"b\" ä😀\n"},
		{"json, bytes", `{ "MESSAGE" : [ 104, 105, 255 ], "_COMM":"echo", "_HOSTNAME":["mx1","mx2"], "__REALTIME_TIMESTAMP":"1795328887000000" }`, "2026-11-22T06:28:07Z mx1 echo[] hi\xff"},
		{"json, null", `{"MESSAGE":null,"_COMM":"echo","_HOSTNAME":"h","__REALTIME_TIMESTAMP":"1795328887000000"}`, "2026-11-22T06:28:07Z h echo[] "},
		{"kubectl logs --timestamps", "2026-11-22T06:25:53.000001Z Nov 22 06:25:52 mx1 echo[1]: x", "2026-11-22T06:25:52Z mx1 echo[1] x"},
		{"container log file", "2026-11-22T06:25:53.000001Z stdout F 2026-11-22T06:25:52Z mx1 echo[1]: x", "2026-11-22T06:25:52Z mx1 echo[1] x"},
		{"docker compose", "mail-1  | Nov 22 06:25:52 mx1 echo[1]: x", "2026-11-22T06:25:52Z mx1 echo[1] x"},
		{"host like a month", "2026-11-22T06:25:52Z Nov echo[1]: x of the month", "2026-11-22T06:25:52Z Nov echo[1] x of the month"},
		{"host like a date", "2026-11-22T06:25:52Z 1234-56-78-90 echo[1]: x", "2026-11-22T06:25:52Z 1234-56-78-90 echo[1] x"},
		{"leap second", "2016-12-31T23:59:60Z h echo[1]: x", "2017-01-01T00:00:00Z h echo[1] x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
			got := "nothing"
			s.Parse([]byte(test.line), func(r *parsers.Record) { got = show(r) })
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestNoPrefix(t *testing.T) {
	for _, line := range []string{
		"", "x", "Nov 31 06:27:30 mx1 echo[1]: x", "Nov  2 25:27:30 mx1 echo[1]: x", "Jan: 1 00:00:00 h echo[1]: x",
		"021-02-06T10:57:57+01:00 h echo[1]: x", "2026-02-29T00:00:00Z h echo[1]: x", "2026-11-22T06:25:52Z",
		"2024-01-25T15:16:09.843Z,,,,echo[1]: x", "2015-07-09 15:41:40 [1.2.3.4] echo x", "2015-07-09 15:41:40 1xxx echo: x",
		`{"MESSAGE":"x","_COMM":"echo"}`, `{"MESSAGE":"x","_COMM":"echo","__REALTIME_TIMESTAMP":"1"`, `{"a":}`, `{"MESSAGE":[256]}`, "{", "{}{}{}{}{}{}{}{}{}",
		"<22>1 2026-11-22T06:25:52Z mx1 echo 250 - [x", "<22>1 yesterday mx1 echo 250 - - x", "<99999999999999999>Nov", "Nov  2 06:27:30 ",
	} {
		s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
		s.Parse([]byte(line), func(r *parsers.Record) { t.Errorf("%q: got %s", line, show(r)) })
	}
}

func TestResults(t *testing.T) {
	s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
	for _, test := range []struct {
		line string
		want parsers.Result
	}{
		{"Nov  2 06:27:30 mx1 echo/smtp[12]: hello", parsers.Understood},
		{"Nov  2 06:27:30 mx1 echo/smtp[12]: odd", parsers.Unparsed},
		{"Nov  2 06:27:30 mx1 dovecot: hello", parsers.Irrelevant},
		{"Nov  2 06:27:30 mx1 -- MARK --", parsers.Irrelevant},
		{"", parsers.Irrelevant},
		{"what is this", parsers.Unparsed},
		{"echo x", parsers.Understood},
		{"Nov  2 06:27:30 mx1 echo/smtp[12]: hello", parsers.Understood},
		{"odd continuation", parsers.Unparsed},
		{"even continuation", parsers.Understood},
		{"#table", parsers.Understood},
		{"Nov  2 06:27:30 mx1 dovecot: hello", parsers.Understood},
	} {
		if got := s.Parse([]byte(test.line), func(*parsers.Record) {}); got != test.want {
			t.Errorf("%q: got %d, want %d", test.line, got, test.want)
		}
	}
	seen := s.Seen()
	if len(seen) != 2 || seen[0].Format.Name != "echo" || seen[0].Lines != 6 || seen[0].Known != 4 || seen[1].Lines != 2 {
		t.Errorf("seen: got %+v", seen)
	}
}

// TestHeader reads lines below headers: they are of the header's format until
// another header or a log that is refused, which a row does not end for.
func TestHeader(t *testing.T) {
	s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
	const syslog = "Nov  2 06:27:30 mx1 dovecot: hello"
	for i, test := range []struct {
		line string
		want parsers.Result
	}{
		{syslog, parsers.Irrelevant},
		{"#table", parsers.Understood},
		{syslog, parsers.Understood},
		{"a,", parsers.Understood},
		{"#chair,", parsers.Understood}, // inside a row
		{"#chair", parsers.Understood},  // its last line
		{"#chair", parsers.Unparsed},
		{syslog, parsers.Irrelevant},
		{"what", parsers.Unparsed},
		{"#table", parsers.Understood},
		{"what", parsers.Understood},
		{"odd", parsers.Unparsed}, // of no other format either
		{"what", parsers.Understood},
		{"odd,", parsers.Unparsed},
		{"Nov  2 06:27:30 mx1 echo/smtp[12]: odd", parsers.Understood}, // in a row
		{"odd", parsers.Unparsed},
		{"what", parsers.Understood},
	} {
		if got := s.Parse([]byte(test.line), func(*parsers.Record) {}); got != test.want {
			t.Errorf("line %d, %q: got %d, want %d", i+1, test.line, got, test.want)
		}
	}
	if got := s.Refusal(); !strings.Contains(got, "a chair") {
		t.Errorf("refusal: got %q", got)
	}
}

func TestForced(t *testing.T) {
	s := newStream(t, "echo", 0, "2026-11-22T12:00:00Z", "UTC")
	for line, want := range map[string]parsers.Result{
		"Nov  2 06:27:30 mx1 own-name/smtp[12]: hello": parsers.Understood,
		"Nov  2 06:27:30 mx1 own-name/smtp[12]: odd":   parsers.Irrelevant,
		"#table": parsers.Understood, "what": parsers.Understood, "odd": parsers.Unparsed,
	} {
		if got := s.Parse([]byte(line), func(*parsers.Record) {}); got != want {
			t.Errorf("%q: got %d, want %d", line, got, want)
		}
	}
	if _, err := NewStream(parsers.Options{Location: time.UTC}, "nonsense", 0, time.Time{}); err == nil || !strings.Contains(err.Error(), "echo, table") {
		t.Errorf("unknown format: got %v", err)
	}
}

func TestYear(t *testing.T) {
	tests := []struct {
		name     string
		year     int
		modified string
		lines    string // "Nov 22" is a line, "=2026" after it its year
	}{
		{"this year", 0, "2026-11-22", "Nov 20=2026, Nov 22=2026"},
		{"last year", 0, "2026-11-22", "Nov 24=2025, Nov 25=2025"},
		{"written tomorrow by another zone", 0, "2026-11-22", "Nov 23=2026"},
		{"across New Year", 0, "2026-01-03", "Dec 30=2025, Dec 31=2025, Jan 1=2026, Jan 3=2026"},
		{"across two", 0, "2026-01-03", "Nov 30=2025, Dec 31=2025, Jan 1=2026, Dec 1=2025, Jan 1=2026"},
		{"long log, quiet", 0, "2026-06-01", "Aug 3=2025, Jan 4=2026, May 1=2026"},
		{"late line", 0, "2026-01-03", "Jan 1=2026, Dec 31=2025, Jan 1=2026, Jan 2=2026"},
		{"out of order", 0, "2012-03-01", "Feb 13=2012, Feb 16=2012, Feb 13=2012"},
		{"generations in the wrong order", 0, "2026-11-22", "Nov 15=2026, Nov 8=2026, Nov 1=2026, Jul 20=2026"},
		{"live across New Year", 0, "2025-12-01", "Dec 1=2025, Dec 31=2025, Jan 1=2026, Jun 1=2026, Dec 31=2026, Jan 1=2027"},
		{"leap day", 0, "2026-11-22", "Feb 29=2024, Mar 1=2024"},
		{"leap day, later", 0, "2026-11-22", "Feb 28=2026, Feb 29=2024, Mar 1=2024"},
		{"leap day after New Year", 0, "2024-03-22", "Dec 28=2023, Feb 29=2024, Mar 1=2024"},
		{"leap day at once after New Year", 0, "2023-12-30", "Dec 28=2023, Feb 29=2024"},
		{"given", 2013, "2026-11-22", "Dec 24=2013, Jan 2=2014"},
		{"given, no leap year", 2023, "2026-11-22", "Feb 29=2020"},
		{"late in the year, modified in January", 0, "2026-01-01", "Jan 2=2026, Jan 3=2026"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStream(t, "auto", test.year, test.modified+"T12:00:00Z", "UTC")
			for _, item := range strings.Split(test.lines, ", ") {
				date, want, _ := strings.Cut(item, "=")
				s.Parse([]byte(date+" 10:00:00 h echo[1]: x"), func(r *parsers.Record) {
					if got := r.Time.Format("Jan 2=2006"); got != item {
						t.Errorf("%s: got %s, want year %s", date, got, want)
					}
				})
			}
		})
	}
}

func TestClockChanges(t *testing.T) {
	tests := []struct{ name, zone, lines string }{
		{"back", "Europe/Berlin", "Oct 25 01:59:59=23:59:59, Oct 25 02:00:00=00:00:00, Oct 25 02:59:59=00:59:59, Oct 25 02:59:58=00:59:58, Oct 25 02:00:00=01:00:00, Oct 25 02:30:00=01:30:00, Oct 25 02:29:59=01:29:59, Oct 25 03:00:00=02:00:00"},
		{"back, quiet", "Europe/Berlin", "Oct 25 02:45:00=00:45:00, Oct 25 02:10:00=01:10:00"},
		{"back, next day first", "Europe/Berlin", "Oct 26 00:00:00=23:00:00"},
		{"forward", "Europe/Berlin", "Mar 29 01:59:59=00:59:59, Mar 29 03:00:00=01:00:00"},
		{"forward, skipped", "Europe/Berlin", "Mar 29 01:59:59=00:59:59, Mar 29 02:30:00=01:30:00, Mar 29 03:30:00=01:30:00"},
		{"west", "America/New_York", "Nov  1 01:30:00=05:30:00, Nov  1 01:00:00=06:00:00, Nov  1 02:00:00=07:00:00"},
		{"west, summer", "America/New_York", "Jul 10 23:30:00=03:30:00"},
		{"half an hour", "Australia/Lord_Howe", "Apr  5 01:45:00=14:45:00, Apr  5 01:35:00=15:05:00"},
		{"far east", "Pacific/Kiritimati", "Jul 10 00:00:00=10:00:00"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStream(t, "auto", 2026, "2026-11-22T12:00:00Z", test.zone)
			for _, item := range strings.Split(test.lines, ", ") {
				date, want, _ := strings.Cut(item, "=")
				s.Parse([]byte(date+" h echo[1]: x"), func(r *parsers.Record) {
					if got := r.Time.Format("15:04:05"); got != want {
						t.Errorf("%s: got %s, want %s UTC", date, got, want)
					}
				})
			}
		})
	}
}

// TestClockAgreesWithTimeDate compares every ten minutes of some years.
func TestClockAgreesWithTimeDate(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "Africa/Casablanca", "Australia/Lord_Howe"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		clock := parsers.NewClock(loc)
		start := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
		for u := start; u.Year() < 2026; u = u.Add(10 * time.Minute) {
			local := u.In(loc)
			y, m, d := local.Date()
			day, ok := parsers.DayNumber(y, int(m), d)
			if !ok {
				t.Fatalf("no day %s", local)
			}
			if got := clock.Instant(day, local.Hour()*3600+local.Minute()*60); got != u.Unix() {
				t.Fatalf("%s: got %s, want %s", local, time.Unix(got, 0).UTC(), u)
			}
		}
	}
}

func TestRepeats(t *testing.T) {
	lines := []struct {
		line string
		want int
	}{
		{"Nov 22 06:28:07 mx1 last message repeated 3 times", 0},
		{"Nov 22 06:28:07 mx1 echo[1]: one", 1},
		{"Nov 22 06:28:07 mx2 echo[1]: two", 1},
		{"Nov 22 06:28:08 mx1 last message repeated 3 times", 3},
		{"Nov 22 06:28:08 mx1 syslogd: last message repeated 1 time", 1},
		{"Nov 22 06:28:08 mx2 --- last message repeated 2 times ---", 2},
		{"Nov 22 06:28:08 mx3 last message repeated 2 times", 0},
		{"Nov 22 06:28:08 mx1 echo[1]: message repeated 2 times: [ hello ]", 2},
		{"Nov 22 06:28:08 mx1 echo[1]: message repeated 2 times: [hello", 1},
		{"Nov 22 06:28:08 mx1 echo[1]: message repeated 0 times: [ hello]", 1},
		{"Nov 22 06:28:08 mx1 echo[1]: message repeated 999999999 times: [ x]", maxRepeats},
	}
	s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
	for _, l := range lines {
		n := 0
		s.Parse([]byte(l.line), func(*parsers.Record) { n++ })
		if n != l.want {
			t.Errorf("%q: %d records, want %d", l.line, n, l.want)
		}
	}
}

// exportLog is two entries of journalctl -o export; the message of the second
// has newlines, and its length has one too.
var exportLog = "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1795328887586123\n_HOSTNAME=mx1\nSYSLOG_IDENTIFIER=echo/smtp\n_PID=7\nMESSAGE=AB12: to=<a@b>\n\n" +
	"__CURSOR=s=1;i=3\n__REALTIME_TIMESTAMP=1795328888000000\n_HOSTNAME=mx1\nSYSLOG_IDENTIFIER=echo\nMESSAGE\n\x0a\x00\x00\x00\x00\x00\x00\x00ab\n\ncd=ef\n\nOTHER\n\x00\x00\x00\x00\x00\x00\x00\x00\n_PID=8\n\n" +
	"__CURSOR=s=1;i=4\nMESSAGE=no time\n\n" +
	"Nov 22 06:28:09 mx1 echo[1]: classic\n"

func TestExport(t *testing.T) {
	s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
	var got []string
	results := map[parsers.Result]int{}
	for _, line := range strings.Split(strings.TrimSuffix(exportLog, "\n"), "\n") {
		results[s.Parse([]byte(line), func(r *parsers.Record) { got = append(got, show(r)) })]++
	}
	want := []string{
		"2026-11-22T06:28:07.586123Z mx1 echo/smtp[7] AB12: to=<a@b>",
		"2026-11-22T06:28:08Z mx1 echo[8] ab\n\ncd=ef\n",
		"2026-11-22T06:28:09Z mx1 echo[1] classic",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if results[parsers.Understood] != 3 || results[parsers.Unparsed] != 1 {
		t.Errorf("results: %v", results)
	}
}

// TestStateSplit saves and restores the state between any two lines and
// expects the same records as from one reading.
func TestStateSplit(t *testing.T) {
	log := strings.Split("Dec 31 23:59:59 a echo[1]: x\nDec 31 23:59:59 b echo[1]: y\nJan  1 00:00:00 a last message repeated 2 times\n"+
		"Oct 25 02:59:00 a echo[1]: x\nOct 25 02:00:00 a echo[1]: x\nOct 25 02:00:01 b last message repeated 1 time\n"+
		exportLog+"echo x\ncontinued\n#table\nNov 22 x\nlast", "\n")
	read := func(s *Stream, lines []string) (got []string) {
		for _, line := range lines {
			got = append(got, fmt.Sprint(s.Parse([]byte(line), func(r *parsers.Record) { got = append(got, fmt.Sprint(show(r), r.Size, r.Format.Name)) })))
		}
		return got
	}
	open := func() *Stream { return newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "Europe/Berlin") }
	want := read(open(), log)
	for i := range log {
		first := open()
		got := read(first, log[:i])
		state, err := first.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		second := open()
		if err := second.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		got = append(got, read(second, log[i:])...)
		if !slices.Equal(got, want) {
			t.Fatalf("split before line %d %q:\ngot  %q\nwant %q", i, log[i], got, want)
		}
		for n := range state { // a damaged state is an error, or harmless
			_ = open().UnmarshalBinary(state[:n])
		}
	}
}

func TestRefusal(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"Nov 22 06:28:07 mx1 dovecot: imap-login: x", "IMAP"},
		{"Nov 22 06:28:07 mx1 sm-mta[1]: x", "sendmail"},
		{"Nov 22 06:28:07 mx1 kernel: x", "syslog"},
		{`1.2.3.4 - - [22/Nov/2026:06:28:07 +0000] "GET / HTTP/1.1" 200 1 "-" "-"`, "web server"},
		{"#Log-type: ECP Activity Context Log", "Exchange"},
		{"a,b,c,d,e", "table"},
		{"what", "no line was understood; expected a log of one of echo, table"},
	} {
		s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
		s.Parse([]byte(test.line), func(*parsers.Record) {})
		if got := s.Refusal(); !strings.Contains(got, test.want) {
			t.Errorf("%q: got %q", test.line, got)
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add(exportLog)
	f.Add("Nov 22 06:28:08 mx1 echo[1]: message repeated 2 times: [ hello]\nNov 22 06:28:08 mx1 last message repeated 2 times")
	f.Add(`{"MESSAGE":["a\u00e4",[1,2]],"__REALTIME_TIMESTAMP":"1795328887586123","SYSLOG_IDENTIFIER":"echo"}`)
	f.Add("<22>1 2026-11-22T06:25:52Z mx1 echo/smtp 250 ID1 [a@1 b=\"x\"] x\n2013 Jun 10 06:27:30.123 h echo[1]: x\n2026-11-22 06:25:52,1 h echo[1]: x")
	f.Fuzz(func(t *testing.T, log string) {
		s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "Europe/Berlin")
		records := 0
		for _, line := range strings.Split(log, "\n") {
			s.Parse([]byte(line), func(r *parsers.Record) { records++; _ = show(r) })
			if records > maxRepeats {
				return
			}
		}
		state, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "Europe/Berlin").UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRepeatsOfManyHosts keeps the last lines of some hosts, not of all.
func TestRepeatsOfManyHosts(t *testing.T) {
	s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
	records := 0
	parse := func(line string) { s.Parse([]byte(line), func(*parsers.Record) { records++ }) }
	for i := range 3 * maxRepeatHosts {
		parse(fmt.Sprintf("Nov 22 06:28:07 mx%d echo[1]: x", i))
		parse(fmt.Sprintf("Nov 22 06:28:07 mx%d last message repeated 2 times", i))
	}
	if want := 3 * 3 * maxRepeatHosts; records != want {
		t.Errorf("%d records, want %d", records, want)
	}
	if len(s.repeated.hosts) != maxRepeatHosts {
		t.Errorf("%d hosts are kept", len(s.repeated.hosts))
	}
	records = 0
	parse("Nov 22 06:28:08 mx0 last message repeated 2 times") // its line is forgotten
	parse("Nov 22 06:28:08 mx1 echo[1]: " + strings.Repeat("x", maxRepeatLine+1))
	parse("Nov 22 06:28:08 mx1 last message repeated 2 times") // its line was too long to keep
	if records != 1 {
		t.Errorf("%d records, want 1", records)
	}
	state, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(state) > 1000 {
		t.Errorf("the state has %d bytes", len(state))
	}
	state[0]++
	if err := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC").UnmarshalBinary(state); err == nil {
		t.Error("the state of another version was accepted")
	}
}

// TestStatesOfOlderVersions continues where earlier versions of mailfail stopped: behind a
// line that is repeated, and in entries that were half read. The states of version 2 are those
// that the program before commit a8935f7 wrote.
func TestStatesOfOlderVersions(t *testing.T) {
	const plain = "\xea\x0f\v\x16\ueb54\xb0\r\x80\xaf\x84\xc9\xf2\xb5\xb0\x06\x00\x00\x00"
	const repeats = "\x01\x01\x03mx1\x04echo\x011\x01x\x00\x04echo\x01\x01"
	repeated := []string{"Nov 22 06:28:08 mx1 last message repeated 2 times"}
	for name, c := range map[string]struct {
		state string
		rest  []string
		want  string
	}{
		"1, a repeated line": {"\x01" + plain + repeats[1:], repeated,
			"2026-11-22T06:28:08Z mx1 echo[1] x|2026-11-22T06:28:08Z mx1 echo[1] x"},
		"2, a repeated line": {"\x02" + plain + "\x00\x00" + repeats, repeated,
			"2026-11-22T06:28:08Z mx1 echo[1] x|2026-11-22T06:28:08Z mx1 echo[1] x"},
		"2, journalctl -o export": {"\x02\x00\x00\x00\x00\x80\xa8\xe6\xb4\xf3\xb5\xb0\x06\x00\x00\x01\x00\x00\x00\x03mx1\x04echo\x00\x00\x10" +
			"1795329001000000\x00\x00\x00\x00\x00\x00\x01\x01\x03mx1\x04echo\x00\x03one\x00\x04echo\x01\x01",
			[]string{"MESSAGE=two", ""}, "2026-11-22T06:30:01Z mx1 echo[] two"},
		"2, journalctl -o json-pretty": {"\x02" + plain[:len(plain)-1] + "\x00\x01\x00D{ \"__REALTIME_TIMESTAMP\" : \"1795329001000000\", \"_HOSTNAME\" : \"mx1\", \x00" + repeats,
			[]string{` "SYSLOG_IDENTIFIER" : "echo",`, ` "MESSAGE" : "two"`, "}"}, "2026-11-22T06:30:01Z mx1 echo[] two"},
	} {
		s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
		if err := s.UnmarshalBinary([]byte(c.state)); err != nil {
			t.Errorf("version %s: %v", name, err)
			continue
		}
		var got []string
		for _, line := range c.rest {
			s.Parse([]byte(line), func(r *parsers.Record) { got = append(got, show(r)) })
		}
		if got := strings.Join(got, "|"); got != c.want {
			t.Errorf("version %s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestBeside reads lines of services that run beside a mail server: they are of no
// interest once a line of the server has been read, before it too.
func TestBeside(t *testing.T) {
	s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
	var counts [3]int
	lost := 0
	for _, line := range []string{
		"1:M 19 Nov 2026 12:37:15.123 * Ready", "2026-11-19 12:37:15,123 INFO spawned: 'x'", "Nov 19 12:37:15 mx echo[1]: x",
		"1:M 19 Nov 2026 12:37:16.123 * Ready", "{", " \"a\": 1,", " \"b\": 2", "}",
	} {
		counts[s.Parse([]byte(line), func(*parsers.Record) {})]++
		n := s.Lost()
		counts[parsers.Irrelevant] -= n
		counts[parsers.Unparsed] += n
		lost += n
	}
	if want := [3]int{1, 3, 4}; counts != want || lost != 1 {
		t.Errorf("got %v and %d, want %v and 1", counts, lost, want)
	}
}
