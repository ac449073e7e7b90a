package table

import (
	"testing"
	"time"

	"mailfail/parsers"
)

func TestRow(t *testing.T) {
	const header = "type,rcpt,dsnDiag\r"
	for _, test := range []struct{ row, rcpt, diag string }{
		{"d,a@x,250 ok\r", "a@x", "250 ok"},
		{`d,a@x,"smtp;550 ""no"", sorry"`, "a@x", `smtp;550 "no", sorry`},
		{`d,"""a, b""@x",""`, `"a, b"@x`, ""},
		{`d,a@x`, "a@x", ""},
		{`d,a@x,"open`, "-", "-"},
		{`d,a@x,"a"b`, "-", "-"},
	} {
		table := New("rcpt", "dsnDiag", "absent")
		if table.Row([]byte(test.row)) || !table.SetHeader([]byte(header)) {
			t.Fatal("no header")
		}
		rcpt, diag := "-", "-"
		if table.Row([]byte(test.row)) {
			rcpt, diag = string(table.Field(0)), string(table.Field(1))
		}
		if rcpt != test.rcpt || diag != test.diag || table.Field(2) != nil {
			t.Errorf("%s: %q %q", test.row, rcpt, diag)
		}
	}
}

func TestIsHeader(t *testing.T) {
	for line, want := range map[string]bool{
		"type,timeLogged,rcpt":             true,
		"\xef\xbb\xbfrcpt;type;x_y\r":      true,
		"type\trcpt\t":                     true,
		`"type","rcpt"`:                    true,
		"type,timeLogged":                  false,
		"type,rcpt,a@x":                    false,
		"type rcpt":                        true,
		"Nov 22 06:40:00 mx type,rcpt":     false,
		"":                                 false,
		"type,rcpt,header_x-Mailer, other": true,
	} {
		if got := IsHeader([]byte(line), "type", "rcpt"); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

func TestTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for in, want := range map[string]string{
		"1795329600":                "2026-11-22T06:40:00Z",
		"1795329600.25":             "2026-11-22T06:40:00.25Z",
		"1795329600.2x":             "0001-01-01T00:00:00Z",
		"2026-11-22 06:40:00+0100":  "2026-11-22T05:40:00Z",
		"2026-11-22 06:40:00 -0530": "2026-11-22T12:10:00Z",
		"2026-11-22T06:40:00.5Z":    "2026-11-22T06:40:00.5Z",
		"2026-07-22 06:40:00":       "2026-07-22T04:40:00Z",
		"2026-11-22T06:40:00+01:00": "2026-11-22T05:40:00Z",
		"2026-13-22 06:40:00":       "0001-01-01T00:00:00Z",
		"2026-11-22 06:40":          "0001-01-01T00:00:00Z",
		"12":                        "0001-01-01T00:00:00Z",
	} {
		clock := parsers.NewClock(berlin)
		if got := Time([]byte(in), &clock).Format(time.RFC3339Nano); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
