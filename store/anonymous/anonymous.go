// Package anonymous makes reports fit to be shown to others: its store.Database gives the
// answers of another one, with pseudonyms in place of persons.
package anonymous

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"

	"mailfail/registry"
)

// Names turns names into pseudonyms. The same name has the same pseudonym as long as the
// key is the same. Without the key, a pseudonym cannot be turned back into a name.
type Names struct {
	key []byte
	all bool // names of domains and hosts, and addresses of hosts, too
}

// NewNames returns pseudonyms that depend on a key.
func NewNames(key []byte, all bool) *Names { return &Names{key, all} }

var encoding = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// of returns the pseudonym of s; kind is its prefix.
func (n *Names) of(kind, s string) string {
	h := hmac.New(sha256.New, n.key)
	h.Write([]byte(kind + "\x00" + strings.ToLower(s)))
	return kind + "-" + encoding.EncodeToString(h.Sum(nil)[:5])
}

// Address returns an address, or the name of an account, with a pseudonym before the @. The
// pseudonym depends on the whole address: the same name in two domains is two persons. "",
// "<>" and the null sender stay.
func (n *Names) Address(s string) string {
	bare := strings.Trim(s, "<>")
	if bare == "" {
		return s
	}
	at := strings.LastIndexByte(bare, '@')
	if at < 0 {
		return strings.Replace(s, bare, n.of("user", bare), 1)
	}
	return strings.Replace(s, bare, n.of("user", bare)+"@"+n.Name(bare[at+1:]), 1)
}

// Name returns the name of a domain or a host, or a pseudonym of it if all names are
// wanted. A name without a dot or a colon stays: it is that of a provider or an MTA.
func (n *Names) Name(s string) string {
	if !n.all || !strings.ContainsAny(s, ".:") {
		return s
	}
	return n.of("host", strings.TrimSuffix(s, ".")) + ".invalid"
}

// messageID returns the pseudonym of a Message-ID. It keeps the domain as Address does.
func (n *Names) messageID(s string) string {
	bare := strings.Trim(s, "<>")
	if bare == "" {
		return s
	}
	_, domain, found := strings.Cut(bare, "@")
	if found {
		domain = "@" + n.Name(domain)
	}
	return "<" + n.of("id", bare) + domain + ">"
}

// place returns the place where a mailbox put mail, with pseudonyms for addresses and for
// the name of the folder, except folders that every mailbox has.
func (n *Names) place(s string) string {
	const stored = ": stored in "
	if program, folder, ok := strings.Cut(s, stored); ok {
		switch strings.ToLower(folder) {
		case "inbox", "junk", "spam", "trash":
			return s
		}
		return program + stored + n.of("folder", folder)
	}
	return n.Text(s)
}

// Text takes for persons: addresses, words in angle brackets or quotes, and words that
// follow the terms by which servers name accounts.
var (
	addresses = regexp.MustCompile(`("[^"\s]+"|[^\s<>()"',;:@\[\]=]+)@([A-Za-z0-9\[][A-Za-z0-9._:\]-]*)`)
	quoted    = regexp.MustCompile(`(<)([^<>@\s]+)(>)|(['"‘“])([^'"‘’“”@\s]+)(['"’”])`)
	accounts  = regexp.MustCompile(`(?i)\b(sasl_username|username|login|user|account|mailbox|uid)([=:]\s*)([^\s,;<>'"]+)`)
	named     = regexp.MustCompile(`(?i)\b(user|mailbox|account|recipient|alias|person)(\s+)([\w.+-]{2,})(\s+(?:unknown|not|does|doesn|is|isn|has|was|over|no|cannot|can|could|in|on|at|disabled|suspended|full|rejected)\b)`)
	hosts     = regexp.MustCompile(`\b(?:[A-Za-z0-9_-]+\.)+[A-Za-z]{2,}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9A-Fa-f]{0,4}:){3,}[0-9A-Fa-f]*\b`)
)

// Text returns a text with pseudonyms for the persons in it. It replaces the persons in
// known wherever they stand.
func (n *Names) Text(s string, known ...string) string {
	s = addresses.ReplaceAllStringFunc(s, n.Address)
	for _, person := range known {
		s = n.replace(s, person)
	}
	s = quoted.ReplaceAllStringFunc(s, func(m string) string {
		g := quoted.FindStringSubmatch(m)
		return g[1] + g[4] + n.word(g[2]+g[5]) + g[3] + g[6]
	})
	s = accounts.ReplaceAllStringFunc(s, func(m string) string {
		g := accounts.FindStringSubmatch(m)
		return g[1] + g[2] + n.word(g[3])
	})
	s = named.ReplaceAllStringFunc(s, func(m string) string {
		g := named.FindStringSubmatch(m)
		if grammar[strings.ToLower(g[3])] {
			return m
		}
		return g[1] + g[2] + n.word(g[3]) + g[4]
	})
	if n.all {
		s = hosts.ReplaceAllStringFunc(s, func(m string) string {
			if strings.HasSuffix(m, ".invalid") {
				return m
			}
			return n.Name(m)
		})
	}
	return s
}

// grammar holds words that follow "user" or "mailbox" and are not names.
var grammar = map[string]bool{"is": true, "has": true, "was": true, "does": true, "did": true, "not": true,
	"no": true, "over": true, "unknown": true,
	"quota": true, "name": true, "account": true, "mailbox": true, "address": true, "or": true, "and": true,
	"in": true, "on": true, "with": true,
	"for": true, "limit": true, "size": true, "could": true, "can": true, "cannot": true, "that": true,
	"who": true, "verify": true, "disabled": true,
	"suspended": true, "full": true, "rejected": true, "unavailable": true, "table": true, "status": true,
	"server": true, "domain": true,
	"you": true, "this": true, "may": true, "will": true, "must": true, "are": true}

// word returns the pseudonym of a word. It returns s itself if s is a pseudonym or not a
// name: a status, or a placeholder of a signature.
func (n *Names) word(s string) string {
	if s == "" || strings.HasPrefix(s, "user-") || strings.Trim(s, "0123456789.+-_*") == "" ||
		strings.ContainsAny(s, "/%{}") {
		return s
	}
	return n.of("user", s)
}

// replace replaces the name of a person by a pseudonym where the name stands alone in s.
// The name is the part of an address before the @, or an account.
func (n *Names) replace(s, person string) string {
	bare := strings.ToValidUTF8(strings.Trim(person, "<>"), "\uFFFD") // as in the database
	local := bare
	if at := strings.LastIndexByte(bare, '@'); at >= 0 {
		local = bare[:at]
	}
	if len(local) < 2 {
		return s
	}
	word := regexp.MustCompile(`(?i)(^|[^\w.-])` + regexp.QuoteMeta(local) + `($|[^\w-])`)
	return word.ReplaceAllString(s, "${1}"+n.of("user", bare)+"${2}")
}

func (n *Names) foreign(f *registry.Foreign, change func(string) string) {
	*f = registry.Foreign(change(f.Raw()))
}
