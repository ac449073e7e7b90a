package report

import (
	"context"
	"testing"

	"mailfail/store"
)

// volumesOnly is a database with nothing but volumes.
type volumesOnly struct {
	store.Reader
	list []store.HourVolume
}

func (v volumesOnly) Volumes(context.Context, store.Window, store.Filter) ([]store.HourVolume, error) {
	return v.list, nil
}

// Values that no measure has are left out: a database may be damaged.
func TestVolumesDamaged(t *testing.T) {
	var list []store.HourVolume
	for _, value := range []int64{-1, 1, 15, 16, 1 << 40} {
		list = append(list, store.HourVolume{Volume: store.Volume{Measure: store.DeliveredOut, Value: value, N: 1}})
	}
	r := &Report{Numbers: &store.Numbers{}}
	if err := r.volume(t.Context(), volumesOnly{list: list}); err != nil {
		t.Fatal(err)
	}
	if _, all := r.measured(store.DeliveredOut); all.N != 2 {
		t.Errorf("%d deliveries, want 2", all.N)
	}
	if got := r.jsonVolumes(); len(got) != 2 {
		t.Errorf("%+v", got)
	}
}
