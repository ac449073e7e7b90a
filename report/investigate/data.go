package investigate

import (
	"slices"
	"time"

	"mailfail/registry"
)

// Data is the input of the engine: the recipients and the failures of the window and of
// the days before. Minutes are minutes since 1970 UTC.
//
// For the days before, Data keeps only sums: recipients and failures by place and day,
// and mail by sender, host and quarter of an hour. So its size depends on the number of
// places and of failures, not on that of recipients.
type Data struct {
	Since, Until int64 // the window, half-open
	// Days are the periods before the window that it is compared with, oldest first.
	// They do not overlap. Without any, the window is compared with its first third.
	Days []Span
	// Location is the zone of the hours of the day. nil means UTC.
	Location *time.Location
	// NoCounts means that the deliveries are not limited by the filter, so missing mail
	// cannot be reported.
	NoCounts bool
	Without  []Part // parts of the method to leave out, to measure what each adds

	Causes []Cause
	Events []Event // of the window

	// Details returns the details of the events with these IDs. nil means that there
	// are none.
	Details func(ids []int64) map[int64]Detail

	places   []spot
	texts    []registry.Foreign // by name
	names    map[registry.Foreign]name
	arrivals pages[arrival] // of the window, as far as they have been read
	untimed  []int64        // recipients of the window that arrivals does not have yet, by place
	more     func() error   // reads the minutes of untimed; nil: they have been read
	failed   error          // the error of more
	before   []int64        // recipients of all days by place
	lastDay  int            // day that dayOf found last
	failures []failure      // of the days before
	mail     mail
}

// Span is a half-open range of minutes.
type Span struct{ Since, Until int64 }

// Place is one combination of the dimensions that every recipient has.
type Place struct {
	Host     registry.Foreign
	Instance registry.Foreign
	Sender   registry.Foreign // domain of the sender, "<>" null sender, "" unknown
	Domain   registry.Foreign // of the recipient
	Relay    registry.Foreign // next hop, "" when there was none
	Provider registry.Foreign // operator of the relay, "" when there was no relay
	Local    bool             // the mailbox is on this host
}

// spot is a Place whose texts are numbers. There may be some hundred thousand of them.
type spot struct {
	host, instance, sender, domain, relay, provider name
	local                                           bool
}

// name is the number of a text. Some numbers are constants.
type name int32

const (
	noName name = iota
	localName
	microsoft
	microsoft365
	outlook
)

var knownNames = [...]registry.Foreign{
	noName:       "",
	localName:    localProvider,
	microsoft:    "Microsoft",
	microsoft365: "Microsoft 365",
	outlook:      "Outlook.com",
}

// localProvider is the provider of mailboxes on a host.
const localProvider = "\x00local"

// name returns the number of a text.
func (d *Data) name(text registry.Foreign) name {
	if d.names == nil {
		d.names = map[registry.Foreign]name{}
		for _, known := range knownNames {
			d.name(known)
		}
	}
	n, ok := d.names[text]
	if !ok {
		n = name(len(d.texts))
		d.names[text], d.texts = n, append(d.texts, text)
	}
	return n
}

// AddPlace adds a place and returns its number.
func (d *Data) AddPlace(p Place) int32 {
	return d.addSpot(spot{d.name(p.Host), d.name(p.Instance), d.name(p.Sender), d.name(p.Domain),
		d.name(p.Relay), d.name(p.Provider), p.Local})
}

func (d *Data) addSpot(s spot) int32 {
	d.places = append(doubled(d.places), s)
	return int32(len(d.places) - 1)
}

// pages is a long list, which grows without being copied.
type pages[T any] [][]T

const pageSize = 1 << 14

func (p *pages[T]) add(v T) {
	last := len(*p) - 1
	if last < 0 || len((*p)[last]) == cap((*p)[last]) {
		*p, last = append(*p, make([]T, 0, pageSize)), last+1
	}
	(*p)[last] = append((*p)[last], v)
}

// each calls f with all elements in their order.
func (p pages[T]) each(f func(*T)) {
	for _, page := range p {
		for i := range page {
			f(&page[i])
		}
	}
}

func (p pages[T]) len() (n int) {
	for _, page := range p {
		n += len(page)
	}
	return n
}

// doubled returns a list with room for one more element, and for as many as it has when it was
// full: append alone copies a long list often.
func doubled[T any](list []T) []T {
	if len(list) == cap(list) {
		list = slices.Grow(list, len(list)+1)
	}
	return list
}

// at returns the element of a list with index i. It makes the list longer when needed.
func at[T any](list *[]T, i int) *T {
	if more := i + 1 - len(*list); more > 0 {
		*list = append(*list, make([]T, more)...)
	}
	return &(*list)[i]
}

// Cause is the class of a failure.
type Cause struct {
	Reason    string
	Code      string // "550 5.1.1", "" when none was given
	Stage     string
	Source    string
	Signature registry.Foreign
}

// Suspended is the Cause of an event without its own cause: the MTA deferred the
// recipient without an attempt. The engine infers the cause.
const Suspended = -1

// Event is the first failing attempt of a recipient for a reason. Retries are not
// events. Before the window only ID, Minute, Place, Cause and N matter.
type Event struct {
	ID        int64 // for Details, 0 none
	Minute    int64
	Arrived   int64 // minute in which the recipient was first seen
	Recipient int64 // distinguishes recipients, 0 unknown
	Place     int32 // Relay is that of the attempt
	Cause     int32 // index of Data.Causes, or Suspended
	N         int32 // recipients
	State     State // at the end of the window
}

// State is the state of a recipient at the end of the window.
type State uint8

// The states.
const (
	Waiting State = iota
	Delivered
	Failed // bounced or expired
)

// Detail holds the fields that only failures have.
type Detail struct {
	Text      registry.Foreign // the reply, as logged
	Sender    registry.Foreign // address
	Recipient registry.Foreign // address
	Account   registry.Foreign
	Client    registry.Foreign
	IP        registry.Foreign // of the relay

	relay registry.Foreign
}

// arrival counts recipients that were first seen at a place in a minute.
type arrival struct {
	minute   int32 // since the window began
	place, n int32
}

// failure counts events before the window.
type failure struct {
	id                   int64 // for Details, 0 none
	place, cause, day, n int32
}

// dayOf returns the index of a minute's day in d.Days, len(d.Days) for a minute of the
// window, and -1 for any other minute.
func (d *Data) dayOf(minute int64) int {
	if minute >= d.Since && minute < d.Until {
		return len(d.Days)
	}
	if i := d.lastDay; i < len(d.Days) && d.Days[i].Since <= minute && minute < d.Days[i].Until {
		return i
	}
	i, _ := slices.BinarySearchFunc(d.Days, minute, func(s Span, t int64) int {
		if s.Until <= t {
			return -1
		}
		return 1
	})
	if i < len(d.Days) && d.Days[i].Since <= minute {
		d.lastDay = i
		return i
	}
	return -1
}

// span returns the minutes of a day, or of the window.
func (d *Data) span(day int) Span {
	if day == len(d.Days) {
		return Span{d.Since, d.Until}
	}
	return d.Days[day]
}

// Arrive adds recipients that were first seen at a place in a minute.
func (d *Data) Arrive(minute int64, place, n int32) {
	d.AddRows([]int32{place}, []int64{minute}, []int64{int64(n)}, nil)
}

// Accept adds messages that came into the queue of a host in a minute.
func (d *Data) Accept(minute int64, place, n int32) {
	d.AddRows([]int32{place}, []int64{minute}, nil, []int64{int64(n)})
}

// AddRows adds rows of recipients that were first seen at a place in a minute, and of
// messages that came into the queue of the place's host, for servers whose log reports
// that separately from the first attempt. For messages only host and sender of the
// place matter. A nil column is 0 throughout.
func (d *Data) AddRows(places []int32, minutes, recipients, accepted []int64) {
	var m moment
	flows := d.mail.known(places)
	for i, place := range places {
		came, tried := int32(number(accepted, i)), int32(number(recipients, i))
		if came == 0 && tried == 0 {
			continue
		}
		if !m.known || minutes[i] != m.minute {
			m = d.moment(minutes[i])
		}
		if m.day < 0 {
			continue
		}
		flow := int32(0)
		if m.mail.tried != nil {
			if flow = flows[i] - 1; flow < 0 {
				flow = d.mail.flow(d, place)
			}
			m.mail.add(flow, tried, came)
		}
		switch {
		case m.day < len(d.Days):
			d.addBefore(place, int64(tried))
			continue
		case tried > 0:
			d.arrivals.add(arrival{int32(m.minute - d.Since), place, tried})
		}
		if came > 0 {
			d.mail.accepted = append(d.mail.accepted, arrival{int32(m.minute - d.Since), flow, came})
		}
	}
}

// times reads the minutes of all recipients of the window.
func (d *Data) times() {
	if d.more == nil {
		return
	}
	others, accepted := d.arrivals, d.mail.accepted
	d.arrivals, d.mail.accepted = nil, nil
	d.failed = d.more()
	d.arrivals, d.mail.accepted = append(d.arrivals, others...), append(d.mail.accepted, accepted...)
	d.more, d.untimed = nil, nil
}

// addTimes adds the minutes of rows that are counted already.
func (d *Data) addTimes(places []int32, minutes, recipients, accepted []int64) {
	for i, place := range places {
		came, tried, minute := int32(number(accepted, i)), int32(number(recipients, i)),
			int32(minutes[i]-d.Since)
		if came == 0 && tried == 0 {
			continue
		}
		flow := d.mail.flow(d, place)
		if tried > 0 {
			d.arrivals.add(arrival{minute, place, tried})
		}
		if came > 0 {
			d.mail.accepted = append(d.mail.accepted, arrival{minute, flow, came})
		}
	}
}

// moment is a minute of a day.
type moment struct {
	known  bool
	minute int64
	day    int         // -1 none
	mail   quarterMail // of a day that is longer than the window: perhaps none
}

func (d *Data) moment(minute int64) moment {
	m := moment{known: true, minute: minute, day: d.dayOf(minute)}
	if m.day >= 0 {
		if at, ok := d.quarterOf(m.day, minute-d.span(m.day).Since); ok {
			m.mail = d.mail.quarter(at)
		}
	}
	return m
}

// number returns a number of a column that may be nil.
func number(column []int64, i int) int64 {
	if column == nil {
		return 0
	}
	return column[i]
}

// addBefore adds recipients of a place on the days before.
func (d *Data) addBefore(place int32, n int64) {
	if int(place) >= len(d.before) {
		d.before = append(d.before, make([]int64, len(d.places)-len(d.before))...)
	}
	d.before[place] += n
}

// Fail adds an event. Those of the window may come in any order.
func (d *Data) Fail(e Event) {
	switch day := d.dayOf(e.Minute); {
	case day == len(d.Days):
		d.Events = append(d.Events, e)
	case day >= 0 && e.Cause >= 0:
		d.failures = append(doubled(d.failures), failure{e.ID, e.Place, e.Cause, int32(day), e.N})
	}
}
