package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// Feedback returns the reports of a window about mail that was sent before, the most
// frequent first.
func (q *reader) Feedback(ctx context.Context, w store.Window,
	f store.Filter) (rows []store.FeedbackRow, err error) {
	err = q.read(ctx, func(t *tx) error {
		found, err := t.feedback(w.Minutes(), &f)
		rows = found
		return err
	})
	return rows, err
}

func (t *tx) feedback(w store.Window, f *store.Filter) ([]store.FeedbackRow, error) {
	if err := t.need(w, fleet.Feedback); err != nil {
		return nil, err
	}
	where, args := within(w, "time", 1)
	var cat *catalog
	sums := map[store.FeedbackRow]*store.FeedbackRow{}
	err := t.each(`SELECT kind, series, IFNULL(sent, series), cause, count(*), min(time), max(time), min(text) FROM feedback
		WHERE `+where+" GROUP BY 1, 2, 3, 4", args, func(r *sql.Rows) (err error) {
		var row store.FeedbackRow
		var of, place, cause, first, last int64
		if err := r.Scan(&row.Kind, &of, &place, &cause, &row.N, &first, &last, &row.Example); err != nil {
			return err
		}
		if cat == nil {
			if cat, err = t.catalog(); err != nil {
				return err
			}
		}
		row.First, row.Last = time.UnixMicro(first), time.UnixMicro(last)
		if cat.describe(&row, of, place, cause, f) {
			addFeedback(sums, &row)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rows := make([]store.FeedbackRow, 0, len(sums))
	for _, r := range sums {
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, compareFeedback)
	return rows, nil
}

// describe sets the fields of a row from its series and cause, and reports whether a filter
// selects the row.
func (c *catalog) describe(row *store.FeedbackRow, of, place, cause int64, f *store.Filter) bool {
	i, ok := c.place(of)
	j, sent := c.place(place)
	k := c.causes[cause]
	if !ok || !sent || k == nil && cause != 0 {
		return false
	}
	s := &c.series[j]
	row.Format = c.names[c.series[i].format]
	name := func(id int32) registry.Foreign { return registry.Foreign(c.names[id]) }
	row.Host, row.Sender, row.Domain, row.Provider = name(s.host), name(s.sender), name(s.domain),
		name(c.provider(s))
	if k != nil {
		row.Reply, row.Enhanced, row.Reason = k.reply, k.enhanced, k.reason
	}
	return store.MatchName(f.Hosts, row.Host) && store.MatchDomain(f.Senders, row.Sender) &&
		store.MatchDomain(f.Domains, row.Domain) &&
		store.MatchName(f.Providers, row.Provider) && store.MatchName(f.Directions, s.directionName()) &&
		(f.MatchFormat(row.Format) || f.MatchFormat(c.names[s.format])) &&
		(!f.OfCause() || k != nil && f.MatchCause(k.reply, k.enhanced, k.reason))
}

// addFeedback adds a row to the row with which it has all fields in common.
func addFeedback(sums map[store.FeedbackRow]*store.FeedbackRow, row *store.FeedbackRow) {
	key := *row
	key.N, key.First, key.Last, key.Example = 0, time.Time{}, time.Time{}, ""
	s := sums[key]
	if s == nil {
		sums[key] = row
		return
	}
	s.N += row.N
	s.Example = min(s.Example, row.Example)
	if row.First.Before(s.First) {
		s.First = row.First
	}
	if row.Last.After(s.Last) {
		s.Last = row.Last
	}
}

func compareFeedback(a, b store.FeedbackRow) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(b.N, a.N), cmp.Compare(a.Provider, b.Provider),
		cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Code(), b.Code()),
		cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Format, b.Format))
}

// repeatedBounces returns the attempts that both a bounce of the window and a log report.
func (t *tx) repeatedBounces(w store.Window) (map[int64]bool, error) {
	if err := t.need(w, fleet.Feedback); err != nil {
		return nil, err
	}
	where, args := within(w, "time", 1)
	repeated := map[int64]bool{}
	err := t.ints("SELECT attempt FROM feedback WHERE "+where+" AND kind = ? AND attempt IS NOT NULL", append(args, store.FeedbackRepeated), func(v []int64) error {
		repeated[v[0]] = true
		return nil
	})
	return repeated, err
}

// toldBounce holds the reports of logs about a recipient that a bounce reports.
type toldBounce struct {
	repeated bool      // a log reports the failure too
	accepted time.Time // when the next hop accepted it
}

// bouncesOf returns the reports of logs about the recipients that meet a condition.
func (t *tx) bouncesOf(cond string, args []any) (map[int64]toldBounce, error) {
	if err := t.need(store.Window{}, fleet.Feedback); err != nil {
		return nil, err
	}
	found := map[int64]toldBounce{}
	err := t.ints(`SELECT a.recipient, f.kind, f.sent_at FROM feedback AS f JOIN attempt_rows AS a ON a.id = f.attempt
		WHERE f.attempt IN (SELECT id FROM attempt_rows WHERE recipient IN (SELECT id FROM recipient_rows WHERE `+cond+"))", args, func(v []int64) error {
		b := toldBounce{repeated: v[1] == int64(store.FeedbackRepeated)}
		if v[1] == int64(store.FeedbackRefused) {
			b.accepted = time.UnixMicro(v[2])
		}
		found[v[0]] = b
		return nil
	})
	return found, err
}
