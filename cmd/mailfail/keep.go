package main

import (
	"time"

	"github.com/spf13/pflag"

	"mailfail/ingest"
	"mailfail/report"
)

// keepFlags are the flags for how long the data of logs is kept.
type keepFlags struct{ rows, counts, delivered string }

func (f *keepFlags) add(flags *pflag.FlagSet, delivered string) {
	flags.StringVar(&f.delivered, "keep-delivered", delivered,
		"how long mail delivered at once can be traced by address and queue id; 0: it is only counted")
	flags.StringVar(&f.rows, "keep", "",
		"remove addresses, replies and messages older than this: 90d, 12w, 2y (else they are kept for ever)")
	flags.StringVar(&f.counts, "keep-counts", "",
		"remove numbers older than this, likewise; no less than --keep")
}

// keep checks the flags.
func (f *keepFlags) keep() (k ingest.Keep, err error) {
	for _, flag := range []struct {
		name, value string
		into        *time.Duration
	}{{"--keep", f.rows, &k.Rows}, {"--keep-counts", f.counts, &k.Counts},
		{"--keep-delivered", f.delivered, &k.Delivered}} {
		if flag.value == "" || flag.value == "0" && flag.into == &k.Delivered {
			continue
		}
		var ok bool
		if *flag.into, ok = report.ParseSpan(flag.value); !ok || *flag.into <= 0 {
			return k, usageError("cannot read %s %q as a span of time (try 90d, 12w, 2y)", flag.name,
				flag.value)
		}
	}
	if err := k.Check(); err != nil {
		return k, usageError("--keep-counts %s: %v", f.counts, err)
	}
	return k, nil
}
