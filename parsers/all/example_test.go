package all_test

import (
	"fmt"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/detect"
)

// A stream finds out whose each line is, and passes on what the lines say.
func Example() {
	s, err := detect.NewStream(parsers.Options{Location: time.UTC}, "auto", 2026, time.Now())
	if err != nil {
		panic(err)
	}
	for _, line := range []string{
		"Nov 20 06:27:30 mx1 postfix/smtp[12]: 4505511A2B: to=<a@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 unknown (in reply to RCPT TO command))",
		`2026-11-20 06:27:31 1vLxyz-0000AB-CD => b@example.net R=dnslookup T=remote_smtp H=mx.example.net [192.0.2.2] C="250 OK"`,
	} {
		result := s.Parse([]byte(line), func(r *parsers.Record) {
			fmt.Printf("%s %s %s %d\n", r.Format.Name, r.Address, r.Outcome, r.Reply.Code)
		})
		if result == parsers.Unparsed {
			fmt.Println("not understood:", line)
		}
	}
	// Output:
	// postfix a@example.org failed 550
	// exim b@example.net delivered 250
}
