package sqlite

import (
	"cmp"
	"context"
	"slices"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// viewedSeries holds the series of a view. There may be millions, of which a question needs
// some: a view reads those to which its rows refer. Most are needed only in the catalog:
// therefore they are not rows of the table.
type viewedSeries struct {
	list     []series        // by id less 1; id 0: not read, or the origin does not have it
	refs     []int64         // ids at their origins, like those of viewID
	versions []int64         // that were read
	byOrigin [][]int32       // id here, by the id at an origin
	others   map[int64]int32 // the same by viewID, for ids from mostDense on
	read     int             // all of list up to this were read
	all      bool            // all series were read
	relays   []string        // of totals, which name them without their providers

	hosts     []formatOfHost // without duplicates, if readHosts
	readHosts bool

	written   map[int64]struct{} // ids that have a row in the table
	unwritten []int64            // ids that need one
}

// formatOfHost is a format of logs of a host.
type formatOfHost struct {
	format, host         string
	formatName, hostName int32
}

// mostDense limits the ids that are looked up in a list; greater ones are in a map.
const mostDense = 1 << 24

// id returns the id here of a series by its id at an origin. If the series is not known yet,
// it gets an id, and is read before the next catalog is made.
func (s *viewedSeries) id(origin, id int64) int64 {
	if uint64(origin) < uint64(len(s.byOrigin)) && uint64(id) < uint64(len(s.byOrigin[origin])) {
		if n := s.byOrigin[origin][id]; n != 0 {
			return int64(n)
		}
	}
	return s.add(origin, id)
}

// lookup returns the id here of a series by its id at an origin, 0 for one that is not known.
func (s *viewedSeries) lookup(origin, id int64) int64 {
	if uint64(id) >= mostDense {
		return int64(s.others[viewID(origin, id)])
	}
	if uint64(origin) >= uint64(len(s.byOrigin)) || id >= int64(len(s.byOrigin[origin])) {
		return 0
	}
	return int64(s.byOrigin[origin][id])
}

func (s *viewedSeries) add(origin, id int64) int64 {
	if id <= 0 {
		return 0
	}
	if uint64(id) >= mostDense && s.others == nil {
		s.others = map[int64]int32{}
	}
	if n := s.others[viewID(origin, id)]; n != 0 {
		return int64(n)
	}
	s.list, s.refs = append(s.list, series{}), append(s.refs, viewID(origin, id))
	s.versions = append(s.versions, 0)
	n := int32(len(s.list))
	if uint64(id) >= mostDense {
		s.others[viewID(origin, id)] = n
	} else {
		*at(at(&s.byOrigin, origin), id) = n
	}
	return int64(n)
}

// known returns the series that were read.
func (s *viewedSeries) known() []series {
	if !slices.ContainsFunc(s.list, func(k series) bool { return k.id == 0 }) {
		return s.list
	}
	return slices.DeleteFunc(slices.Clone(s.list), func(k series) bool { return k.id == 0 })
}

// settle writes the rows of series to which rows of tables refer, and waits until all rows
// are written.
func (v *View) settle(ctx context.Context) error {
	if len(v.series.unwritten) > 0 {
		if err := v.readSeries(ctx); err != nil {
			return err
		}
		for _, n := range v.series.unwritten {
			if s := &v.series.list[n-1]; s.id != 0 {
				v.w.sink.exec("INSERT INTO series (id, "+seriesColumns+") VALUES (?,?,?,?,?,?,?,?,?)", n,
					int64(s.format), int64(s.host), int64(s.instance), int64(s.sender), int64(s.domain),
					int64(s.relay), int64(s.direction), s.own)
			}
		}
		v.series.unwritten = nil
	}
	return v.w.sink.wait()
}

// settleSeries reads the series to which the rows of a view refer, and that the catalog will
// have.
func (t *tx) settleSeries() error {
	if t.view == nil {
		return nil
	}
	if err := cmp.Or(t.view.readSeries(t.ctx), t.view.readProviders(t.ctx)); err != nil {
		return err
	}
	t.known = len(t.view.series.list)
	return t.view.settle(t.ctx)
}

// namedSeries returns the id of a series to which a row of a table refers, which needs a row
// of the series.
func (v *View) namedSeries(origin, id int64) int64 {
	n := v.series.id(origin, id)
	if _, ok := v.series.written[n]; n == 0 || ok {
		return n
	}
	if v.series.written == nil {
		v.series.written = map[int64]struct{}{}
	}
	v.series.written[n] = struct{}{}
	v.series.unwritten = append(v.series.unwritten, n)
	return n
}

// readSeries reads the series that were not read yet.
func (v *View) readSeries(ctx context.Context) error {
	s := &v.series
	if s.read == len(s.list) {
		return nil
	}
	refs := slices.Clone(s.refs[s.read:])
	slices.Sort(refs)
	s.read = len(s.list)
	var questions []RowsQuery
	for len(refs) > 0 {
		n := fewSeries(refs)
		questions = append(questions, RowsQuery{By: "id", IDs: refs[:n]})
		refs = refs[n:]
	}
	return v.seriesOfAll(ctx, questions)
}

// fewSeries returns the number of ids to ask for at once, from the beginning of a sorted
// list: all of an origin that are near to each other, or some that are not.
func fewSeries(refs []int64) int {
	before := func(limit int64) int {
		n, _ := slices.BinarySearch(refs, limit)
		return n
	}
	all := before((refs[0]>>originBits + 1) << originBits)
	if near := min(all, before(refs[0]+SeriesAtOnce)); near > fetchSize || near == all {
		return near
	}
	return min(all, fetchSize)
}

// SeriesAtOnce is the greatest distance between the ids of a query with many ids.
const SeriesAtOnce = 400_000

var seriesColumnsOfFleet = namesOf(fleet.Series)

// seriesOfAll reads the series that some queries select, the answers to two at a time.
func (v *View) seriesOfAll(ctx context.Context, questions []RowsQuery) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	answers := make([]*asked, len(questions))
	const ahead = 2
	r := &seriesReader{View: v}
	for i := range answers {
		for next := i; next < min(i+ahead, len(answers)); next++ {
			if answers[next] == nil {
				answers[next] = v.ask(ctx, fleet.Series, seriesColumnsOfFleet, questions[next])
			}
		}
		if err := answers[i].each(r.take); err != nil {
			return err
		}
	}
	return r.err
}

// seriesReader writes series into the list.
type seriesReader struct {
	*View
	last [6][]byte // texts of the row before
	ids  [6]int32  // of these
	err  error
}

// take adds rows to the list. The newest version holds.
func (r *seriesReader) take(b readBlock) error {
	c := b.columns[columnFirst:]
	for row, origin := range b.columns[columnOrigin].Ints {
		if origin < 0 {
			continue
		}
		n := r.series.id(origin, c[0].Ints[row])
		if n == 0 {
			continue
		}
		version := b.columns[columnVersion].Ints[row]
		if newest := &r.series.versions[n-1]; version > *newest {
			*newest = version
		} else {
			continue
		}
		for i := range r.ids[:6] {
			if text := c[1+i].text(row); string(text) != string(r.last[i]) || r.ids[i] == 0 {
				id, err := r.w.Name(text)
				r.err = cmp.Or(r.err, err)
				r.last[i], r.ids[i] = append(r.last[i][:0], text...), int32(id)
			}
		}
		ids := &r.ids
		r.series.list[n-1] = series{n, ids[0], ids[1], ids[2], ids[3], ids[4], ids[5],
			registry.Direction(c[8].Ints[row]),
			c[9].Ints[row] != 0}
		if _, ok := r.w.relays[int64(ids[5])]; !ok {
			provider := string(c[7].text(row))
			r.err = cmp.Or(r.err, r.w.operator(int64(ids[5]), &store.SeriesKey{Provider: provider}))
		}
	}
	return r.err
}

// readAll reads all series.
func (v *View) readAll(ctx context.Context) error {
	if v.series.all {
		return nil
	}
	v.series.all = true
	err := v.seriesOfAll(ctx, []RowsQuery{{}})
	v.series.read = len(v.series.list)
	return err
}

// readProviders reads the providers of relays that no series named that was read.
func (v *View) readProviders(ctx context.Context) error {
	relays := slices.Compact(slices.Sorted(slices.Values(v.series.relays)))
	v.series.relays = nil
	var err error
	relays = slices.DeleteFunc(relays, func(relay string) bool {
		id, e := v.w.Name([]byte(relay))
		err = cmp.Or(err, e)
		_, ok := v.w.relays[id]
		return ok
	})
	if err != nil || len(relays) == 0 {
		return err
	}
	return v.from.Relays(ctx, relays, func(relay, provider string) error {
		id, err := v.w.Name([]byte(relay))
		if err == nil {
			err = v.w.operator(id, &store.SeriesKey{Provider: provider})
		}
		return err
	})
}

// repeating lists the formats whose logs report what others report too. Only of these, and
// of all if there are bounces, it matters which hosts have them.
var repeating = []string{store.SendFormat, store.TrackingFormat, store.TraceFormat, store.SummaryFormat,
	store.ConnectivityFormat, store.BouncesFormat}

// hosts returns the formats of hosts, or those of repeating if there are no bounces.
func (v *View) hosts(ctx context.Context) ([]formatOfHost, error) {
	s := &v.series
	for formats := repeating; !s.readHosts; formats = nil {
		s.hosts = nil
		bounces := false
		err := v.from.Hosts(ctx, formats, func(format, host string) error {
			f, err := v.w.Name([]byte(format))
			h, e := v.w.Name([]byte(host))
			s.hosts = append(s.hosts,
				formatOfHost{store.Clean(format), store.Clean(host), int32(f), int32(h)})
			bounces = bounces || format == store.BouncesFormat
			return cmp.Or(err, e)
		})
		if err != nil {
			return nil, err
		}
		s.readHosts = formats == nil || !bounces
	}
	return s.hosts, nil
}

// hostsOf returns the hosts with logs of a format that f selects.
func (v *View) hostsOf(ctx context.Context, f *store.Filter, format string) (ids []int64, err error) {
	hosts, err := v.hosts(ctx)
	for _, h := range hosts {
		if h.format == format && store.MatchName(f.Hosts, h.host) {
			ids = append(ids, int64(h.hostName))
		}
	}
	return ids, err
}

// seriesOf returns the series of a format and some hosts.
func (v *View) seriesOf(ctx context.Context, format string, hosts []int64) ([]int64, error) {
	if err := v.readAll(ctx); err != nil {
		return nil, err
	}
	formats, err := v.hosts(ctx)
	ids := []int64{}
	for i := range v.series.list {
		s := &v.series.list[i]
		if s.id != 0 && slices.Contains(hosts, int64(s.host)) &&
			slices.ContainsFunc(formats, func(h formatOfHost) bool {
				return h.format == format && h.formatName == s.format
			}) {
			ids = append(ids, s.id)
		}
	}
	return ids, err
}

// hasLogBesideBounces reports whether f selects the log of a server.
func (v *View) hasLogBesideBounces(ctx context.Context, f *store.Filter) (bool, error) {
	hosts, err := v.hosts(ctx)
	return slices.ContainsFunc(hosts, func(h formatOfHost) bool {
		return h.format != store.BouncesFormat && f.MatchFormat(h.format) && store.MatchName(f.Hosts, h.host)
	}), err
}
