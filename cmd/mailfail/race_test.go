//go:build race

package main

// With the race detector the program takes a second to start.
func init() { kills = 10 }
