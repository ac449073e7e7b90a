package sqlite

import (
	"mailfail/store"
	"mailfail/store/fleet"
)

// Upper bounds of measures and values.
const (
	measures = 8
	values   = 16
)

// hourVolumes holds the volumes of an hour and a host, by measure and value.
type hourVolumes [measures][values]store.Volume

type volumeKey struct {
	hour int32
	host int64 // name
}

// volumes adds up the volumes of a batch. It keeps the last entry at hand: most lines have
// the hour and host of the line before.
type volumes struct {
	hours   map[volumeKey]*hourVolumes
	last    volumeKey
	current *hourVolumes // of last
}

func (l *volumes) at(k volumeKey) *hourVolumes {
	if l.current != nil && l.last == k {
		return l.current
	}
	if l.hours == nil {
		l.hours = map[volumeKey]*hourVolumes{}
	}
	h := l.hours[k]
	if h == nil {
		h = new(hourVolumes)
		l.hours[k] = h
	}
	l.last, l.current = k, h
	return h
}

func (l *volumes) clear() {
	clear(l.hours)
	l.current = nil
}

// AddVolume adds a volume to those of a host, in the hour of a time in microseconds.
func (w *Writer) AddVolume(time int64, host []byte, v *store.Volume) {
	w.volumes.at(volumeKey{hourOf(int32(store.Minute(time))), w.hostName(host)})[v.Measure][v.Value].Add(v)
}

// addVolume makes INSERT add to a row that exists.
const addVolume = "ON CONFLICT DO UPDATE SET n = n + excluded.n, bytes = bytes + excluded.bytes, millis = millis + excluded.millis"

func (w *Writer) flushVolumes() {
	for k, h := range w.volumes.hours {
		for measure := range h {
			for value := range h[measure] {
				if v := &h[measure][value]; v.N != 0 || v.Bytes != 0 {
					w.sink.exec("INSERT INTO volumes (hour, host, measure, value, n, bytes, millis) VALUES (?,?,?,?,?,?,?) "+addVolume,
						k.hour, k.host, measure, value, v.N, v.Bytes, v.Millis)
				}
			}
		}
		w.note(fleet.Volumes, int64(k.hour))
	}
	w.volumes.clear()
}
