package sqlite

import (
	"database/sql"
	"math"
	"slices"
	"strings"
	"sync"

	"mailfail/registry"
	"mailfail/store"
)

// catalog holds the dictionaries of a database. Answers share it, so nothing changes it
// once it is made.
type catalog struct {
	names  []string // by id
	relays []int64  // id of the provider's name by that of the relay
	series []series
	places []int32 // in series by id, plus 1; 0: none
	causes map[int64]*cause
	labels []label // of causes

	codes, reasons []string // of labels
	mtas           []string // that formats belong to
	mtaOf          []int32  // place in mtas, plus 1, by the id of a format's name

	// noCause stands in where the log has no cause: the server gave a recipient up without
	// an attempt, or made its attempts before this log begins.
	noCause *cause

	key catalogKey
}

// catalogKey identifies the content that a catalog was made from. Dictionaries only grow,
// except that other rules change the reasons of causes.
type catalogKey struct {
	names, series, causes, relays int64
	rules                         string
}

// label is the code and the reason of causes, by which groups are labelled.
type label struct {
	code, reason string
	both         string // code and reason, as shown together
	nCode        int32  // places in catalog.codes and catalog.reasons
	nReason      int32
}

type series struct {
	id                                            int64
	format, host, instance, sender, domain, relay int32
	direction                                     registry.Direction
	own                                           bool
}

type cause struct {
	id       int64
	reply    int
	enhanced string
	code     string
	label    int32 // of code and reason
	provider int64
	reason   string
}

// catalog reads the dictionaries, or returns those of the last answer when the database
// still has the same.
func (t *tx) catalog() (*catalog, error) {
	if err := t.settleSeries(); err != nil {
		return nil, err
	}
	var key catalogKey
	if _, err := t.one(`SELECT (SELECT max(id) FROM names), (SELECT IFNULL(max(id), 0) FROM series), (SELECT IFNULL(max(id), 0) FROM cause_rows),
		(SELECT count(*) FROM relays), IFNULL((SELECT value FROM meta WHERE name = 'rules'), '')`, nil,
		&key.names, &key.series, &key.causes, &key.relays, &key.rules); err != nil {
		return nil, err
	}
	if t.view != nil {
		key.series = int64(len(t.view.series.list))
	}
	if t.cache == nil {
		return t.readCatalog(key)
	}
	t.cache.Lock() // whoever comes second waits for the catalog that the first one reads
	defer t.cache.Unlock()
	if c := t.cache.last; c != nil && c.key == key {
		return c, nil
	}
	c, err := t.readCatalog(key)
	if err == nil {
		t.cache.last = c
	}
	return c, err
}

// catalogCache holds the catalog of the last answer.
type catalogCache struct {
	sync.Mutex
	last *catalog
}

func (t *tx) readCatalog(key catalogKey) (*catalog, error) {
	c := &catalog{key: key}
	if min(key.names, key.series) < 0 || max(key.names, key.series) >= math.MaxInt32 {
		return nil, errBlock // the largest ids, which slices are as long as
	}
	for _, read := range []func(*catalog) error{t.readNames, t.readRelays, t.readSeries, t.readCauses} {
		if err := read(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (t *tx) readNames(c *catalog) error {
	c.names = make([]string, c.key.names+1)
	put := func(id int64, text string) {
		if id > 0 && id < int64(len(c.names)) {
			c.names[id] = text
		}
	}
	err := t.each("SELECT data FROM segments WHERE kind = ?", []any{segmentNames}, func(r *sql.Rows) error {
		var data sql.RawBytes
		if err := r.Scan(&data); err != nil {
			return err
		}
		return decodeTexts(data, put)
	})
	if err != nil {
		return err
	}
	where, args := names.tail(store.Window{})
	b, texts, err := names.rows(t, where, args...)
	if err != nil {
		return err
	}
	for i, text := range texts {
		put(b.at(0, i), text)
	}
	return nil
}

func (t *tx) readRelays(c *catalog) error {
	c.relays = make([]int64, len(c.names))
	return t.ints("SELECT relay, provider FROM relays", nil, func(v []int64) error {
		relay, provider := v[0], v[1]
		if min(relay, provider) >= 0 && max(relay, provider) < int64(len(c.names)) {
			c.relays[relay] = provider
		}
		return nil
	})
}

func (t *tx) readSeries(c *catalog) error {
	c.series = make([]series, 0, c.key.series)
	c.places = make([]int32, c.key.series+1)
	mtas := interner[string]{}
	c.mtaOf = make([]int32, len(c.names))
	defer func() { c.mtas = mtas.list }()
	if t.view != nil {
		c.series = t.view.series.known()
		for i := range c.series {
			c.places[c.series[i].id] = int32(i) + 1
			if format := c.series[i].format; c.mtaOf[format] == 0 {
				c.mtaOf[format] = mtas.number(store.MTA(c.names[format])) + 1
			}
		}
		return nil
	}
	return t.eachRow(seriesTable, store.Window{}, allColumns, func(b *block, _ []int64) error {
		for i := range b.rows {
			s := series{
				id:        b.at(0, i),
				format:    c.name(b.at(1, i)),
				host:      c.name(b.at(2, i)),
				instance:  c.name(b.at(3, i)),
				sender:    c.name(b.at(4, i)),
				domain:    c.name(b.at(5, i)),
				relay:     c.name(b.at(6, i)),
				direction: registry.Direction(b.at(7, i)),
				own:       b.at(8, i) != 0,
			}
			if s.id < 0 || s.id >= int64(len(c.places)) {
				return errBlock
			}
			if c.mtaOf[s.format] == 0 {
				c.mtaOf[s.format] = mtas.number(store.MTA(c.names[s.format])) + 1
			}
			c.series = append(c.series, s)
			c.places[s.id] = int32(len(c.series))
		}
		return nil
	})
}

// name returns id, or emptyName when no name has this id.
func (c *catalog) name(id int64) int32 {
	if id <= 0 || id >= int64(len(c.names)) {
		return 1
	}
	return int32(id)
}

func (t *tx) readCauses(c *catalog) error {
	c.causes = make(map[int64]*cause, c.key.causes)
	var labels interner[label]
	var codes, reasons interner[string]
	add := func(k *cause) {
		k.label = labels.number(label{
			code:    k.code,
			reason:  k.reason,
			both:    strings.TrimSpace(k.code + " " + k.reason),
			nCode:   codes.number(k.code),
			nReason: reasons.number(k.reason),
		})
	}
	err := t.each("SELECT id, reply, enhanced, provider, reason FROM causes", nil, func(r *sql.Rows) error {
		k := &cause{}
		err := r.Scan(&k.id, &k.reply, &k.enhanced, &k.provider, &k.reason)
		// mailfail wrote them, but who may write to the database may write anything.
		k.enhanced, k.reason = registry.Foreign(k.enhanced).String(), registry.Foreign(k.reason).String()
		k.code = store.Code(k.reply, k.enhanced)
		k.provider = int64(c.name(k.provider))
		add(k)
		c.causes[k.id] = k
		return err
	})
	c.noCause = &cause{reason: "expired"}
	add(c.noCause)
	c.labels, c.codes, c.reasons = labels.list, codes.list, reasons.list
	return err
}

// interner numbers values in the order in which they are first seen.
type interner[T comparable] struct {
	numbers map[T]int32
	list    []T
}

func (n *interner[T]) number(v T) int32 {
	i, ok := n.numbers[v]
	if !ok {
		if n.numbers == nil {
			n.numbers = map[T]int32{}
		}
		i = int32(len(n.list))
		n.numbers[v] = i
		n.list = append(n.list, v)
	}
	return i
}

// place returns the place of a series in c.series; ok is false when there is no such series.
func (c *catalog) place(id int64) (int, bool) {
	if uint64(id) >= uint64(len(c.places)) || c.places[id] == 0 {
		return 0, false
	}
	return int(c.places[id]) - 1, true
}

// value returns the value of a series in a dimension, as a number that text takes. In
// dimensions of causes it is emptyName.
func (c *catalog) value(s *series, d store.Dimension) int32 {
	switch d {
	case store.ByDomain:
		return s.domain
	case store.ByProvider:
		return c.provider(s)
	case store.BySender:
		return s.sender
	case store.ByRelay:
		return s.relay
	case store.ByHost:
		return s.host
	case store.ByInstance:
		return s.instance
	case store.ByMTA:
		return c.mtaOf[s.format] - 1
	case store.ByDirection:
		if s.own {
			return ownDirection
		}
		return int32(s.direction)
	}
	return emptyName
}

const (
	emptyName    = 1      // the id of ''
	ownDirection = 1 << 8 // not a value of registry.Direction
	noValue      = -1     // in a dimension of causes: no failure, or no code or reason
)

// provider returns the id of the name of the operator of the relay.
func (c *catalog) provider(s *series) int32 { return c.operator(s.relay) }

func (c *catalog) operator(relay int32) int32 { return max(emptyName, int32(c.relays[relay])) }

// labelValue returns the value of causes with a label in a dimension of causes.
func (c *catalog) labelValue(label int32, d store.Dimension) int32 {
	l := &c.labels[label]
	switch {
	case d == store.ByCode && l.code != "":
		return l.nCode
	case d == store.ByReason && l.reason != "":
		return l.nReason
	}
	return noValue
}

// text returns the text of a value of a dimension, "" for noValue.
func (c *catalog) text(d store.Dimension, value int32) string {
	if value == noValue {
		return ""
	}
	switch d {
	case store.ByMTA:
		return c.mtas[value]
	case store.ByDirection:
		if value == ownDirection {
			return store.OwnDirection
		}
		return registry.Direction(value).String()
	case store.ByCode:
		return c.codes[value]
	case store.ByReason:
		return c.reasons[value]
	}
	return c.names[value]
}

func (c *catalog) valueText(s *series, d store.Dimension) string { return c.text(d, c.value(s, d)) }

// directionName returns the name of the direction. For messages that a server made itself
// to report failures, that is store.OwnDirection.
func (s *series) directionName() string {
	if s.own {
		return store.OwnDirection
	}
	return s.direction.String()
}

// filter is the filter of a question, without the formats whose attempts are counted elsewhere.
type filter struct {
	store.Filter
	without []string // formats whose attempts another log reports too, see leaveOut
}

func (f *filter) matchSeries(c *catalog, s *series) bool {
	format := c.names[s.format]
	return !slices.Contains(f.without, format) &&
		store.MatchDomain(f.Domains, c.names[s.domain]) &&
		store.MatchDomain(f.Senders, c.names[s.sender]) &&
		store.MatchName(f.Hosts, c.names[s.host]) &&
		store.MatchName(f.Providers, c.names[c.provider(s)]) &&
		store.MatchName(f.Directions, s.directionName()) &&
		f.MatchFormat(format)
}

func (f *filter) matchCause(c *cause) bool {
	return f.MatchCause(c.reply, c.enhanced, c.reason)
}

// wantedOfRejections is wanted for rejections. All of them are incoming mail, and their
// series have no sender, so the filter of senders does not apply to series here.
func (f *filter) wantedOfRejections(c *catalog) []bool {
	if !store.MatchName(f.Directions, registry.DirectionIncoming.String()) {
		return make([]bool, len(c.series))
	}
	g := *f
	g.Senders, g.Directions = nil, nil
	return g.wanted(c)
}

// wanted reports for each place whether the filter matches its series. To save time it
// compares each name once rather than once a series, and skips lists that are empty.
func (f *filter) wanted(c *catalog) []bool {
	wanted := make([]bool, len(c.series))
	match := func(list []string, matches func([]string, string) bool) func(int32) bool {
		known := make([]int8, len(c.names))
		return func(id int32) bool {
			if known[id] == 0 {
				known[id] = -1
				if matches(list, c.names[id]) {
					known[id] = 1
				}
			}
			return known[id] > 0
		}
	}
	format := match(nil, func(_ []string, name string) bool {
		return !slices.Contains(f.without, name) && f.MatchFormat(name)
	})
	for i := range c.series {
		wanted[i] = format(c.series[i].format)
	}
	for _, asked := range []struct {
		list    []string
		matches func([]string, string) bool
		of      func(*series) int32
	}{
		{f.Domains, store.MatchDomain[string], func(s *series) int32 { return s.domain }},
		{f.Senders, store.MatchDomain[string], func(s *series) int32 { return s.sender }},
		{f.Hosts, store.MatchName[string], func(s *series) int32 { return s.host }},
		{f.Providers, store.MatchName[string], c.provider},
	} {
		if len(asked.list) == 0 {
			continue
		}
		matches := match(asked.list, asked.matches)
		for i := range wanted {
			wanted[i] = wanted[i] && matches(asked.of(&c.series[i]))
		}
	}
	for i := range wanted {
		wanted[i] = wanted[i] &&
			(len(f.Directions) == 0 || store.MatchName(f.Directions, c.series[i].directionName()))
	}
	return wanted
}
