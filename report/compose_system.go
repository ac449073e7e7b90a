package report

import (
	"cmp"
	"slices"

	"mailfail/registry"
	"mailfail/report/investigate"
	"mailfail/store"
	"mailfail/templates"
)

// A queue counts as stuck when at least leastStuck messages, and at least
// 1/shareOfStuck of the accepted ones, were never tried.
const (
	leastStuck   = 10
	shareOfStuck = 10 // a tenth
)

// isStuck reports whether so many accepted messages were never tried that the queue
// seems to be stuck.
func (c *composer) isStuck() bool {
	return c.Untried >= leastStuck && c.Untried*shareOfStuck >= c.Accepted && !c.ofCause(nil)
}

// stuck returns the problem of a stuck queue, unless an investigation or a cluster has it.
func (c *composer) stuck() []Problem {
	if !c.isStuck() || slices.ContainsFunc(c.clusters, (*cluster).untried) || c.Found != nil &&
		slices.ContainsFunc(c.Found.Problems, func(p investigate.Problem) bool {
			return p.Kind == investigate.UntriedMail
		}) {
		return nil
	}
	p := Problem{See: c.here("mailfail investigate")}
	c.tellStuck(&p)
	return []Problem{p}
}

// tellStuck says of a problem that the queue is stuck.
func (c *composer) tellStuck(p *Problem) {
	p.Severity = "critical"
	p.Title = templates.Say("Accepted mail is not tried: %v of %v messages", c.Untried, c.Accepted)
	p.Facts = append(p.Facts, templates.Words(
		"They came into the queue, and the logs say nothing of them since."))
	p.Do = "Look at the queue (mailq) and at the delivery processes: is the queue manager running, is " +
		"the queue held, is the disk full?"
}

// shownTroubles is how many kinds of lines of the mail system are shown.
const shownTroubles = 8

// systemTrouble lists the troubles that the mail systems report about themselves,
// grouped by kind.
func (c *composer) systemTrouble() Section {
	s := Section{ID: "system", Title: "The mail system itself"}
	rows := slices.Clone(c.System)
	slices.SortStableFunc(rows, func(a, b store.TroubleRow) int {
		return cmp.Or(cmp.Compare(gravity(a.Kind), gravity(b.Kind)), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(b.N, a.N))
	})
	t := &Table{Columns: []Column{{Title: "Kind"}, {Title: "Times", Number: true}, {Title: "First"},
		{Title: "Last"}, {Title: "Service", Name: true}}}
	advised := ""
	for _, r := range top(rows, c.rows(shownTroubles)) {
		row := Row{
			Cells: []templates.Text{templates.Words(r.Kind), templates.Number(r.N),
				templates.Words(c.clock(r.First)), templates.Words(c.clock(r.Last)),
				templates.Name(r.Service)},
			Quote: []registry.Foreign{r.Text},
		}
		if r.Kind != advised && gravity(r.Kind) < len(troubles) {
			row.Below = []templates.Text{templates.Words(troubles[gravity(r.Kind)].advice)}
			advised = r.Kind
		}
		t.Rows = append(t.Rows, row)
	}
	s.Table, s.More = t, more(len(rows)-len(t.Rows), "kind")
	return s
}

// troubles are the kinds of trouble that parsers report, the gravest first, and
// what to do. Those that stop mail are alarms.
var troubles = []struct {
	kind   string
	alarm  bool
	advice string
}{
	{"disk", true, "Make room where the queue and the mailboxes are (df -h, df -i)."},
	{"memory", true, "Raise the limits of memory, processes or open files of the mail server."},
	{"queue", true, "Look at the damaged queue file (postsuper -s repairs the structure of Postfix's)."},
	{"process", true, "A daemon dies or cannot be started: look for its first error, and at its configuration."},
	{"open-resolver", true,
		"The blocklist refuses this resolver, so that all mail may be refused: use a resolver of your own, or take the list out."},
	{"milter", true, "Start the milter again; until then mail is deferred, or passes unchecked."},
	{"filter", true, "Start the content filter again; mail waits for it."},
	{"policy-service", true, "Start the policy service again; mail is deferred without it."},
	{"lookup", true, "Check the database or directory that holds users and domains."},
	{"authentication", true, "Check the SASL server (saslauthd, Dovecot): users cannot log in."},
	{"tls", false, "Check the certificate and the key of this host: dates, chain, permissions."},
	{"configuration", false, "Correct the configuration (postfix check, exim -bV)."},
	{"dns", false, "Check the resolver of this host."},
	{"limit", false, "Raise the limit of processes or connections, or find out who uses them up."},
	{"tlsrpt", false, "TLS to these domains fails: compare with their DANE or MTA-STS policy."},
}

// gravity returns the index of a kind in troubles, the length of troubles when the kind
// is not listed.
func gravity(kind string) int {
	for i := range troubles {
		if troubles[i].kind == kind {
			return i
		}
	}
	return len(troubles)
}

// systemAlarms reports whether the mail system reports trouble that stops mail.
func (c *composer) systemAlarms() bool {
	return slices.ContainsFunc(c.System, func(r store.TroubleRow) bool {
		i := gravity(r.Kind)
		return i < len(troubles) && troubles[i].alarm
	})
}
