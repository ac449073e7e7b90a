package syslog

import (
	"time"

	"mailfail/parsers"
)

// Distances in days between a date without a year and the date of the line above it. A
// log goes forward in time. A date that seems to go back by months belongs to the next
// year; one that seems to leap forward by most of a year is a late line of the year
// before. If a date goes back by about a season, the modification time of the log
// decides.
const (
	surelyNextYear = 180
	maybeNextYear  = 90
	lateLine       = 300
)

// yearGuess finds the years of dates without one, such as those of classic syslog, from
// their order and from the modification time of the log.
type yearGuess struct {
	given  int // the year of the first line as given by the user, or 0
	newest int // day number after which no line can have been written

	// Date of the last line that was not out of order; year 0 before the first.
	year, month, mday int
	number            int
}

func newYearGuess(given int, modified time.Time, loc *time.Location) yearGuess {
	y, m, d := modified.In(loc).Date()
	newest, _ := parsers.DayNumber(y, int(m), d)
	return yearGuess{given: given, newest: newest + 1}
}

// day returns the day number of a date without a year.
func (g *yearGuess) day(month, mday int) (int, bool) {
	if g.year != 0 && g.month == month && g.mday == mday {
		return g.number, true
	}
	if !isDate(2000, month, mday) {
		return 0, false
	}
	year, late := g.yearOf(month, mday)
	number, ok := parsers.DayNumber(year, month, mday)
	if ok && !late {
		g.year, g.month, g.mday, g.number = year, month, mday, number
	}
	return number, ok
}

// yearOf returns the year of a date and whether its line is late: such a line says
// nothing about the year of the next lines.
func (g *yearGuess) yearOf(month, mday int) (year int, late bool) {
	if g.year == 0 {
		return g.firstYear(month, mday), false
	}
	number, ok := parsers.DayNumber(g.year, month, mday)
	if !ok { // 29 February
		return g.leapYear(), false
	}
	switch back := g.number - number; {
	case back > surelyNextYear,
		back > maybeNextYear && number+365 <= g.newest:
		return withDate(g.year+1, +1, month, mday), false
	case -back > lateLine:
		return withDate(g.year-1, -1, month, mday), true
	}
	return g.year, false
}

// leapYear returns the year of 29 February when the line before is in a year without one:
// the next year if that has one, else the latest earlier year that has one, because then
// the years of the lines before were too late.
func (g *yearGuess) leapYear() int {
	if isDate(g.year+1, 2, 29) && g.month > 8 {
		return g.year + 1
	}
	return withDate(g.year, -1, 2, 29)
}

// firstYear returns the latest year in which the first line of a log is not newer than
// the log.
func (g *yearGuess) firstYear(month, mday int) int {
	if g.given != 0 {
		return withDate(g.given, -1, month, mday)
	}
	year := time.Unix(int64(g.newest)*86400, 0).UTC().Year()
	if n, ok := parsers.DayNumber(year, month, mday); ok && n > g.newest {
		year--
	}
	return withDate(year, -1, month, mday)
}

// withDate returns the first year from year on, in steps of step, that has the date.
func withDate(year, step, month, mday int) int {
	for !isDate(year, month, mday) {
		year += step
	}
	return year
}

// nearest returns the day number of a date without a year, in the year that brings it
// nearest to another day.
func nearest(month, mday int, to time.Time) (int, bool) {
	day := int(to.Unix() / 86400)
	best, found := 0, false
	for year := to.Year() - 1; year <= to.Year()+1; year++ {
		n, ok := parsers.DayNumber(year, month, mday)
		if ok && (!found || max(n-day, day-n) < max(best-day, day-best)) {
			best, found = n, true
		}
	}
	return best, found
}

// isDate reports whether the date exists.
func isDate(year, month, day int) bool {
	_, ok := parsers.DayNumber(year, month, day)
	return ok
}
