package explain

import (
	"net/netip"
	"regexp"
	"strings"
	"sync"

	"mailfail/parsers/dsn"
	"mailfail/registry"
)

// Contains holds what a reply names besides its codes: addresses to look up, and where
// to ask.
type Contains struct {
	List    string   `json:"list,omitempty"`    // the block list that the server asked
	Refused string   `json:"refused,omitempty"` // the IP address or mail address that is refused
	Links   []string `json:"links,omitempty"`
	Contact string   `json:"contact,omitempty"` // an address to write to
}

// patterns are compiled for the first reply.
var patterns = sync.OnceValue(func() (p struct{ link, contact, refused, bracketed *regexp.Regexp }) {
	p.link = regexp.MustCompile(`(?i)\bhttps?://[^\s<>"'()\\]+`)
	p.contact = regexp.MustCompile(`(?i)(?:contact|write to|mail to|mailto:|e-?mail|forward (?:this|the) (?:error|message) to|forward[a-z ]* to|report[a-z ]* to|questions?:?)\s*<?([a-z0-9._+-]+@[a-z0-9.-]+\.[a-z]+)`)
	p.refused = regexp.MustCompile(`(?i)(?:RCPT TO:|MAIL FROM:)?<([^<>\s@]+@[^<>\s]+)>`)
	p.bracketed = regexp.MustCompile(`[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){3,7}`)
	return p
})

// roles are the local parts of addresses that answer questions.
var roles = lazy(`(?i)\b((?:postmaster|abuse|delist|removal|tosa|support|noc|helpdesk|unblock|abuse_rbl|blocklist)@[a-z0-9.-]+\.[a-z]+)`)

// maxLinks limits the links of one reply.
const maxLinks = 5

// lift finds addresses, block lists and links in a reply; nil when there are none.
func lift(text string) *Contains {
	p := patterns()
	quote := dsn.Quoted(text)
	c := Contains{List: registry.ListIn(quote)}
	for _, link := range p.link.FindAllString(quote, maxLinks) {
		c.Links = append(c.Links, strings.TrimRight(link, ".,;:!?"))
	}
	if m := p.contact.FindStringSubmatch(quote); m != nil {
		c.Contact = m[1]
	} else if m := roles().FindStringSubmatch(quote); m != nil && !strings.Contains(quote, "<"+m[1]+">") {
		c.Contact = m[1]
	}
	c.Refused = refused(quote, p.refused, p.bracketed)
	if c.List == "" && c.Refused == "" && c.Contact == "" && len(c.Links) == 0 {
		return nil
	}
	return &c
}

// refused returns the first address that a reply names outside of its links: an IP
// address before a mail address, since block lists are looked up by IP address.
func refused(quote string, mail, ip *regexp.Regexp) string {
	text := patterns().link.ReplaceAllString(quote, " ")
	for _, word := range ip.FindAllString(text, 8) {
		if addr, err := netip.ParseAddr(word); err == nil && !addr.IsLoopback() && !addr.IsUnspecified() {
			return addr.String()
		}
	}
	if m := mail.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}
