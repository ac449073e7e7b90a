package report

import (
	"sync"

	"mailfail/registry"
	"mailfail/store"
)

// BySenderAddress groups by the address of the envelope sender. It cannot be combined
// with other dimensions, and needs a report straight from logs: a database keeps the
// domains of senders, and only the addresses of senders whose mail failed.
const BySenderAddress store.Dimension = "sender-address"

// Addresses counts messages, recipients and bytes by sender address while logs are
// read.
type Addresses struct {
	Window store.Window
	Filter store.Filter

	mutex sync.Mutex
	by    map[string]*Sender
}

// mostAddresses limits how many addresses are counted separately; all further ones are
// counted as "…".
const mostAddresses = 500_000

// Add counts a submission, if it is within the window and the filter.
func (a *Addresses) Add(s *store.Submission) {
	since, until := a.Window.Minutes().Micros()
	switch {
	case s.Time < since, s.Time >= until,
		!store.MatchName(a.Filter.Hosts, registry.Foreign(s.Host)),
		!store.MatchDomain(a.Filter.Senders, registry.Foreign(s.Sender)),
		!store.MatchName(a.Filter.Accounts, registry.Foreign(s.Account)):
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.by == nil {
		a.by = map[string]*Sender{}
	}
	sender := a.by[string(s.Address)]
	if sender == nil {
		name := store.Clean(string(s.Address))
		if name == "" {
			name = string(s.Sender) // <>, or not known
		}
		if len(a.by) >= mostAddresses {
			name = "…"
		}
		if sender = a.by[name]; sender == nil {
			sender = &Sender{Name: registry.Foreign(name)}
			a.by[name] = sender
		}
	}
	sender.Messages, sender.Recipients, sender.Bytes = sender.Messages+s.Messages,
		sender.Recipients+s.Recipients, sender.Bytes+s.Bytes
}

// Senders returns the senders, those that sent the most bytes first. shown turns an
// address into the name to display.
func (a *Addresses) Senders(shown func(address string) string) (list []Sender) {
	for _, s := range a.by {
		if s.Messages != 0 {
			s.Name = registry.Foreign(shown(s.Name.Raw()))
			list = append(list, *s)
		}
	}
	sortSenders(list)
	return list
}
