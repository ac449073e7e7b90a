package sqlite

import (
	"context"
	"slices"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// viewedSeries holds the series of a view. There may be millions, and most are needed only
// in the catalog: therefore they are not rows of the table.
type viewedSeries struct {
	list     []series
	byOrigin [][]int32          // index in list plus 1, by the id at an origin
	others   map[int64]int32    // the same by viewID, for ids from mostDense on
	hosts    []formatOfHost     // without duplicates
	found    map[[2]int32]bool  // the pairs in hosts
	written  map[int64]struct{} // ids that have a row in the table
}

// formatOfHost is a format of logs of a host.
type formatOfHost struct {
	format, host         string
	formatName, hostName int32
}

// mostDense limits the ids that are looked up in a list; greater ones are in a map.
const mostDense = 1 << 24

// id returns the id here of a series by its id at an origin; 0 if there is none.
func (s *viewedSeries) id(origin, id int64) int64 {
	if uint64(id) >= mostDense {
		return int64(s.others[viewID(origin, id)])
	}
	if uint64(origin) >= uint64(len(s.byOrigin)) || id >= int64(len(s.byOrigin[origin])) {
		return 0
	}
	return int64(s.byOrigin[origin][id])
}

func (s *viewedSeries) add(origin, id int64, k series) {
	k.id = int64(len(s.list)) + 1
	s.list = append(s.list, k)
	if uint64(id) >= mostDense {
		if s.others == nil {
			s.others = map[int64]int32{}
		}
		s.others[viewID(origin, id)] = int32(k.id)
	} else {
		*at(at(&s.byOrigin, origin), id) = int32(k.id)
	}
}

// addHost records that a host has logs of a format.
func (s *viewedSeries) addHost(format, host int32, r fleet.Row) {
	of := [2]int32{format, host}
	if s.found[of] {
		return
	}
	if s.found == nil {
		s.found = map[[2]int32]bool{}
	}
	s.found[of] = true
	s.hosts = append(s.hosts, formatOfHost{store.Clean(r[1].Text), store.Clean(r[2].Text), format, host})
}

func (v *View) readSeries(ctx context.Context) error {
	if _, err := v.w.Name([]byte("-")); err != nil { // loads the stored names
		return err
	}
	return v.read(ctx, fleet.Series, RowsQuery{}, func(origin int64, r fleet.Row) error {
		var ids [6]int32
		for i := range ids {
			var err error
			if ids[i], err = v.name(r[1+i].Text); err != nil {
				return err
			}
		}
		v.series.add(origin, r[0].Int, series{0, ids[0], ids[1], ids[2], ids[3], ids[4], ids[5],
			registry.Direction(r[8].Int), r[9].Int != 0})
		v.series.addHost(ids[0], ids[1], r)
		if _, ok := v.w.relays[int64(ids[5])]; ok {
			return nil
		}
		return v.w.operator(int64(ids[5]), &store.SeriesKey{Provider: r[7].Text})
	})
}

// name returns the id of a name.
func (v *View) name(text string) (int32, error) {
	if id, ok := v.w.names[text]; ok {
		return int32(id), nil
	}
	id, err := v.w.Name([]byte(text))
	return int32(id), err
}

// namedSeries returns the id of a series to which a row of a table refers. It writes the
// row of the series if it is missing.
func (v *View) namedSeries(origin, id int64) int64 {
	n := v.series.id(origin, id)
	if _, ok := v.series.written[n]; n == 0 || ok {
		return n
	}
	if v.series.written == nil {
		v.series.written = map[int64]struct{}{}
	}
	v.series.written[n] = struct{}{}
	s := &v.series.list[n-1]
	v.w.sink.exec("INSERT INTO series (id, "+seriesColumns+") VALUES (?,?,?,?,?,?,?,?,?)", n,
		int64(s.format), int64(s.host), int64(s.instance), int64(s.sender), int64(s.domain), int64(s.relay),
		int64(s.direction), s.own)
	return n
}

// hostsOf returns the hosts with logs of a format that f selects.
func (v *View) hostsOf(f *store.Filter, format string) (ids []int64) {
	for _, h := range v.series.hosts {
		if h.format == format && store.MatchName(f.Hosts, h.host) {
			ids = append(ids, int64(h.hostName))
		}
	}
	return ids
}

// seriesOf returns the series of a format and some hosts.
func (v *View) seriesOf(format string, hosts []int64) []int64 {
	ids := []int64{}
	for i := range v.series.list {
		s := &v.series.list[i]
		if slices.Contains(hosts, int64(s.host)) &&
			slices.ContainsFunc(v.series.hosts, func(h formatOfHost) bool {
				return h.format == format && h.formatName == s.format
			}) {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// hasLogBesideBounces reports whether f selects the log of a server.
func (v *View) hasLogBesideBounces(f *store.Filter) bool {
	return slices.ContainsFunc(v.series.hosts, func(h formatOfHost) bool {
		return h.format != store.BouncesFormat && f.MatchFormat(h.format) && store.MatchName(f.Hosts, h.host)
	})
}
