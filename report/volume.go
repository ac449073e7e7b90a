package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/templates"
)

// ByVolume asks for the volume of mail: messages and bytes over the time, senders, the
// time deliveries took, TLS and logins. It cannot be combined with dimensions: the
// store adds most of it up by host only.
const ByVolume store.Dimension = "volume"

// Sender is a domain or an address that messages came from, and how much it sent.
type Sender struct {
	Name                        registry.Foreign
	Messages, Recipients, Bytes int64
}

// volume reads the hourly sums, when the report is about all mail of some hosts.
func (r *Report) volume(ctx context.Context, q store.Reader) (err error) {
	other := r.Filter
	other.Hosts = nil
	if other.Any() {
		return nil
	}
	r.Volumes, err = q.Volumes(ctx, r.Window, r.Filter)
	r.Volumes = slices.DeleteFunc(r.Volumes, func(v store.HourVolume) bool {
		return v.Value < 0 || v.Value >= volumeValues
	})
	if err != nil || !r.isBy(ByVolume) {
		return err
	}
	rows, err := q.Submissions(ctx, r.Window, r.Filter)
	by := map[registry.Foreign]*Sender{}
	for i := range rows {
		row := &rows[i]
		s := by[row.Sender]
		if s == nil {
			s = &Sender{Name: row.Sender}
			by[row.Sender] = s
		}
		s.Messages, s.Recipients, s.Bytes = s.Messages+row.Messages, s.Recipients+row.Recipients,
			s.Bytes+row.Bytes
	}
	for _, s := range by {
		if s.Messages != 0 {
			r.Volumed = append(r.Volumed, *s)
		}
	}
	sortSenders(r.Volumed)
	return err
}

// sortSenders puts those that sent the most bytes first.
func sortSenders(list []Sender) {
	slices.SortFunc(list, func(a, b Sender) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(b.Messages, a.Messages),
			cmp.Compare(a.Name, b.Name))
	})
}

// volumeValues is how many values a measure may have. The report ignores others, which
// a damaged database may contain.
const volumeValues = 16

// measured adds up a measure: by value, and as a whole.
func (r *Report) measured(m store.Measure) (by [volumeValues]store.Volume, all store.Volume) {
	for i := range r.Volumes {
		if v := &r.Volumes[i]; v.Measure == m {
			by[v.Value].Add(&v.Volume)
			all.Add(&v.Volume)
		}
	}
	return by, all
}

// delayName returns the name of a value of a delay.
func delayName(value int64) string {
	switch n := int64(len(store.DelaySteps)); {
	case value == 0:
		return "not known"
	case value > n:
		return stepText(store.DelaySteps[n-1]) + " or more"
	}
	return "under " + stepText(store.DelaySteps[value-1])
}

// stepText formats a duration in its largest unit. It must be a whole number of them.
func stepText(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%d d", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// within returns the name of the step within which percent of the deliveries with a
// known delay were made; "" when none is known.
func within(by *[volumeValues]store.Volume, percent int64) string {
	var known, n int64
	for _, v := range by[1:] {
		known += v.N
	}
	for value, v := range by {
		if value == 0 {
			continue
		}
		if n += v.N; n > 0 && n*100 >= known*percent {
			return delayName(int64(value))
		}
	}
	return ""
}

// delayRow returns the figure of how long outgoing deliveries took, or local ones when
// there are no outgoing ones.
func (c *composer) delayRow(periods int) (row Row, ok bool) {
	where := ""
	by, all := c.measured(store.DeliveredOut)
	if all.N == by[0].N {
		if by, all = c.measured(store.DeliveredLocal); all.N == by[0].N {
			return row, false
		}
		where = " local"
	}
	known := all.N - by[0].N
	mean := time.Duration(all.Millis/known) * time.Millisecond
	note := fmt.Sprintf("mean%s; half %s, 95%% %s", where, within(&by, 50), within(&by, 95))
	row.Cells = append(row.Cells, templates.Words("Delay"), templates.Words(roundDelay(mean)))
	row.Cells = append(append(row.Cells, make([]templates.Text, periods)...), templates.Words(note))
	return row, true
}

// roundDelay formats a duration with as many digits as matter.
func roundDelay(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 10*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 10*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

// volumes returns the tables by volume.
func (c *composer) volumes() []Section {
	if c.isBy(BySenderAddress) {
		return []Section{c.senderTable(string(BySenderAddress), "Senders, by address", "Address",
			c.Addresses)}
	}
	if !c.isBy(ByVolume) {
		return nil
	}
	return []Section{c.volumeTable(),
		c.senderTable("volume-sender", "Senders, by volume", "Sender", c.Volumed), c.delays(),
		c.tls(), c.logins()}
}

// volumeTable returns the table of accepted and delivered mail over the time.
func (c *composer) volumeTable() Section {
	s := Section{ID: string(ByVolume), Title: "Volume, accepted and delivered"}
	t := &Table{Columns: []Column{{Title: "Time"}, {Title: "Accepted", Number: true},
		{Title: "Bytes", Number: true},
		{Title: "Outgoing", Number: true}, {Title: "Bytes", Number: true}, {Title: "Local", Number: true},
		{Title: "Bytes", Number: true}}}
	columns := []store.Measure{store.AcceptedMail, store.DeliveredOut, store.DeliveredLocal}
	layout := "01-02 15:04"
	if !c.Window.Since.IsZero() && c.end().Sub(c.Window.Since) > 50*time.Hour {
		layout = "01-02"
	}
	var cells [3]store.Volume
	var all [3]store.Volume
	row := func(name string, cells *[3]store.Volume) {
		r := Row{Cells: []templates.Text{templates.Words(name)}}
		for _, v := range cells {
			r.Cells = append(r.Cells, templates.Number(v.N), templates.Bytes(v.Bytes))
		}
		t.Rows = append(t.Rows, r)
	}
	last := ""
	for i := range c.Volumes {
		v := &c.Volumes[i]
		column := slices.Index(columns, v.Measure)
		if column < 0 {
			continue
		}
		name := v.Time.In(c.location).Format(layout)
		if last != "" && name != last {
			row(last, &cells)
			cells = [3]store.Volume{}
		}
		last = name
		cells[column].Add(&v.Volume)
		all[column].Add(&v.Volume)
	}
	if last == "" {
		return s
	}
	row(last, &cells)
	row("all", &all)
	s.Table = t
	return s
}

// senderTable returns the table of senders and how much they sent.
func (c *composer) senderTable(id, title, column string, senders []Sender) Section {
	s := Section{ID: id, Title: title}
	t := &Table{Columns: []Column{{Title: column, Name: true}, {Title: "Messages", Number: true},
		{Title: "Recipients", Number: true}, {Title: "Bytes", Number: true}}}
	for _, sender := range top(senders, c.rows(DefaultTop)) {
		t.Rows = append(t.Rows, Row{Cells: []templates.Text{dimensionValue(store.BySender, sender.Name),
			templates.Number(sender.Messages), templates.Number(sender.Recipients),
			templates.Bytes(sender.Bytes)}})
	}
	s.Table, s.More = t, more(len(senders)-len(t.Rows), "sender")
	return s
}

// delays is the section about how long deliveries took.
func (c *composer) delays() Section {
	s := Section{ID: "delay", Title: "Time from acceptance to delivery"}
	out, allOut := c.measured(store.DeliveredOut)
	local, allLocal := c.measured(store.DeliveredLocal)
	t := &Table{Columns: []Column{{Title: "Delay"}, {Title: "Outgoing", Number: true},
		{Title: "", Number: true},
		{Title: "Local", Number: true}, {Title: "", Number: true}}}
	for value := range int64(len(store.DelaySteps)) + 2 {
		value = (value + 1) % (int64(len(store.DelaySteps)) + 2) // the unknown last
		if o, l := out[value].N, local[value].N; o+l > 0 {
			t.Rows = append(t.Rows,
				Row{Cells: []templates.Text{templates.Words(delayName(value)), templates.Number(o),
					templates.Words(templates.Percent(o, allOut.N)), templates.Number(l),
					templates.Words(templates.Percent(l, allLocal.N))}})
		}
	}
	s.Table = t
	return s
}

// tls returns the section about encrypted and plain connections.
func (c *composer) tls() Section {
	s := Section{ID: "tls", Title: "TLS"}
	received, allReceived := c.measured(store.TLSReceived)
	sent, allSent := c.measured(store.TLSSent)
	if allReceived.N+allSent.N == 0 {
		return s
	}
	s.Text = append(s.Text,
		templates.Words("Messages when the log reports it for each message (Exim), else sessions "+
			"(Postfix with smtp_tls_loglevel and smtpd_tls_loglevel of 1, sendmail)."))
	t := &Table{Columns: []Column{{Title: "Version"}, {Title: "Received", Number: true},
		{Title: "Sent", Number: true}}}
	for value := int64(len(store.TLSVersions)) + 1; value > 0; value-- {
		if n := received[value].N + sent[value].N; n > 0 {
			t.Rows = append(t.Rows, Row{Cells: []templates.Text{templates.Words(tlsName(value)),
				templates.Number(received[value].N), templates.Number(sent[value].N)}})
		}
	}
	s.Table = t
	return s
}

func tlsName(value int64) string {
	if value > int64(len(store.TLSVersions)) {
		return "other"
	}
	return "TLS " + store.TLSVersions[value-1]
}

// logins returns the section about logins to submit mail, and failed ones.
func (c *composer) logins() Section {
	s := Section{ID: "logins", Title: "Logins (SASL)"}
	by, all := c.measured(store.Logins)
	if all.N == 0 {
		return s
	}
	ok, failed := by[store.LoginAccepted].N, by[store.LoginFailed].N
	said := templates.Say("%v %v came in after a login", ok, templates.Plural(ok, "message"))
	if failed > 0 {
		said = templates.Say("%v; %v %v to log in failed", said, failed, templates.Plural(failed, "attempt"))
	}
	s.Text = append(s.Text, templates.Say("%v. --by account has the logins.", said))
	return s
}

// measureNames maps measures to their names in JSON and CSV.
var measureNames = map[store.Measure]string{
	store.AcceptedMail: "accepted", store.DeliveredOut: "delivered-outgoing",
	store.DeliveredLocal: "delivered-local",
	store.TLSReceived:    "tls-received", store.TLSSent: "tls-sent", store.Logins: "logins",
}

// valueName returns the name of a measure's value in JSON and CSV.
func valueName(m store.Measure, value int64) string {
	switch m {
	case store.DeliveredOut, store.DeliveredLocal:
		return delayName(value)
	case store.TLSReceived, store.TLSSent:
		return tlsName(value)
	case store.Logins:
		if value == store.LoginFailed {
			return "failed"
		}
		return "accepted"
	}
	return ""
}

// csvVolumes writes the hourly sums.
func (r *Report) csvVolumes(c *csvWriter, n int) {
	c.row("time", "measure", "value", "count", "bytes", "seconds")
	for _, v := range top(r.Volumes, n) {
		c.row(*r.time(v.Time), measureNames[v.Measure], valueName(v.Measure, v.Value), number(v.N),
			number(v.Bytes), fmt.Sprintf("%.3f", float64(v.Millis)/1000))
	}
}

func csvSenders(c *csvWriter, senders []Sender, n int) {
	c.row("sender", "messages", "recipients", "bytes")
	for _, s := range top(senders, n) {
		c.row(templates.CSV(s.Name), number(s.Messages), number(s.Recipients), number(s.Bytes))
	}
}

// jsonVolume is the sum of a measure over the time of the report, by value.
type jsonVolume struct {
	Measure string  `json:"measure"`
	Value   string  `json:"value"` // "" when the measure has only one
	Count   int64   `json:"count"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

type jsonSender struct {
	Sender     registry.Foreign `json:"sender"`
	Messages   int64            `json:"messages"`
	Recipients int64            `json:"recipients"`
	Bytes      int64            `json:"bytes"`
}

func (r *Report) jsonVolumes() (list []jsonVolume) {
	for m := store.AcceptedMail; m <= store.Logins; m++ {
		by, _ := r.measured(m)
		for value, v := range by {
			if v.N != 0 {
				list = append(list, jsonVolume{measureNames[m], valueName(m, int64(value)), v.N, v.Bytes,
					float64(v.Millis) / 1000})
			}
		}
	}
	return list
}

func jsonSenders(senders []Sender, n int) (list []jsonSender) {
	for _, s := range top(senders, n) {
		list = append(list, jsonSender{s.Name, s.Messages, s.Recipients, s.Bytes})
	}
	return list
}
