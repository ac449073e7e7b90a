package store

import (
	"context"
	"time"
)

// Unsent describes the rows of a database that the database of a fleet has not received.
type Unsent struct {
	Target string    // "" for none
	Rows   int64     // with blocks of counts, and minutes or hours that are only counted
	Since  time.Time // when the last push ended, zero for never
}

// Spool is a Database whose rows may be sent to that of a fleet.
type Spool interface {
	Unsent(ctx context.Context) (Unsent, error)
}

// UnsentOf returns the rows of db that wait to be sent, zero for a db that sends none.
func UnsentOf(ctx context.Context, db Database) (Unsent, error) {
	if s, ok := db.(Spool); ok {
		return s.Unsent(ctx)
	}
	return Unsent{}, nil
}
