// Package parsers turns the lines of mail-server logs into records.
//
// It holds the contract between a log format and the rest of mailfail: the
// Format, its Parser, and the Record with its kinds; and what formats share to
// scan a line, keep a state and read a clock. Each format has a folder of its
// own below this one and registers itself here, as image formats do with the
// standard library's image package. README.md says how to add one.
//
// # One line in, any number of records out
//
// A Parser is fed the entries of one source (a file and its rotated
// generations, or a stream) in their order. Most lines carry at most one
// record. Where they do not (a tracking-log row with five recipients, a row
// whose quoted subject spans lines, an SMTP session logged over forty lines)
// the parser calls emit several times or keeps what it has until it is whole.
// A parser that keeps something is a Keeper: its state is stored in the same
// transaction as the position in the source, so that reading may stop and go
// on between any two lines.
package parsers
