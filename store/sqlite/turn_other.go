//go:build !unix

package sqlite

import "context"

// turn does nothing here: SQLite alone decides who writes next. So whoever writes
// lets others go on after a second.
type turn struct{}

func openTurn(string) turn                  { return turn{} }
func (turn) wait(ctx context.Context) error { return ctx.Err() }
func (turn) pass()                          {}
func (turn) wanted() bool                   { return true }
func (turn) close()                         {}
