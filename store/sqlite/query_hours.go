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

// wholeHours returns the condition that the hour in column hour overlaps a window.
func wholeHours(w store.Window) (string, []any) {
	if !w.Until.IsZero() {
		w.Until = w.Until.Add(time.Hour - time.Microsecond)
	}
	return within(w, "hour", 60*store.MinuteMicros)
}

// Troubles returns the internal trouble that mail systems reported in the hours of a
// window, the most frequent first.
func (q *reader) Troubles(ctx context.Context, w store.Window,
	f store.Filter) (list []store.TroubleRow, err error) {
	err = q.read(ctx, func(t *tx) error {
		if err := t.need(w, fleet.Troubles); err != nil {
			return err
		}
		where, args := wholeHours(w)
		return t.each(`SELECT f.text, h.text, min(s.text), t.kind, min(t.text), t.signature, sum(t.n), min(t.first), max(t.last) FROM troubles AS t
			JOIN names AS f ON f.id = t.format JOIN names AS h ON h.id = t.host JOIN names AS s ON s.id = t.service
			WHERE `+where+` GROUP BY f.text, h.text, t.kind, t.signature`, args, func(r *sql.Rows) error {
			var row store.TroubleRow
			var first, last int64
			err := r.Scan(&row.Format, &row.Host, &row.Service, &row.Kind, &row.Text, &row.Signature, &row.N,
				&first, &last)
			row.First, row.Last = time.UnixMicro(first), time.UnixMicro(last)
			if store.MatchName(f.Hosts, row.Host) && f.MatchFormat(row.Format) {
				list = append(list, row)
			}
			return err
		})
	})
	slices.SortFunc(list, func(a, b store.TroubleRow) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Signature, b.Signature), cmp.Compare(a.Host, b.Host),
			cmp.Compare(a.Format, b.Format))
	})
	return list, err
}

// Submissions counts messages by the account and client that submitted them in the hours of
// a window, most messages first.
func (q *reader) Submissions(ctx context.Context, w store.Window,
	f store.Filter) (list []store.SubmissionRow, err error) {
	err = q.read(ctx, func(t *tx) error {
		if err := t.need(w, fleet.Submissions); err != nil {
			return err
		}
		where, args := wholeHours(w)
		return t.each(`SELECT h.text, s.text, a.text, c.text, u.messages, u.recipients, u.bytes FROM (SELECT host, sender, account, client,
			sum(messages) AS messages, sum(recipients) AS recipients, sum(bytes) AS bytes FROM submissions WHERE `+where+` GROUP BY host, sender, account, client) AS u
			JOIN names AS h ON h.id = u.host JOIN names AS s ON s.id = u.sender JOIN names AS a ON a.id = u.account JOIN names AS c ON c.id = u.client`,
			args, func(r *sql.Rows) error {
				var row store.SubmissionRow
				err := r.Scan(&row.Host, &row.Sender, &row.Account, &row.Client, &row.Messages,
					&row.Recipients, &row.Bytes)
				if store.MatchName(f.Hosts, row.Host) && store.MatchDomain(f.Senders, row.Sender) {
					list = append(list, row)
				}
				return err
			})
	})
	slices.SortFunc(list, func(a, b store.SubmissionRow) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Host, b.Host),
			cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Account, b.Account),
			cmp.Compare(a.Client, b.Client))
	})
	return list, err
}

// Volumes returns the volumes of the hours of a window, by hour, and in each by measure and
// value.
func (q *reader) Volumes(ctx context.Context, w store.Window,
	f store.Filter) (list []store.HourVolume, err error) {
	err = q.read(ctx, func(t *tx) error {
		if err := t.need(w, fleet.Volumes); err != nil {
			return err
		}
		where, args := wholeHours(w)
		return t.each(`SELECT v.hour, h.text, v.measure, v.value, v.n, v.bytes, v.millis FROM volumes AS v JOIN names AS h ON h.id = v.host
			WHERE `+where+" ORDER BY v.hour, v.measure, v.value", args, func(r *sql.Rows) error {
			var host registry.Foreign
			var hour int64
			var v store.HourVolume
			err := r.Scan(&hour, &host, &v.Measure, &v.Value, &v.N, &v.Bytes, &v.Millis)
			v.Time = time.UnixMicro(hour * 60 * store.MinuteMicros)
			switch last := len(list) - 1; {
			case !store.MatchName(f.Hosts, host):
			case last >= 0 && list[last].Time.Equal(v.Time) && list[last].Measure == v.Measure &&
				list[last].Value == v.Value:
				list[last].Add(&v.Volume)
			default:
				list = append(list, v)
			}
			return err
		})
	})
	return list, err
}
