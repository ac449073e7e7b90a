//go:build !unix

package sqlite

// turn does nothing here: SQLite alone decides who writes next.
type turn struct{}

func openTurn(string) turn { return turn{} }
func (turn) wait()         {}
func (turn) pass()         {}
func (turn) close()        {}
