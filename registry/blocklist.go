package registry

import (
	"regexp"
	"strings"
	"sync"
)

// listPattern is compiled at the first use.
var listPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(?:blocked using|rejected using|listed (?:at|by|in|on)|black ?list(?:ed)? (?:at|by|in)|list(?:ed)? in an? rbl at|found on)\s+(?:the\s+)?([a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+|spamhaus|spamcop|barracuda|sorbs)\b`)
})

// ListIn returns the block list that a reply names, "" when it names none.
func ListIn(text string) string {
	if m := listPattern().FindStringSubmatch(text); m != nil {
		return strings.Trim(m[1], ".")
	}
	return ""
}
