package exim

import (
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

// TestEarlierHost reads deliveries whose last host could not be reached, while one
// before it refused the session.
func TestEarlierHost(t *testing.T) {
	const (
		at       = "2026-11-30 10:00:00 1xV12S-00001N-2P "
		refused  = "H=mx1.far.example [192.0.2.1]: SMTP error from remote mail server after initial connection: 554 5.7.1 not you"
		noRoute  = "H=mx2.far.example [2001:db8::2] Network is unreachable"
		outcome  = "== a@far.example R=dnslookup T=remote_smtp defer (101): Network is unreachable H=mx2.far.example [2001:db8::2]"
		byItself = `attempt 1xV12S-00001N-2P deferred to=a@far.example relay=mx2.far.example ip=2001:db8::2 service=remote_smtp at=connect/network "Network is unreachable"`
		before   = `attempt 1xV12S-00001N-2P deferred to=a@far.example relay=mx1.far.example ip=192.0.2.1 service=remote_smtp at=banner/remote code=554/5.7.1 "554 5.7.1 not you" then "Network is unreachable"`
	)
	tests := map[string]struct {
		lines []string
		want  string // the last record
	}{
		"no refusal": {[]string{noRoute, outcome}, byItself},
		"refusal":    {[]string{refused, noRoute, outcome}, before},
		"given up": {[]string{refused, noRoute, "** a@far.example R=dnslookup T=remote_smtp H=mx2.far.example [2001:db8::2]: SMTP timeout after initial connection: retry timeout exceeded"},
			`attempt 1xV12S-00001N-2P failed given-up to=a@far.example relay=mx1.far.example ip=192.0.2.1 service=remote_smtp at=banner/remote code=554/5.7.1 "554 5.7.1 not you" then "SMTP timeout after initial connection"`},
		"of another message": {[]string{"1xV12S-00001N-2Q " + refused, noRoute, outcome}, byItself},
		"of a recipient":     {[]string{"H=mx1.far.example [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<b@far.example>: 451 later", noRoute, outcome}, byItself},
		"another site":       {[]string{"H=mx1.near.example [192.0.2.1]: SMTP error from remote mail server after initial connection: 554 no", noRoute, outcome}, byItself},
		"tried again":        {[]string{refused, noRoute, outcome, "H=mx1.far.example [192.0.2.1] Connection refused", noRoute, outcome}, byItself},
		"the last one": {[]string{refused, "== a@far.example R=dnslookup T=remote_smtp defer (-45) H=mx1.far.example [192.0.2.1]: SMTP error from remote mail server after initial connection: 554 5.7.1 not you"},
			`attempt 1xV12S-00001N-2P deferred to=a@far.example relay=mx1.far.example ip=192.0.2.1 service=remote_smtp at=banner/remote code=554/5.7.1 "554 5.7.1 not you"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := New(parsers.Options{Location: time.UTC})
			var got string
			for _, l := range tt.lines {
				text := at + l
				if l[0] == '1' {
					text = at[:20] + l
				}
				p.Parse(&parsers.Entry{Message: []byte(text)}, func(r *parsers.Record) { got = parserstest.Show(r) })
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
