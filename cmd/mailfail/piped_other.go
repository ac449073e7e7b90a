//go:build !unix

package main

import "io"

// isPiped reports whether something is piped in: on this system "-" has to be
// named.
func isPiped(io.Reader) bool { return false }
