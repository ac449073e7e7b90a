package storetest

import (
	"testing"

	"mailfail/store"
)

// checkAffected checks that recipients with the same number for place or cause
// have the same place and cause.
func checkAffected(t *testing.T, r store.Reader, w store.Window, f store.Filter) {
	t.Helper()
	places, causes := map[int64]store.Affected{}, map[int64]store.Affected{}
	err := r.Affected(t.Context(), w, f, func(a *store.Affected) error {
		place := store.Affected{MTA: a.MTA, Host: a.Host, Sender: a.Sender, Domain: a.Domain, Provider: a.Provider, Direction: a.Direction}
		sameNumber(t, places, a.Place, place)
		sameNumber(t, causes, a.Cause, store.Affected{Reply: a.Reply, Enhanced: a.Enhanced, Reason: a.Reason})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sameNumber(t *testing.T, seen map[int64]store.Affected, number int64, have store.Affected) {
	t.Helper()
	if first, ok := seen[number]; ok && number != 0 && first != have {
		t.Errorf("number %d is that of %+v and of %+v", number, first, have)
	}
	seen[number] = have
}
