package parsers

import "time"

// A Clock turns the wall-clock times of one log, written without a zone, into instants.
// It must receive the times in the order of the log: when clocks are set back and an hour
// occurs twice, the order of the lines distinguishes the two.
type Clock struct {
	loc *time.Location

	last  int64 // the latest wall-clock time read, as an instant; 0 before the first
	valid bool  // the fields below are set

	// The offset from UTC before and after the only change in the days around day.
	day           int
	change        int64 // the instant of the change
	changes       bool
	before, after int64 // seconds east of UTC
}

// repeatSlack is how many seconds a line may be earlier than the line before it without
// being counted to the second pass of a repeated hour. Processes hand syslog their lines
// out of order by seconds, seldom more.
const repeatSlack = 120

// NewClock returns a Clock for times in loc.
func NewClock(loc *time.Location) Clock { return Clock{loc: loc} }

// Last returns the state of c, to be stored.
func (c *Clock) Last() int64 { return c.last }

// SetLast sets a new clock to the value of Last.
func (c *Clock) SetLast(last int64) { c.last = last }

// Instant returns the instant, in seconds since 1970, at which the clocks showed second
// (0 to 86400) of the day with the given number, see DayNumber. A time that was skipped
// when the clocks were set forward is read with the offset before the change.
func (c *Clock) Instant(day, second int) int64 {
	if !c.valid || c.day != day {
		c.look(day)
	}
	wall := int64(day)*86400 + int64(second)
	t := wall - c.before
	if c.changes {
		t = c.choose(t, wall-c.after)
	}
	c.last = t
	return t
}

// choose returns the instant of a wall-clock time near a change of the
// offset: first with the offset before the change, second with the one after.
func (c *Clock) choose(first, second int64) int64 {
	switch {
	case second < c.change: // before the change, or a skipped time
		return first
	case first >= c.change: // after it
		return second
	case c.last == 0 || first >= c.last-repeatSlack:
		return first
	}
	return second
}

// look finds the offsets of a day and its neighbours.
func (c *Clock) look(day int) {
	start := time.Unix(int64(day-1)*86400, 0).In(c.loc)
	_, offset := start.Zone()
	c.day, c.valid, c.before = day, true, int64(offset)
	_, end := start.ZoneBounds()
	c.changes = !end.IsZero() && end.Unix() < int64(day+2)*86400
	if c.changes {
		_, offset = end.Zone()
		c.change, c.after = end.Unix(), int64(offset)
	}
}

// DayNumber returns the number of days from 1970-01-01 to a date of the Gregorian
// calendar. It returns false if there is no such date, or if it is earlier: no log is
// older.
func DayNumber(year, month, day int) (int, bool) {
	if year < 1970 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	// Years begin in March, so that the leap day is their last.
	if month < 3 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468, true
}

// daysIn returns the length of a month.
func daysIn(year, month int) int {
	switch {
	case month == 2 && isLeap(year):
		return 29
	case month == 2:
		return 28
	case month == 4 || month == 6 || month == 9 || month == 11:
		return 30
	}
	return 31
}

func isLeap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }
