package exchange_test

import (
	"strings"
	"testing"

	"mailfail/parsers/parserstest"
)

// kitLogs are a small log of each format that comes in rows.
var kitLogs = map[string]string{
	"exchange-tracking": header2007 + row2007("a@x", "\"one\ntwo\"") + row2007("b@x", "plain"),
	"exchange-smtpsend": dialogue(headerSend, "Out", "+\n< 220 mx\n> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 250 ok\n< 550-no\n< 550 no\n-"),
	"exchange-smtpreceive": dialogue(headerRecv, `EX\In`,
		"+\n> 220 mx\n< MAIL FROM:<s@x>\n< RCPT TO:<a@x>\n> 250 ok\n> 550 no\n-"),
	"exchange-connectivity": "#Log-type: Transport Connectivity Log\n" +
		"2020-02-27T00:12:30.473Z,08D7B96ECD14C499,SMTP,x,>,Failed connection to y[TargetHost:\n" +
		"2020-02-27T00:12:30.473Z,08D7B96ECD14C499,SMTP,x,-,Messages: 0 Bytes: 0 (Retry : Unable to connect)",
}

func TestKitSplit(t *testing.T) {
	for name, log := range kitLogs {
		parserstest.Split(t, name, "", strings.Split(strings.TrimSuffix(log, "\n"), "\n")...)
	}
}

func FuzzTracking(f *testing.F) {
	parserstest.Fuzz(f, "exchange-tracking", "", kitLogs["exchange-tracking"])
}

func FuzzSend(f *testing.F) {
	parserstest.Fuzz(f, "exchange-smtpsend", "", kitLogs["exchange-smtpsend"])
}

func FuzzReceive(f *testing.F) {
	parserstest.Fuzz(f, "exchange-smtpreceive", "", kitLogs["exchange-smtpreceive"])
}

func FuzzConnectivity(f *testing.F) {
	parserstest.Fuzz(f, "exchange-connectivity", "", kitLogs["exchange-connectivity"])
}
