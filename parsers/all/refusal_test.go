package all

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/detect"
)

// TestRefusals reads logs that are none of ours: they give no record, no
// format understands a line of them, and the refusal says what they are.
func TestRefusals(t *testing.T) {
	shared := map[string]string{
		"exchange/kinesis-2.log":            "ECP",
		"exchange/paste-iis-smtp-2009.log":  "IIS",
		"exchange/msqa-recipientstatus.txt": "statuses",
		"replies/sisimai-expected.tsv":      "table",
	}
	for name, want := range shared {
		text, err := os.ReadFile(filepath.Join("../../../shared/corpus", name))
		if os.IsNotExist(err) {
			t.Skip("no logs of other programs in ../shared/corpus")
		}
		if err != nil {
			t.Fatal(err)
		}
		refuse(t, name, text, want)
	}
}

func TestRefusalsOfWellKnownLogs(t *testing.T) {
	for _, test := range []struct{ log, want string }{
		{"Nov 22 06:28:07 mx1 dovecot: imap-login: Login: user=<joe>, method=PLAIN, rip=192.0.2.1", "IMAP"},
		{"Nov 22 06:28:07 mx1 cyrus/lmtp[17]: Delivered: <x@y> to mailbox: user.joe", "IMAP"},
		{"Nov 22 06:28:07 mx1 amavis[17]: (17-01) Passed CLEAN", "mail filter"},
		{"Nov 22 06:28:07 mx1 sshd[17]: Accepted publickey for root", "syslog"},
		{`192.0.2.1 - - [22/Nov/2026:06:28:07 +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8"`, "web server"},
		{"date;domain;count\n2026-11-22;example.org;7\n2026-11-23;a;b;c;8", "table"},
		{"<?xml version=\"1.0\"?>\n<a>\n  <b/>\n</a>", "HTML or XML"},
		{"\x1f\x8b\x08\x00\x00\x00", "binary"},
		{"\n\nRunspaceId      : 8e1cd3dc-2244-4b1d-96bc-e1d4af6e9aac\nIdentity        : EX01\\Submission\nDeliveryType    : Undefined\n\n", "Format-List"},
		{"Dear postmaster,\n\nplease find attached", "expected a log of one of"},
	} {
		refuse(t, test.log, []byte(test.log), test.want)
	}
}

func refuse(t *testing.T, name string, text []byte, want string) {
	t.Helper()
	s, err := detect.NewStream(parsers.Options{Location: time.UTC}, "auto", 0, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		result := s.Parse(line, func(r *parsers.Record) { t.Errorf("%s: a record of %q", name, line) })
		if result == parsers.Understood {
			t.Errorf("%s: understood: %q", name, line)
		}
	}
	if got := s.Refusal(); !strings.Contains(got, want) {
		t.Errorf("%s: got %q, want %q in it", name, got, want)
	}
}
