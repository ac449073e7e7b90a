//go:build !unix

package sqlite

import "context"

// turn does nothing on this system: SQLite alone decides which process writes next. wanted
// is always true, so that a writer ends its batch after a second.
type turn struct{}

func openTurn(string) turn                  { return turn{} }
func (turn) wait(ctx context.Context) error { return ctx.Err() }
func (turn) pass()                          {}
func (turn) wanted() bool                   { return true }
func (turn) close()                         {}
