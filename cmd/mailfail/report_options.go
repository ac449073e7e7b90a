package main

import (
	"slices"
	"strings"
	"time"

	"mailfail/report"
	"mailfail/store"
)

// reportOptions turns the flags into the options of a report.
func reportOptions(logs *logFlags, window *windowFlags, filter *filterFlags,
	by []string) (opt report.Options, err error) {
	if opt.Location, err = location("--tz", logs.zone); err != nil {
		return opt, err
	}
	if opt.Window, err = window.window(time.Now(), opt.Location); err != nil {
		return opt, err
	}
	if opt.Filter, err = filter.filter(); err != nil {
		return opt, err
	}
	opt.By, err = dimensions(by)
	return opt, err
}

// checkMinutes refuses a window that is empty once its ends are whole minutes, which
// reports use: it would look like a time without mail.
func checkMinutes(w store.Window) error {
	if m := w.Minutes(); !m.Since.IsZero() && m.Since.Equal(m.Until) {
		return usageError("--since and --until are within one minute: reports count by whole minutes " +
			"(`mailfail events` does not)")
	}
	return nil
}

// dimensions checks the names of --by.
func dimensions(names []string) (dims []store.Dimension, err error) {
	for _, name := range names {
		d := store.Dimension(strings.ToLower(strings.TrimSpace(name)))
		if !slices.Contains(store.Dimensions, d) && !slices.Contains(report.Alone, d) {
			return nil, unknownValue("--by", name, append(dimensionNames(), aloneNames()...))
		}
		if !slices.Contains(dims, d) {
			dims = append(dims, d)
		}
	}
	for _, d := range report.Alone {
		if len(dims) > 1 && slices.Contains(dims, d) {
			return nil, usageError("--by %s cannot be combined with other dimensions", d)
		}
	}
	return dims, nil
}

// aloneNames lists the values of --by that cannot be combined.
func aloneNames() (names []string) {
	for _, d := range report.Alone {
		names = append(names, string(d))
	}
	return names
}

func dimensionNames() (names []string) {
	for _, d := range store.Dimensions {
		names = append(names, string(d))
	}
	return names
}
