package haraka

import (
	"bytes"
	"encoding/binary"

	"mailfail/parsers"
	"mailfail/parsers/table"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{
		Name:   "haraka-accounting",
		MTA:    "haraka",
		Native: true,
		Claim:  claimHeader,
		New:    newAccounting,
	})
}

// claimHeader recognizes the header of an accounting file, whose fields
// accounting_files.ini selects. dsnMsg and srcIp distinguish it from PowerMTA's.
func claimHeader(e *parsers.Entry) parsers.Claim {
	line := e.Message
	if !bytes.Contains(line, []byte("type")) || !table.IsHeader(line, "type", "timeLogged", "rcpt") {
		return parsers.NotMine
	}
	if table.IsHeader(line, "dsnMsg") || table.IsHeader(line, "srcIp") {
		return parsers.MineFromHereOn
	}
	return parsers.NotMine
}

// The columns of accounting files that are read.
const (
	kind = iota
	logged
	queued
	rcpt
	job
	status
	text
	destination
)

// An accounting reads the files of the accounting_files plugin:
//
//	type	timeLogged	timeQueued	rcpt	srcMta	srcIp	vmta	jobId	dsnStatus	dsnMsg	bounceCat
//	b	2026-11-22 06:40:10	2026-11-22 06:40:00	b@far.example	app	192.0.2.9	 - 	080C45BD-….1.1	550	550 5.1.1 no such user	no such user
//
// A row is about the first recipient of a domain only, whatever the outcome for the
// others. The file repeats the log, so only one of them may be read.
type accounting struct {
	table *table.Table
	clock parsers.Clock
	rec   parsers.Record
}

func newAccounting(o parsers.Options) parsers.Parser {
	return &accounting{
		table: table.New([]string{
			kind:        "type",
			logged:      "timeLogged",
			queued:      "timeQueued",
			rcpt:        "rcpt",
			job:         "jobId",
			status:      "dsnStatus",
			text:        "dsnMsg",
			destination: "destIp",
		}...),
		clock: parsers.NewClock(o.Location),
	}
}

// Parse reads one line.
func (a *accounting) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	line := bytes.TrimSuffix(e.Message, []byte("\r"))
	switch {
	case len(line) == 0:
		return parsers.Irrelevant
	case claimHeader(e) == parsers.MineFromHereOn:
		if !a.table.SetHeader(line) {
			return parsers.Unparsed
		}
		return parsers.Understood
	case !a.table.Row(line) || !a.row():
		return parsers.Unparsed
	}
	emit(&a.rec)
	return parsers.Understood
}

// field returns the value of a column, nil for the dash of an unknown one.
func (a *accounting) field(i int) []byte {
	v := a.table.Field(i)
	if string(v) == "-" || string(v) == "undefined" || string(v) == "null" || string(v) == "destIp" {
		return nil
	}
	return v
}

// row sets the attempt of a row, and returns false when the row is not an attempt.
func (a *accounting) row() bool {
	r := &a.rec
	r.Reset()
	r.Kind, r.Time = parsers.Attempt, table.Time(a.field(logged), &a.clock)
	r.ID, _ = transactionOf(a.field(job))
	r.Address, r.RelayIP = a.field(rcpt), a.field(destination)
	switch string(a.field(kind)) {
	case "d":
		r.Outcome = registry.OutcomeDelivered
	case "df":
		r.Outcome = registry.OutcomeDeferred
	case "b":
		r.Outcome = registry.OutcomeFailed
	}
	a.reply()
	return r.Outcome != 0 && len(r.ID) > 0 && len(r.Address) > 0 && !r.Time.IsZero()
}

// reply sets the reply and the source. The code of a deferral is in another column
// than its text.
func (a *accounting) reply() {
	r := &a.rec
	if r.Reply = registry.ParseReply(a.field(text)); r.Reply.Code == 0 {
		if n, ok := parsers.Digits(a.field(status)); ok && n >= 200 && n < 600 {
			r.Reply.Code = uint16(n)
		}
	}
	r.MTAStatus, _ = registry.ScanEnhanced(a.field(status))
	if r.Outcome == registry.OutcomeDelivered {
		return
	}
	r.Source = registry.SourceLocal
	if r.Reply.Code != 0 {
		r.Source = registry.SourceRemote
	}
}

// Open reports false: each line is a row.
func (a *accounting) Open() bool { return false }

// End emits nothing: no row is incomplete.
func (a *accounting) End(func(*parsers.Record)) parsers.Result { return parsers.Understood }

// AppendBinary appends the header that is in force, and the clock.
func (a *accounting) AppendBinary(b []byte) ([]byte, error) {
	if len(a.table.Header()) == 0 {
		return b, nil
	}
	return parsers.AppendBytes(binary.AppendVarint(append(b, stateVersion), a.clock.Last()),
		a.table.Header()), nil
}

// UnmarshalBinary sets a new parser to a state that AppendBinary wrote.
func (a *accounting) UnmarshalBinary(saved []byte) error {
	if len(saved) == 0 {
		return nil
	}
	r := parsers.ReadState(saved)
	if r.Byte() != stateVersion {
		return parsers.ErrState
	}
	a.clock.SetLast(r.Varint())
	if !a.table.SetHeader(r.Bytes()) {
		return parsers.ErrState
	}
	return r.End()
}
