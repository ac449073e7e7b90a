package exim

import (
	"testing"

	"mailfail/parsers/parserstest"
)

var kitLines = []string{
	"2026-11-22 06:28:11 1xV13b-00001M-2y <= a@b.test H=c.test [192.0.2.7] P=esmtpsa X=TLS1.3:x:256 A=plain:joe S=12 id=x@y for x@y.test",
	"2026-11-22 06:28:12 1xV13b-00001M-2y => a@y.test <list@b.test> R=r T=smtp H=mx.y.test [192.0.2.25] C=\"250 OK\"",
	"2026-11-22 06:28:12 1xV13b-00001M-2y == a@y.test R=r T=smtp defer (-44) H=mx.y.test [192.0.2.25]: SMTP error from remote mail server after RCPT TO:<a@y.test>: 450 later",
	"2026-11-22 06:28:12 1xV13b-00001M-2y ** a@y.test R=r T=smtp: retry timeout exceeded",
	"2026-11-22 06:28:12 1xV13b-00001M-2y => /dev/null <spam@b.test> R=f T=**bypassed**",
	"2026-11-22 06:28:12 H=(x) [192.0.2.7] F=<a@b> rejected RCPT <c@d>: no",
	"2026-11-22 06:28:12 1xV13b-00001M-2y Completed",
}

func TestSplit(t *testing.T) { parserstest.Split(t, "exim", "", kitLines...) }

func TestNoAllocation(t *testing.T) { parserstest.NoAlloc(t, "exim", "", kitLines...) }

func FuzzContract(f *testing.F) {
	parserstest.Fuzz(f, "exim", "", append(kitLines, "[1/2] 2026-11-22 06:28:12 1xV13b-00001M-2y =>", "[2/2]  a@b")...)
}
