package syslog

import (
	"testing"
	"time"
)

func TestTimeOf(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{inner, "2026-11-19T11:37:15Z"},
		{exim, "2026-11-14T18:12:57Z"},
		{"mail-1  | " + inner, "2026-11-19T11:37:15Z"},
		{`{"log":"x\n","stream":"stdout","time":"2026-11-19T11:37:15Z"}`, "2026-11-19T11:37:15Z"},
		{`{"timestamp":1795091835.5,"log":"cut of`, "2026-11-19T12:37:15Z"},
		{"#Software: Microsoft Exchange Server", "0001-01-01T00:00:00Z"},
		{"", "0001-01-01T00:00:00Z"},
		{"type,timeLogged,orig", "0001-01-01T00:00:00Z"},
	} {
		got := TimeOf([]byte(test.line), time.UTC, 0, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
		if got.Format(time.RFC3339) != test.want {
			t.Errorf("%s: got %v, want %s", test.line, got, test.want)
		}
	}
}
