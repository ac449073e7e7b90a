package main

import (
	"bytes"
	"strings"
	"testing"
)

const small = "Nov 22 06:26:52 mx1 postfix/qmgr[1]: EB5C0120738: from=<joe@sender.test>, size=1, nrcpt=1 (queue active)\n" +
	"Nov 22 06:26:53 mx1 postfix/smtp[2]: EB5C0120738: to=<ann@gmz.test>, relay=mx00.gmz.test[127.0.1.7]:25, status=sent (250 OK)\n"

func TestScale(t *testing.T) {
	l := parse([]byte(small))
	var b bytes.Buffer
	for n := range 3 {
		if err := l.write(&b, n, 1); err != nil {
			t.Fatal(err)
		}
	}
	const want = "Nov 22 06:26:52 mx1 postfix/qmgr[1]: EB5C0120738: from=<joe.0@sender-0.test>, size=1, nrcpt=1 (queue active)\n" +
		"Nov 22 06:26:53 mx1 postfix/smtp[2]: EB5C0120738: to=<ann.0@gmz-0.test>, relay=mx00.gmz-0.test[127.0.1.7]:25, status=sent (250 OK)\n" +
		"Nov 22 06:26:54 mx1 postfix/qmgr[1]: EB5C1120738: from=<joe.1@sender-0.test>, size=1, nrcpt=1 (queue active)\n" +
		"Nov 22 06:26:55 mx1 postfix/smtp[2]: EB5C1120738: to=<ann.1@gmz-0.test>, relay=mx00.gmz-0.test[127.0.1.7]:25, status=sent (250 OK)\n"
	if got := b.String(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 6 {
		t.Errorf("got\n%swant it to begin with\n%s", got, want)
	}
}

// Every copy has ids of its own that look like the first.
func TestAppendID(t *testing.T) {
	for _, id := range []string{"EB5C0120738", "1xV12Z-0000Ik-2g", "4Y8bQz1Xk5z2LvB"} {
		seen := map[string]bool{}
		for n := range 5000 {
			got := string(appendID(nil, []byte(id), n))
			if seen[got] || len(got) != len(id) {
				t.Fatalf("%s: copy %d has %s", id, n, got)
			}
			seen[got] = true
		}
	}
}
