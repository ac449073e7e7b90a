package main

import (
	"fmt"
	"syscall"
)

// leastAddressSpace is what Go's runtime, its threads and SQLite reserve, hardly
// any of which is used.
const leastAddressSpace = 2_000_000_000

// checkAddressSpace returns an error where Go's runtime would end the program with
// pages of a trace.
func checkAddressSpace() error {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_AS, &limit) != nil || limit.Cur >= leastAddressSpace {
		return nil
	}
	return fmt.Errorf("the address space is limited to %d MB (ulimit -v), and %d MB have to be reserved: "+
		"limit the memory with GOMEMLIMIT, or with MemoryMax of systemd", limit.Cur/1e6, leastAddressSpace/1_000_000)
}
