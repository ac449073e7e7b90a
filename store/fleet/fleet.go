// Package fleet describes the tables of a database that many hosts send their rows to. The
// origin, which is the database a row comes from, and the key identify a row; among rows
// with the same key, the one with the greatest version is valid.
package fleet

import "strings"

// Type is the type of the values of a column.
type Type uint8

// The types of columns.
const (
	Int       Type = iota
	Text           // bytes
	MaybeInt       // or null
	MaybeText      // or null
	Ints           // a list
	Texts          // likewise
)

// Column is a column of a table. Each table also has origin, version and deleted.
type Column struct {
	Name string
	Type Type
}

// Value is a value of a column. The type of the column decides which field is used.
type Value struct {
	Int  int64
	Text string
	Null bool // of MaybeInt and MaybeText
	Ints []int64

	Texts []string
}

// Row holds the values of a row, one for each column.
type Row []Value

// Table is a table of a fleet.
type Table struct {
	Name    string
	Columns []Column
	Key     []string // besides the origin, in the order in which rows are sorted
	Day     string   // of a row: an expression over columns that never change; "" for none
	Blocks  bool     // a row holds thousands of numbers
}

// suffixes maps the last byte of a name, as columns reads it, to the type of the column.
var suffixes = map[byte]Type{'$': Text, '?': MaybeInt, '~': MaybeText, '*': Ints, '#': Texts}

// columns reads names: without a suffix the column holds integers.
func columns(names string) (list []Column) {
	for _, name := range strings.Fields(names) {
		last := name[len(name)-1]
		t, ok := suffixes[last]
		if ok {
			name = name[:len(name)-1]
		}
		list = append(list, Column{name, t})
	}
	return list
}

// Days since 1970, of times in microseconds, of minutes, of hours and of blocks.
const (
	dayOfTime   = "intDiv(time, 86400000000)"
	dayOfMinute = "intDiv(minute, 1440)"
	dayOfHour   = "intDiv(hour, 24)"
	dayOfBlock  = "intDiv(id, 24576)" // 1024 an hour
)

// The tables. Names are stored as text; a column that is named after a table holds ids of
// that table, of the same origin. Times are in microseconds since 1970.
var (
	Causes = &Table{
		Name: "causes",
		Columns: columns("id reply enhanced$ mta_status$ stage source provider$ signature$ reason$ rule$ " +
			"decided confidence"),
		Key: []string{"id"},
	}
	Series = &Table{
		Name:    "series",
		Columns: columns("id format$ host$ instance$ sender$ domain$ relay$ provider$ direction own"),
		Key:     []string{"id"},
	}
	// id_hash is the hash of message_id, by which readers find the legs of a message.
	Messages = &Table{
		Name: "messages",
		Columns: columns("id format$ host$ instance$ queue_id$ message_id$ sender~ client$ client_ip$ " +
			"account$ size first_seen own id_hash"),
		Key: []string{"id"},
	}
	Recipients = &Table{
		Name: "recipients",
		Columns: columns("id message series address$ state first_seen last_seen final_at? cause? " +
			"exact_cause? troubled"),
		Key: []string{"id"},
	}
	Attempts = &Table{
		Name: "attempts",
		Columns: columns("id time recipient series outcome cause service$ ip$ delay? text$ first exact? " +
			"own_cause? pair?"),
		Key: []string{"time", "id"},
		Day: dayOfTime,
	}
	Rejections = &Table{
		Name: "rejections",
		Columns: columns("id time series cause service$ queue_id$ client$ client_ip$ sender~ " +
			"sender_domain$ recipient$ text$ line_hash? n n_main n_copy"),
		Key: []string{"time", "id"},
		Day: dayOfTime,
	}
	Feedback = &Table{
		Name:    "feedback",
		Columns: columns("id kind time series cause attempt? sent? sent_at? ids$ addresses$ text$ hash?"),
		Key:     []string{"time", "id"},
		Day:     dayOfTime,
	}
	Connections = &Table{
		Name:    "connections",
		Columns: columns("minute series cause session$ n messages text$"),
		Key:     []string{"minute", "series", "cause", "session"},
		Day:     dayOfMinute,
	}
	// The columns of a block of counts are lists of the same length.
	Counts = &Table{
		Name: "counts",
		Columns: columns("id series* cause* minute* delivered* recipients* suspended* handed* messages* " +
			"accepted* expected* heard*"),
		Key:    []string{"id"},
		Day:    dayOfBlock,
		Blocks: true,
	}
	// Sums of the counts of a day that is over, by each single dimension. If an origin has
	// a row for a day, the row is the sum of all its blocks of counts of that day.
	Totals = &Table{
		Name: "totals",
		Columns: columns("id dimension* format# direction* value# delivered* recipients* suspended* " +
			"handed* messages* accepted* expected* heard*"),
		Key:    []string{"id"},
		Day:    "id",
		Blocks: true,
	}
	Deliveries = &Table{
		Name:    "deliveries",
		Columns: columns("id rows filter$ data$"),
		Key:     []string{"id"},
		Day:     dayOfBlock,
		Blocks:  true,
	}
	Submissions = &Table{
		Name:    "submissions",
		Columns: columns("hour host$ sender$ account$ client$ messages recipients bytes"),
		Key:     []string{"hour", "host", "sender", "account", "client"},
		Day:     dayOfHour,
	}
	Volumes = &Table{
		Name:    "volumes",
		Columns: columns("hour host$ measure value n bytes millis"),
		Key:     []string{"hour", "host", "measure", "value"},
		Day:     dayOfHour,
	}
	Troubles = &Table{
		Name:    "troubles",
		Columns: columns("hour format$ host$ kind$ signature$ service$ n first last text$"),
		Key:     []string{"hour", "format", "host", "kind", "signature"},
		Day:     dayOfHour,
	}
	Lines = &Table{
		Name:    "lines",
		Columns: columns("minute read understood irrelevant unparsed"),
		Key:     []string{"minute"},
		Day:     dayOfMinute,
	}
	// One row for each origin, sent last. It records up to where the origin has sent its
	// rows.
	Origins = &Table{
		Name:    "origins",
		Columns: columns("host$ pushed from deliveries_from"),
	}
)

// Tables lists the tables in the order in which they are sent.
var Tables = []*Table{Causes, Series, Messages, Recipients, Attempts, Rejections, Feedback, Connections,
	Counts, Totals, Deliveries, Submissions, Volumes, Troubles, Lines}

// TotalsOfInstances is the dimension of totals whose values are names of instances.
const TotalsOfInstances = 1

// EpochBits is the number of low bits of a version, which count batches. The bits above
// count how often a database was put back to an earlier state.
const EpochBits = 40
