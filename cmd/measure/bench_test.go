package main

import (
	"testing"

	"mailfail/parsers/parserstest/sites"
	"mailfail/report/investigate"
)

// BenchmarkAnalyze looks at a day of 50,000 messages with eight days before it.
func BenchmarkAnalyze(b *testing.B) {
	s := sites.Make(sites.Options{Seed: 5, Kind: "provider-block", Messages: 50_000})
	data := newData(s, s.Last, s.End)
	b.ReportAllocs()
	for b.Loop() {
		if r := investigate.Analyze(data); len(r.Problems) == 0 {
			b.Fatal("nothing found")
		}
	}
}
