// Package quiet keeps bubbletea from asking the terminal for its colours, which
// it does in its init function: in every run of a program that has it linked,
// whatever the program is about to do. The answer would have to be waited for,
// and what the user has typed ahead would be lost.
//
// It does not ask where the variable CI is set. Packages are initialized in the
// order of their import paths as far as their imports allow (Go specification,
// "Program initialization"): this one imports nothing that comes after it but
// syscall, while bubbletea has to wait for os, so this one is first.
package quiet

import "syscall"

const variable = "CI"

var set = func() bool {
	if _, ok := syscall.Getenv(variable); ok {
		return false
	}
	return syscall.Setenv(variable, "1") == nil
}()

// Done takes the variable back, so that nobody else sees it.
func Done() {
	if set {
		_ = syscall.Unsetenv(variable)
	}
}
