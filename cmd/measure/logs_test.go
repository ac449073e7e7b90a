package main

import (
	"testing"

	"mailfail/parsers/parserstest/sites"
)

// What the engine finds of a site it also finds in the site's logs: mail that nobody
// tries looks different in each server's, and so does mail that is put off.
func TestLogs(t *testing.T) {
	for _, kind := range []string{"stuck-queue", "burst-down"} {
		for _, mta := range sites.MTAs {
			t.Run(kind+" "+mta, func(t *testing.T) {
				opt := sites.Options{Seed: 427, Kind: kind, Messages: 600, Hosts: 2, Days: 3}
				if o := measure(opt, mta, false, nil); !o.incident || !o.hit1 || !o.level || !o.began {
					t.Errorf("%+v", o)
				}
			})
		}
	}
}
