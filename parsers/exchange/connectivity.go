package exchange

import (
	"bytes"

	"mailfail/parsers"
)

const connectivityFields = "date-time,session,source,Destination,direction,description"

// connectivity reads the rows of the transport connectivity log ("Connectivity
// logging in Exchange Server"): + a queue opened, > what DNS and connecting
// came to, - the end with what was sent. It names destinations but no
// recipients, so that nothing in it is an attempt; the tracking log tells what
// became of the recipients.
type connectivity struct{ clock clock }

func (c *connectivity) header(names [][]byte) bool {
	return bytes.EqualFold(bytes.Join(names, []byte(",")), []byte(connectivityFields))
}

func (c *connectivity) row(fields [][]byte, _ func(*parsers.Record)) parsers.Result {
	if len(fields) != 6 || len(fields[4]) != 1 || bytes.IndexByte([]byte("+->*<"), fields[4][0]) < 0 {
		return parsers.Unparsed
	}
	if _, ok := c.clock.read(fields[0]); !ok {
		return parsers.Unparsed
	}
	return parsers.Understood
}
