// Package all registers every log format by importing its parser. A new format is one
// folder and one line here.
package all

import (
	_ "mailfail/parsers/bounces"
	_ "mailfail/parsers/exchange"
	_ "mailfail/parsers/exim"
	_ "mailfail/parsers/filters"
	_ "mailfail/parsers/haraka"
	_ "mailfail/parsers/kumomta"
	_ "mailfail/parsers/mailgun"
	_ "mailfail/parsers/opensmtpd"
	_ "mailfail/parsers/postfix"
	_ "mailfail/parsers/powermta"
	_ "mailfail/parsers/sendmail"
	_ "mailfail/parsers/ses"
)
