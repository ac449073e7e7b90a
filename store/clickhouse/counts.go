package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mailfail/store/fleet"
	"mailfail/store/sqlite"
)

// The server adds up counts, so that only sums are transferred.

const (
	blocksPerHour  = 1024
	minutesPerHour = 60
	minutesPerDay  = 24 * minutesPerHour
)

// countFields lists the columns of counts that hold numbers to add up.
var countFields = namesOf(fleet.Counts)[4:]

func namesOf(t *fleet.Table) []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// ints returns a list of n types, all Int.
func ints(n int) []fleet.Type { return make([]fleet.Type, n) }

// CountedMinutes returns a span of minutes that contains all counts.
func (s *source) CountedMinutes(ctx context.Context) (since, until int64, err error) {
	query := fmt.Sprintf("SELECT min(id), max(id) FROM %s WHERE %s HAVING count() > 0 FORMAT RowBinary", s.client.table(fleet.Counts), s.valid())
	err = s.client.eachRow(ctx, query, ints(2), func(r fleet.Row) error {
		since, until = r[0].Int/blocksPerHour*minutesPerHour, (r[1].Int/blocksPerHour+1)*minutesPerHour
		return nil
	})
	return since, until, err
}

// newest returns the query for columns of the rows of a table of blocks that meet a
// condition. It does not use FINAL, which would hold thousands of blocks at a time, each
// with thousands of numbers.
func (s *source) newest(t *fleet.Table, columns, condition string) string {
	from := s.client.table(t)
	return fmt.Sprintf(`SELECT %s FROM %s WHERE deleted = 0 AND %s AND %s AND (origin, id, version) GLOBAL IN
		(SELECT origin, id, max(version) FROM %[2]s WHERE %[3]s AND %[4]s GROUP BY origin, id) LIMIT 1 BY origin, id`, columns, from, s.valid(), condition)
}

// ofDays returns the condition that a row of totals belongs to one of some days.
func ofDays(first, last int64) string { return fmt.Sprintf("id BETWEEN %d AND %d", first, last) }

// TotalledDays returns the days for which there are totals, by origin.
func (s *source) TotalledDays(ctx context.Context, first, last int64) (sqlite.DaysByOrigin, error) {
	days := sqlite.DaysByOrigin{}
	query := fmt.Sprintf("SELECT %s AS number, id FROM (%s) ORDER BY number, id FORMAT RowBinary", s.number(), s.newest(fleet.Totals, "origin, id", ofDays(first, last)))
	return days, s.client.eachRow(ctx, query, ints(2), func(r fleet.Row) error {
		days[r[0].Int] = append(days[r[0].Int], r[1].Int)
		return nil
	})
}

// Totals calls each with the totals of some days, of all origins together.
func (s *source) Totals(ctx context.Context, q *sqlite.TotalsQuery,
	each func(*sqlite.TotalsRow) error) error {
	if len(q.Days) == 0 {
		return nil
	}
	columns := namesOf(fleet.Totals)
	var joined, sums []string
	for i, name := range columns[1:] {
		list := quoteName(name)
		if q.Dimension != sqlite.AllDimensions { // rows are sorted by dimension
			list = fmt.Sprintf("arraySlice(%s, indexOf(dimension, %d), countEqual(dimension, %[2]d))",
				list, q.Dimension)
		}
		joined = append(joined, fmt.Sprintf("%s AS c%d", list, i))
	}
	const keys = 4
	for i := range countFields {
		sums = append(sums, fmt.Sprintf("sum(c%d)", keys+i))
	}
	days, spans := make([]string, len(q.Days)), make([]string, len(q.Days))
	for i := range q.Days {
		days[i], spans[i] = fmt.Sprint(q.Days[i]), fmt.Sprintf("toInt64(%d)", q.Spans[i])
	}
	dimension := "c0"
	if q.Dimension == sqlite.AllDimensions {
		dimension = "if(c0 = 0, -1 - id, c0)"
	}
	// Without a span in the key, sums take half the time.
	span, by := "toInt64(0)", ""
	if len(slices.Compact(slices.Clone(q.Spans))) > 1 || q.Spans[0] != 0 {
		span = fmt.Sprintf("transform(id, [%s], [%s], toInt64(0))", strings.Join(days, ","),
			strings.Join(spans, ","))
		by = "span, "
	}
	ofDays := fmt.Sprintf("id IN (%s)", strings.Join(days, ","))
	query := fmt.Sprintf("SELECT %s AS span, %s AS d, c2, c1, c3, %s FROM (%s) ARRAY JOIN %s "+
		"GROUP BY %sd, c1, c2, c3 FORMAT RowBinary",
		span, dimension, strings.Join(sums, ", "),
		s.newest(fleet.Totals, strings.Join(quoteNames(columns), ", "), ofDays),
		strings.Join(joined, ", "), by)
	types := append(ints(3), fleet.Text, fleet.Text)
	types = append(types, ints(len(sums))...)
	return s.client.eachRow(ctx, query, types, func(r fleet.Row) error {
		row := sqlite.TotalsRow{Span: r[0].Int, Dimension: r[1].Int, Direction: r[2].Int}
		if row.Dimension < 0 {
			row.Dimension, row.Day = 0, -1-row.Dimension
		}
		row.Format, row.Value = r[3].Text, r[4].Text
		for i := range row.N {
			row.N[i] = r[5+i].Int
		}
		return each(&row)
	})
}

func quoteNames(names []string) []string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quoteName(name)
	}
	return quoted
}

// SumCounts calls each with sums of counts by series.
func (s *source) SumCounts(ctx context.Context, q *sqlite.CountsQuery,
	each func(group, origin, series int64, n []int64) error) error {
	if len(s.origins) == 0 {
		return nil
	}
	columns := []string{"series", "minute"}
	columns = append(columns, countFields...)
	var joined, sums []string
	for i, name := range columns {
		joined = append(joined, fmt.Sprintf("%s AS c%d", quoteName(name), i))
	}
	for i := range countFields {
		sums = append(sums, fmt.Sprintf("sum(c%d)", 2+i))
	}
	minute := fmt.Sprintf("intDiv(id, %d) * %d + c1", blocksPerHour, minutesPerHour)
	group := "toInt64(0)"
	if q.Step > 0 {
		group = fmt.Sprintf("toInt64(intDiv(%s - %d, %d))", minute, q.Origin, q.Step)
	}
	// Filter rows by minute only if some hour is not wanted as a whole.
	where, totalled := "", s.totalled(q.Days)
	if !wholeHours(q.Within) || !wholeHours(q.Others) {
		where = " WHERE " + either(q, "totalled", func(span [2]int64) string { return minutesOf(minute, span) })
	}
	ofHours := either(q, totalled, hoursOf)
	query := fmt.Sprintf("SELECT %s AS g, %s AS number, c0, %s FROM (%s) ARRAY JOIN %s%s GROUP BY g, origin, c0 FORMAT RowBinary",
		group, s.number(), strings.Join(sums, ", "),
		s.newest(fleet.Counts, "origin, id, "+totalled+" AS totalled, "+strings.Join(quoteNames(columns), ", "), ofHours),
		strings.Join(joined, ", "), where)
	// Mostly there are totals of all days, and no block is wanted. Check that first: old
	// servers read the numbers of blocks before they evaluate the condition.
	some := false
	first := fmt.Sprintf("SELECT toInt64(1) FROM %s WHERE %s AND %s LIMIT 1 FORMAT RowBinary", s.client.table(fleet.Counts), s.valid(), ofHours)
	if err := s.client.eachRow(ctx, first, ints(1), func(fleet.Row) error {
		some = true
		return nil
	}); err != nil || !some {
		return err
	}
	n := make([]int64, len(countFields))
	return s.client.eachRow(ctx, query, ints(3+len(n)), func(r fleet.Row) error {
		for i := range n {
			n[i] = r[3+i].Int
		}
		return each(r[0].Int, r[1].Int, r[2].Int, n)
	})
}

// Minutes implements sqlite.ViewSource.
func (s *source) Minutes(ctx context.Context, spans [][2]int64, all bool,
	each func(read func([]sqlite.Column) (int, error)) error) error {
	if len(s.origins) == 0 {
		return nil
	}
	columns := []string{"series", "minute", "recipients", "accepted"}
	if all {
		columns = append(columns, "delivered", "suspended")
	}
	var joined []string
	for i, name := range columns {
		joined = append(joined, fmt.Sprintf("%s AS c%d", quoteName(name), i))
	}
	minute := fmt.Sprintf("(intDiv(id, %d) * %d + c1)", blocksPerHour, minutesPerHour)
	expressions := []string{s.shortNumber() + " AS o", "c0", "toUInt32(" + minute + ") AS m"}
	for i := range columns[2:] {
		expressions = append(expressions, fmt.Sprintf("toUInt32(c%d) AS n%[1]d", 2+i))
	}
	var hours, minutes []string
	for _, span := range spans {
		hours, minutes = append(hours, hoursOf(span)), append(minutes, minutesOf(minute, span))
	}
	where := ""
	if !wholeHours(spans) {
		where = " WHERE " + strings.Join(minutes, " OR ")
	}
	blocks := s.newest(fleet.Counts, "origin, id, "+strings.Join(quoteNames(columns), ", "),
		"("+strings.Join(hours, " OR ")+")")
	return s.native(ctx, fmt.Sprintf("SELECT %s FROM (%s) ARRAY JOIN %s%s FORMAT Native",
		strings.Join(expressions, ", "), blocks, strings.Join(joined, ", "), where), each)
}

// hoursOf returns the condition that a block belongs to an hour of a span of minutes.
func hoursOf(span [2]int64) string {
	first, last := span[0]/minutesPerHour, (span[1]+minutesPerHour-1)/minutesPerHour
	return fmt.Sprintf("id >= %d AND id < %d", first*blocksPerHour, last*blocksPerHour)
}

// minutesOf returns the condition that a minute lies in a span.
func minutesOf(minute string, span [2]int64) string {
	return fmt.Sprintf("%[1]s >= %d AND %[1]s < %[3]d", minute, span[0], span[1])
}

func wholeHours(spans [][2]int64) bool {
	return !slices.ContainsFunc(spans, func(s [2]int64) bool {
		return s[0]%minutesPerHour != 0 || s[1]%minutesPerHour != 0
	})
}

// either returns the condition that q puts on a row; totalled is the expression that
// reports whether the row belongs to one of q.Days.
func either(q *sqlite.CountsQuery, totalled string, in func(span [2]int64) string) string {
	any := func(spans [][2]int64) string {
		list := []string{"0"}
		for _, span := range spans {
			list = append(list, in(span))
		}
		return "(" + strings.Join(list, " OR ") + ")"
	}
	if len(q.Days) == 0 {
		return any(q.Others)
	}
	return fmt.Sprintf("(%s AND %s OR NOT %[1]s AND %[3]s)", totalled, any(q.Within), any(q.Others))
}

// totalled returns the expression that reports whether a block of counts belongs to one of
// some days.
func (s *source) totalled(days sqlite.DaysByOrigin) string {
	origins := map[string][]string{} // by condition: most origins have the same days
	var conditions []string
	for number := range int64(len(s.origins)) {
		var spans []string
		list := days[number]
		for i := 0; i < len(list); {
			first := list[i]
			for i++; i < len(list) && list[i] == list[i-1]+1; i++ {
			}
			const perDay = 24 * blocksPerHour
			spans = append(spans, fmt.Sprintf("id >= %d AND id < %d", first*perDay, (list[i-1]+1)*perDay))
		}
		if spans == nil {
			continue
		}
		condition := strings.Join(spans, " OR ")
		if origins[condition] == nil {
			conditions = append(conditions, condition)
		}
		origins[condition] = append(origins[condition], quote(s.origins[number].name))
	}
	if conditions == nil {
		return "toUInt8(0)"
	}
	for i, condition := range conditions {
		conditions[i] = fmt.Sprintf("origin IN (%s) AND (%s)", strings.Join(origins[condition], ","), condition)
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}
