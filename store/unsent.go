package store

import (
	"context"
	"time"
)

// Unsent says what of a database has not arrived in that of a fleet.
type Unsent struct {
	Target string    // "" for none
	Rows   int64     // and blocks of counts, and minutes or hours of what is only counted
	Since  time.Time // when the last push ended, zero for never
}

// Spool is a Database whose rows may be sent to that of a fleet.
type Spool interface {
	Unsent(ctx context.Context) (Unsent, error)
}

// UnsentOf returns what of db waits to be sent, nothing where nothing ever is.
func UnsentOf(ctx context.Context, db Database) (Unsent, error) {
	if s, ok := db.(Spool); ok {
		return s.Unsent(ctx)
	}
	return Unsent{}, nil
}
