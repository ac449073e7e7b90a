package parsers

import "mailfail/registry"

// Reply is an SMTP reply (RFC 5321 section 4.2) as a log quotes it.
type Reply struct {
	Code     uint16            // 0 when there is none
	Enhanced registry.Enhanced // RFC 2034; zero when there is none
	Text     []byte            // whole, with the codes, as logged
}
