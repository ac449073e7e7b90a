package storetest

import (
	"testing"

	"mailfail/registry"
	"mailfail/store"
)

// checkAffected checks that recipients with the same number for place, name or
// cause have the same place, name and cause.
func checkAffected(t *testing.T, r store.Reader, w store.Window, f store.Filter) {
	t.Helper()
	places, causes, names := map[int64]store.Destination{}, map[int64]store.LastFailure{},
		map[int32]registry.Foreign{}
	err := r.Affected(t.Context(), w, f, func(a *store.Affected) error {
		sameNumber(t, places, a.Place, *a.Destination)
		sameNumber(t, causes, a.Cause, *a.LastFailure)
		for i, name := range []registry.Foreign{a.Host, a.Sender, a.Domain, a.Provider} {
			sameNumber(t, names, a.Names[i], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sameNumber[N, V comparable](t *testing.T, seen map[N]V, number N, have V) {
	t.Helper()
	var none N
	if first, ok := seen[number]; ok && number != none && first != have {
		t.Errorf("number %v is that of %+v and of %+v", number, first, have)
	}
	seen[number] = have
}
