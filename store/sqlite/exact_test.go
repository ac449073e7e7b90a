package sqlite

import (
	"mailfail/store"
	"slices"
	"strings"
	"testing"
)

// plan returns how SQLite answers a query, a step each.
func plan(t *testing.T, db *DB, query string, args ...any) (steps []string) {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// However many failures share a Message-ID or an address: each row that is read is
// found by an index, replies in the order in which they are wanted. Of a recipient
// the failures are gone through, once in a batch.
func TestExactSeeks(t *testing.T) {
	db, err := OpenTemporary()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const seek = "INDEX attempts_pair (pair=? AND time>? AND time<?)"
	for _, test := range []struct {
		name, query string
		args        []any
		seeks       int
		sorts       int // of what was found
	}{
		{"inSpans", inSpans, []any{"[]"}, 1, 0},
		{"findExact", findExact, []any{1, "[]"}, 2, 1}, // of the two sides
		{"takeExact", takeExact, []any{"[]"}, 0, 0},
		{"lastExact", lastExact, []any{"[]"}, 0, 1}, // of a recipient
		{"untracked", untracked, []any{"[]", 3, 3}, 1, 0},
	} {
		steps := plan(t, db, test.query, test.args...)
		seeks, sorts := 0, 0
		for _, step := range steps {
			switch {
			case strings.HasSuffix(step, seek):
				seeks++
			case step == "USE TEMP B-TREE FOR ORDER BY":
				sorts++
			case strings.HasSuffix(step, " USING INTEGER PRIMARY KEY (rowid=?)"), strings.HasSuffix(step, " USING INDEX attempts_recipient (recipient=?)"),
				strings.HasPrefix(step, "SEARCH names USING COVERING INDEX "):
			case strings.HasPrefix(step, "SEARCH"), strings.HasPrefix(step, "SCAN") && !strings.Contains(step, " VIRTUAL TABLE ") && !strings.Contains(step, "(subquery-"):
				t.Errorf("%s: %s", test.name, step)
			}
		}
		if seeks != test.seeks || sorts != test.sorts {
			t.Errorf("%s: %d seeks by pair and %d sorts, want %d and %d:\n%s", test.name, seeks, sorts, test.seeks, test.sorts, strings.Join(steps, "\n"))
		}
	}
}

// No row is looked at for two of the failures that were added.
func TestDisjoint(t *testing.T) {
	for _, test := range []struct{ spans, want []span }{
		{nil, nil},
		{[]span{{4, 5, 9}}, []span{{4, 5, 9}}},
		{[]span{{8, 1, 2}, {4, 5, 9}, {4, 9, 12}, {4, 1, 3}}, []span{{4, 1, 3}, {4, 5, 12}, {8, 1, 2}}},
		{[]span{{4, 1, 9}, {4, 2, 3}, {4, 10, 10}, {4, 9, 9}}, []span{{4, 1, 9}, {4, 10, 10}}},
		{[]span{{4, 1, 1}, {8, 1, 1}, {4, 1, 1}, {-4, 1, 1}}, []span{{-4, 1, 1}, {4, 1, 1}, {8, 1, 1}}},
	} {
		if got := disjoint(slices.Clone(test.spans)); !slices.Equal(got, test.want) {
			t.Errorf("%v became %v, want %v", test.spans, got, test.want)
		}
	}
}

// A failure has the pair of the same failure in the other log, but for the kind.
func TestPair(t *testing.T) {
	attempt := func(format, id, address string, outcome uint8, replied bool) *store.Attempt {
		return &store.Attempt{Format: format, MessageID: []byte(id), Address: []byte(address), Outcome: outcome, Replied: replied}
	}
	tracked, _ := pairOf(attempt(store.TrackingFormat, "<m@x>", "joe@x.example", attemptFailed, true))
	for _, test := range []struct {
		name    string
		attempt *store.Attempt
		ok      bool
		kind    int64 // -1: another pair
	}{
		{"itself", attempt(store.TrackingFormat, "<m@x>", "joe@x.example", attemptFailed, false), true, pairTracking},
		{"a reply", attempt(store.SendFormat, "<m@x>", "joe@x.example", attemptFailed, true), true, pairReply},
		{"in another case", attempt(store.SendFormat, "<m@x>", "Joe@x.example", attemptFailed, true), true, pairReply},
		{"no reply", attempt(store.SendFormat, "<m@x>", "joe@x.example", attemptFailed, false), true, pairLost},
		{"another outcome", attempt(store.SendFormat, "<m@x>", "joe@x.example", attemptDeferred, true), true, -1},
		{"another message", attempt(store.SendFormat, "<M@x>", "joe@x.example", attemptFailed, true), true, -1},
		{"another recipient", attempt(store.SendFormat, "<m@x>", "jim@x.example", attemptFailed, true), true, -1},
		{"no Message-ID", attempt(store.SendFormat, "", "joe@x.example", attemptFailed, true), false, -1},
		{"another log", attempt("postfix", "<m@x>", "joe@x.example", attemptFailed, true), false, -1},
	} {
		pair, ok := pairOf(test.attempt)
		kind := int64(-1)
		if ok && pair&^pairKinds == tracked {
			kind = pair & pairKinds
		}
		if ok != test.ok || kind != test.kind {
			t.Errorf("%s: kind %d, %v; want %d, %v", test.name, kind, ok, test.kind, test.ok)
		}
	}
}
