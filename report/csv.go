package report

import (
	"encoding/csv"
	"io"
	"slices"
	"strconv"

	"mailfail/store"
	"mailfail/templates"
)

// WriteCSV writes one table of the report (RFC 4180), with at most n rows (0: all): the
// table by the report's dimensions, or by domain when none were asked for. A report by
// code alone writes the codes with their meaning, a report by one of Alone its rows.
func (r *Report) WriteCSV(w io.Writer, n int) error {
	c := newCSV(w)
	switch {
	case r.isBy(store.ByCode):
		r.csvCodes(c, n)
	case r.isBy(ByNextHop):
		r.csvHops(c, n)
	case r.isBy(ByClient), r.isBy(ByList):
		r.csvClients(c, n)
	case r.isBy(ByAccount):
		r.csvAccounts(c, n)
	case r.isBy(ByVolume):
		r.csvVolumes(c, n)
	case r.isBy(BySenderAddress):
		csvSenders(c, r.Addresses, n)
	case r.isBy(ByFeedback):
		r.csvFeedback(c, n)
	case r.By == nil:
		domains := slices.Clone(r.Domains)
		(&composer{Report: r}).byTrouble([]store.Dimension{store.ByDomain}, domains)
		r.csvGroups(c, []store.Dimension{store.ByDomain}, top(domains, n))
	default:
		r.csvGroups(c, r.By, top(r.Groups, n))
	}
	return c.flush()
}

// csvWriter writes rows that no spreadsheet takes for formulas.
type csvWriter struct {
	w   *csv.Writer
	err error
}

func newCSV(w io.Writer) *csvWriter {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	return &csvWriter{w: c}
}

func (c *csvWriter) row(cells ...string) {
	if c.err == nil {
		c.err = c.w.Write(cells)
	}
}

func (c *csvWriter) flush() error {
	c.w.Flush()
	if c.err != nil {
		return c.err
	}
	return c.w.Error()
}

func (r *Report) csvCodes(c *csvWriter, n int) {
	c.row("code", "reply", "enhanced", "name", "reason", "advice", "attempts", "deferrals", "failures",
		"recipients", "domains", "first_seen", "last_seen", "example")
	for _, row := range top(r.Codes, n) {
		name, advice := meaningOf(&row, false)
		reply := ""
		if row.Reply != 0 {
			reply = strconv.Itoa(row.Reply)
		}
		c.row(row.Code, reply, row.Enhanced, name, row.Reason, advice, number(row.Attempts),
			number(row.Deferrals),
			number(row.Attempts-row.Deferrals),
			number(row.Recipients), number(row.Domains), *r.time(row.First), *r.time(row.Last),
			templates.CSV(row.Example))
	}
}

func (r *Report) csvHops(c *csvWriter, n int) {
	c.row("next_hop", "connections", "failed", "messages", "top_code", "top_reason", "example")
	for _, h := range top(r.Hops, n) {
		connections, messages := number(h.Connections), number(h.Messages)
		if r.ofCause(nil) { // a filter by cause excludes connections that worked
			connections, messages = "", ""
		}
		c.row(templates.CSV(h.Name), connections, number(h.Failed), messages, h.Code, h.Reason,
			templates.CSV(h.Example))
	}
}

func (r *Report) csvGroups(c *csvWriter, dims []store.Dimension, groups []store.Group) {
	var header []string
	for _, d := range dims {
		header = append(header, string(d))
	}
	c.row(append(header, "recipients", "delivered", "bounced", "expired", "removed", "pending",
		"handed_over",
		"attempts", "deferrals", "failures",
		"suspended", "deferred", "rejected", "failure_rate", "deferral_rate", "top_code", "top_reason",
		"rejected_temporary", "waiting", "trouble")...)
	for _, g := range groups {
		var row []string
		for _, v := range g.Values {
			row = append(row, templates.CSV(v))
		}
		for _, n := range []int64{g.Recipients, g.Delivered, g.Bounced, g.Expired, g.Removed, g.Pending,
			g.HandedOver, g.Attempts, g.Deferrals, g.Failures,
			g.Suspended, g.Deferred, g.Rejected} {
			row = append(row, number(n))
		}
		failure, deferral := rates(&g.Tally, r.ofCause(dims))
		failed, waiting := r.inTrouble(dims, &g)
		code, reason := g.TopCode, g.TopReason
		if l := r.causeOf(dims, g.Values); l != nil {
			code, reason = l.code, l.reason
		}
		c.row(append(row, rate(failure), rate(deferral), code, reason, number(g.RejectedTemporary),
			number(waiting),
			number(failed+waiting))...)
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func rate(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'f', -1, 64)
}
