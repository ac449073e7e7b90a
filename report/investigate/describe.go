package investigate

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/templates"
)

// Headline describes in a few words what is wrong, where, and since when.
func (p *Problem) Headline() templates.Text {
	switch {
	case p.hasMoved():
		return templates.Say("Mail%v %v through other hosts %v", p.place(), p.verb("goes", "went"), p.span())
	case p.Kind == MissingMail && p.Severity == Remark:
		return p.Title()
	case p.Kind == MissingMail:
		return templates.Say("Mail%v %v missing %v", p.place(), p.verb("is", "was"), p.span())
	case p.Kind == UntriedMail:
		return templates.Say("Mail %v accepted%v and not tried %v", p.verb("is", "was"), p.place(), p.span())
	}
	return templates.Say("Mail%v %v %v: %v", p.place(), p.verb("fails", "failed"), p.span(),
		lowered(p.Reason))
}

// Title describes in one sentence what is wrong, where, for how many, and since when.
func (p *Problem) Title() templates.Text {
	switch {
	case p.hasMoved():
		return templates.Say("Mail%v %v through other hosts: about %v of %v expected recipients, %v",
			p.place(), p.verb("goes", "went"), p.Recipients, int(p.Expected+.5), p.when())
	case p.Kind == MissingMail && p.Severity == Remark:
		return templates.Words(
			"It looks like a holiday: from the beginning of the day nearly all senders send less, in the " +
				"same proportion")
	case p.Kind == MissingMail:
		return templates.Say("Mail%v %v missing: about %v of %v expected recipients did not come, %v",
			p.place(), p.verb("is", "was"), p.Recipients, int(p.Expected+.5), p.when())
	case p.Kind == UntriedMail:
		return templates.Say("Mail %v accepted%v and not tried: about %v recipients, %v",
			p.verb("is", "was"), p.place(), p.Recipients, p.when())
	}
	return templates.Say("Mail%v %v (%v): %v of %v recipients (usual %v), %v", p.place(),
		p.verb("fails", "failed"), p.reasonWords(), p.Recipients, p.Tried, percent(p.RateBefore), p.when())
}

// hasMoved reports whether the mail that is missing at a host goes through other hosts.
func (p *Problem) hasMoved() bool {
	return p.Kind == MissingMail && p.Severity == Remark && p.Where.Host != ""
}

// verb returns now when the problem goes on, past when it has ended.
func (p *Problem) verb(now, past string) string {
	if p.Ended.IsZero() {
		return now
	}
	return past
}

// reasonWords names the reason of a problem and its code.
func (p *Problem) reasonWords() templates.Text {
	name := templates.Words(lowered(p.Reason))
	if p.Code == "" {
		return name
	}
	return templates.Say("%v, %v", name, registry.Foreign(p.Code))
}

// lowered returns the name of a reason as it stands within a sentence: "no such user",
// "TLS failed or is required".
func lowered(reason string) string {
	name := registry.Reason(reason).Info().Name
	if len(name) > 1 && strings.ToUpper(name[:2]) != name[:2] {
		return strings.ToLower(name[:1]) + name[1:]
	}
	return name
}

// place describes in words the dimensions that narrow a problem down.
func (p *Problem) place() templates.Text {
	w := &p.Where
	var t templates.Text
	say := func(words string, name registry.Foreign) {
		if name != "" {
			t = append(t, templates.Say(words, name)...)
		}
	}
	say(" from %v", cmp.Or(w.Sender, w.SenderDomain))
	say(" to %v", w.Domain)
	switch {
	case w.Platform != "":
		say(" to %v", w.Platform)
	case w.Provider != "":
		say(" to %v", w.Provider)
	}
	if w.Direction == "local" {
		t = append(t, templates.Words(" to mailboxes here")...)
	}
	say(" through %v", cmp.Or(w.Relay, w.IP))
	say(" on %v", w.Host)
	say(" (instance %v)", w.Instance)
	say(" of account %v", w.Account)
	say(" from client %v", w.Client)
	if len(t) == 0 && p.Kind != UntriedMail {
		return templates.Words(" of the whole site")
	}
	return t
}

// when describes the begin of a problem, how certain that is, and the end.
func (p *Problem) when() string {
	began := p.clock(p.Began)
	if p.BeganLatest.Sub(p.BeganEarliest) > certain {
		began = fmt.Sprintf("about %s (%s to %s)", began, p.clock(p.BeganEarliest), p.clock(p.BeganLatest))
	}
	if p.Ended.IsZero() {
		return "since " + began + ", still on"
	}
	return "from " + began + " to " + p.clock(p.Ended)
}

// certain is the longest time in which a problem may have begun for its begin to be
// given alone.
const certain = 5 * time.Minute

// span describes the begin and the end of a problem without the uncertainty.
func (p *Problem) span() string {
	if p.Ended.IsZero() {
		return "since " + p.clock(p.Began)
	}
	return "from " + p.clock(p.Began) + " to " + p.clock(p.Ended)
}

// clock formats a time, with its day unless that is the last of the window.
func (p *Problem) clock(t time.Time) string {
	if y, m, d := t.Date(); p.newest.IsZero() || sameDay(p.newest, y, m, d) {
		return t.Format("15:04")
	}
	return t.Format("Mon 15:04")
}

func sameDay(t time.Time, y int, m time.Month, d int) bool {
	ty, tm, td := t.Date()
	return ty == y && tm == m && td == d
}

// Facts are the numbers behind a problem, a line each.
func (p *Problem) Facts() (facts []templates.Text) {
	if p.Kind == MissingMail && p.Severity == Remark && !p.hasMoved() {
		return append(facts, templates.Words(fmt.Sprintf("%s of %s expected recipients came.",
			templates.Count(int64(p.Tried)), templates.Count(int64(p.Expected+.5)))))
	}
	if p.Kind != Failures {
		return facts
	}
	switch {
	case p.List != "":
		facts = append(facts, templates.Say("Your address %v is listed at %v.", p.Address, p.List))
	case p.Address != "" && p.Reason == "blocklist":
		facts = append(facts, templates.Say("Your address %v is listed.", p.Address))
	case p.Address != "":
		facts = append(facts, templates.Say("The replies name your address %v.", p.Address))
	}
	facts = append(facts, templates.Words(p.fate()+" "+p.ofAll()))
	if p.Addresses > 0 {
		facts = append(facts, templates.Words(fmt.Sprintf("They are %d %s.", p.Addresses,
			templates.Plural(int64(p.Addresses), "address"))))
	}
	switch {
	case p.New && p.NewCode:
		facts = append(facts, templates.Words(
			"Neither this reply nor its code was seen on the days before."))
	case p.New:
		facts = append(facts, templates.Words("This reply was not seen on the days before."))
	}
	for _, c := range p.Common {
		facts = append(facts, templates.Say("Nearly all of it: "+c.Dimension+" %v.", c.Value))
	}
	return facts
}

// fate describes the outcome of the recipients.
func (p *Problem) fate() string {
	var parts []string
	say := func(n int, one, many string) {
		if n > 0 {
			parts = append(parts,
				templates.Count(int64(n))+" "+cmp.Or(map[bool]string{true: one}[n == 1], many))
		}
	}
	say(p.Failed, "failed", "failed")
	say(p.Waiting, "waits", "wait")
	say(p.Recipients-p.Failed-p.Waiting, "was delivered later", "were delivered later")
	return strings.Join(parts, ", ") + "."
}

// ofAll describes the share of a problem in all that changed.
func (p *Problem) ofAll() string {
	if p.Share > 0.99 {
		return "Nothing else changed."
	}
	return fmt.Sprintf("This is %.0f %% of all that changed.", 100*p.Share)
}

func percent(x float64) string {
	if x > 0 && x < 0.001 {
		return "under 0.1 %"
	}
	return fmt.Sprintf("%.1f %%", 100*x)
}

// Alarms returns how many problems are more than remarks.
func (r *Result) Alarms() (n int) {
	for i := range r.Problems {
		if r.Problems[i].Severity != Remark {
			n++
		}
	}
	return n
}

// Verdict returns the answer in a sentence.
func (r *Result) Verdict() templates.Text {
	switch {
	case r.Recipients == 0 && len(r.Problems) == 0:
		return templates.Words("No mail was tried in this time.")
	case len(r.Problems) == 0:
		return templates.Say("Nothing unusual: of %v recipients %v failed at a first attempt (usual %v).",
			r.Recipients, percent(r.Rate), percent(r.Usual))
	case r.Alarms() == 0:
		return templates.Say("Nothing serious. %v.", r.Problems[0].Headline())
	case len(r.Problems) == 1:
		return templates.Say("%v.", r.Problems[0].Headline())
	}
	return templates.Say("%v changes, the strongest: %v.", len(r.Problems), r.Problems[0].Headline())
}

// Limits describes what would have been reported, and the candidate that came nearest.
func (r *Result) Limits() (lines []templates.Text) {
	if !r.LogsEnd.IsZero() {
		if !r.LogsEnd.After(r.Since) {
			return append(lines,
				templates.Words(
					"The logs end "+r.LogsEnd.Format("Mon 2006-01-02 15:04")+", before this time."))
		}
		lines = append(lines, templates.Words(
			"The logs end "+r.LogsEnd.Format("Mon 15:04")+": nothing is said of the time after."))
	}
	if r.NoCounts {
		lines = append(lines, templates.Words(
			"Deliveries are not counted by account: what failed was compared with all mail of the place, "+
				"and missing mail was not looked for."))
	}
	switch {
	case r.Baseline.Days == 0:
		lines = append(lines, templates.Words(
			"There is no history: the time since was compared with the first third of the window, and "+
				"missing mail was not looked for."))
	case r.Baseline.Days < 3:
		lines = append(lines, templates.Words(
			fmt.Sprintf("There is little history (%d %s): what is usual is known roughly.", r.Baseline.Days,
				templates.Plural(int64(r.Baseline.Days), "day"))))
	}
	if s := r.Strongest; s != nil && len(r.Problems) == 0 && s.Score > 0 {
		p := Problem{Kind: Failures, Where: s.Where}
		lines = append(lines, templates.Say(
			"The strongest candidate was mail%v (%v): %v recipients where %v are usual; score %v, an "+
				"alarm needs %v.", p.place(), registry.Reason(s.Reason).Info().Name, s.Recipients,
			fmt.Sprintf("%.1f", s.Expected), fmt.Sprintf("%.0f", s.Score), fmt.Sprintf("%.0f", s.Threshold)))
	}
	return append(lines, templates.Words(
		fmt.Sprintf("From %s recipients failing in one place, or about %s missing from one sender, it "+
			"would have been reported.", templates.Count(int64(r.NoiseFloor)),
			templates.Count(int64(r.MissingFloor)))))
}

// commands returns the commands that show the mail of a problem.
func (p *Problem) commands(until time.Time) (list []string) {
	command := func(name string, args ...registry.Foreign) string {
		for i := 0; i < len(args); i += 2 {
			if v := args[i+1]; v != "" && v.Raw() == v.String() { // users cannot copy any other value
				name += " " + args[i].Raw() + " " + Quote(v.Raw())
			}
		}
		return name
	}
	end := p.Ended
	if end.IsZero() {
		end = until
	}
	w := &p.Where
	at := []registry.Foreign{"--since", minute(p.BeganEarliest), "--until", minute(end), "--sender",
		w.SenderDomain,
		"--provider", w.Provider, "--domain", w.Domain, "--host", w.Host, "--account", w.Account}
	if p.Kind != Failures { // a day shows the mail before it too
		return []string{command("mailfail report", "--since", minute(until.AddDate(0, 0, -1)), "--until",
			minute(until), "--sender", w.SenderDomain, "--host", w.Host)}
	}
	list = append(list, command("mailfail events", append(at, "--reason", registry.Foreign(p.Reason))...))
	return append(list, command("mailfail report --by provider,sender",
		append(at, "--reason", registry.Foreign(p.Reason))...))
}

// minuteLayout is how a minute is written for flags.
const minuteLayout = "2006-01-02T15:04"

// minute formats a time for flags.
func minute(t time.Time) registry.Foreign { return registry.Foreign(t.Format(minuteLayout)) }

// Here adds to a command the files that were read, after the flags for reading them,
// and the zone of a time.
func Here(command string, at time.Time, files []string) string {
	if at.Format(time.RFC3339) != at.Local().Format(time.RFC3339) {
		command += " --tz " + Quote(at.Location().String())
	}
	for _, f := range files {
		command += " " + Quote(f)
	}
	return command
}

// Here adds to the commands of a result the files that were read and its zone.
func (r *Result) Here(files []string) {
	for i := range r.Problems {
		for j, command := range r.Problems[i].Next {
			r.Problems[i].Next[j] = Here(command, r.Until, files)
		}
	}
}

// Narrow adds to a command the flags of a filter that it does not have yet.
func Narrow(command string, f *store.Filter) string {
	narrowed := command
	for _, list := range f.Lists() {
		flag := " --" + list.Name + " "
		if strings.Contains(command, flag) {
			continue
		}
		for _, v := range *list.List {
			narrowed += flag + Quote(v)
		}
	}
	return narrowed
}

// Quote returns s, as templates.Printable shows it, as one word for a shell.
func Quote(s string) string {
	s = templates.Printable(s)
	safe := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@/+:,") == ""
	if safe && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
