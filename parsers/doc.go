// Package parsers turns the lines of mail-server logs into records.
//
// It contains the contract between a log format and the rest of mailfail: the Format, its
// Parser, and the Record with its kinds; and the code that formats share to scan a line,
// keep a state and read a clock. Each format has a folder below this one and registers
// itself here, as image formats do with the standard library's image package. README.md
// explains how to add one.
//
// # One line in, any number of records out
//
// A Parser receives the entries of one source (a file and its rotated generations, or a
// stream) in their order. Most lines make at most one record. Where they do not (a
// tracking-log row with five recipients, a row whose quoted subject spans lines, an SMTP
// session logged over forty lines) the parser calls emit several times, or keeps the
// parts until they are complete. A parser that keeps something is a Keeper: its state is
// stored in the same transaction as the position in the source, so that reading may stop
// and continue between any two lines.
package parsers
