package main

import (
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones are known where the system has no files of them

	"github.com/spf13/pflag"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/report"
	"mailfail/store"
)

// windowFlags choose a span of time.
type windowFlags struct {
	since, until, day string
	week              bool
}

func (f *windowFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.since, "since", "",
		"only from then on: 2026-11-20, \"2026-11-20 14:30\", yesterday, 2h, 7d (ago)")
	flags.StringVar(&f.until, "until", "", "only before then")
	flags.StringVarP(&f.day, "day", "d", "", "only that day: yesterday, today or 2026-11-20")
}

// window turns the flags into a window.
func (f *windowFlags) window(now time.Time, loc *time.Location) (w store.Window, err error) {
	if f.week {
		if f.since != "" || f.until != "" || f.day != "" {
			return w, usageError("--week cannot be combined with --day, --since or --until")
		}
		return report.WeekBefore(now, loc), nil
	}
	if f.day != "" {
		if f.since != "" || f.until != "" {
			return w, usageError("--day cannot be combined with --since or --until")
		}
		if w, err = report.ParseDay(f.day, now, loc); err != nil {
			return w, usageError("--day: %v", err)
		}
		return w, nil
	}
	for _, end := range []struct {
		name, value string
		into        *time.Time
	}{{"--since", f.since, &w.Since}, {"--until", f.until, &w.Until}} {
		if end.value == "" {
			continue
		}
		if *end.into, err = report.ParseTime(end.value, now, loc); err != nil {
			return w, usageError("%s: %v", end.name, err)
		}
	}
	if !w.Since.IsZero() && !w.Until.IsZero() && !w.Since.Before(w.Until) {
		return w, usageError("--since %s is not before --until %s", w.Since.Format(time.RFC3339),
			w.Until.Format(time.RFC3339))
	}
	return w, nil
}

// filterFlags narrow down the failures and recipients. Each flag may be given several
// times or with several values; one of them must match.
type filterFlags struct{ store.Filter }

func (f *filterFlags) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.Domains, "domain", nil,
		"only recipients in this domain (*.example.org: in those below it)")
	flags.StringSliceVar(&f.Providers, "provider", nil,
		"only this provider (Google, Microsoft, or a relay's domain)")
	flags.StringSliceVar(&f.Codes, "code", nil,
		"only failures with this code: 550, 5.1.1, \"550 5.1.1\", 5xx, 5.7.x, none")
	flags.StringSliceVar(&f.Reasons, "reason", nil,
		"only failures with this reason (user-unknown, rate-limited, ...)")
	flags.StringSliceVar(&f.Senders, "sender", nil, "only senders in this domain; <> for bounces")
	flags.StringSliceVar(&f.Accounts, "account", nil,
		"only mail that this account submitted (SASL login, local user); deliveries are not counted by it")
	flags.StringSliceVar(&f.Hosts, "host", nil, "only what this host logged")
	flags.StringSliceVar(&f.Directions, "direction", nil,
		"only this direction: "+strings.Join(store.DirectionNames, ", ")+
			" (reports of failures that the servers made)")
	flags.StringSliceVar(&f.MTAs, "mta", nil, "only this mail server: "+strings.Join(mtaNames(), ", "))
}

// filter checks the flags.
func (f *filterFlags) filter() (store.Filter, error) {
	for _, c := range f.Codes {
		if err := store.CheckCode(c); err != nil {
			return f.Filter, usageError("--code: %v", err)
		}
	}
	for _, r := range f.Reasons {
		if names := registry.ReasonNames(); !slices.Contains(names, strings.ToLower(r)) {
			return f.Filter, unknownValue("--reason", r, names)
		}
	}
	for _, d := range f.Directions {
		if !slices.ContainsFunc(store.DirectionNames, func(name string) bool {
			return strings.EqualFold(d, name)
		}) {
			return f.Filter, unknownValue("--direction", d, store.DirectionNames)
		}
	}
	for _, s := range f.Senders {
		if strings.Contains(s, "@") {
			return f.Filter, usageError(
				"--sender must be a domain, not %q (`mailfail trace` finds addresses)", s)
		}
	}
	for _, m := range f.MTAs {
		known := false
		for _, format := range parsers.Formats() {
			known = known || strings.EqualFold(m, format.MTA) || strings.EqualFold(m, format.Name)
		}
		if !known {
			return f.Filter, unknownValue("--mta", m, mtaNames())
		}
	}
	return f.Filter, nil
}

// mtaNames lists the mail servers whose logs can be read.
func mtaNames() (names []string) {
	seen := map[string]bool{}
	for _, f := range parsers.Formats() {
		if !seen[f.MTA] {
			seen[f.MTA] = true
			names = append(names, f.MTA)
		}
	}
	return names
}
