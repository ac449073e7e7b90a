package main

import (
	"fmt"

	"mailfail/parsers/parserstest/sites"
	"mailfail/report/investigate"
)

// ablate measures the method, and the method without each of its parts, on the same
// sites. It counts the incidents that the whole method reports as large enough to be
// seen.
func ablate(from, to uint64, kinds []string, messages, most int) {
	parts := append([]investigate.Part{""}, investigate.Parts...)
	tables := make([]table, len(parts))
	for seed := from; seed <= to; seed++ {
		for _, kind := range kinds {
			s := sites.Make(sites.Options{Seed: seed, Kind: kind, Messages: messages, Most: most})
			until := untilOf(s, seed)
			data := newData(s, sinceOf(s, seed, until), until)
			var whole outcome
			for i, part := range parts {
				data.Without = []investigate.Part{part}
				o := judge(s, investigate.Analyze(data), until)
				if i == 0 {
					whole = o
				}
				o.floor = whole.floor
				tables[i].add(o)
			}
		}
	}
	fmt.Println("| without | first cause right | and its level | begin within 10 min | failing " +
		"recipients counted | causes too many | quiet days with an alarm |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- |")
	for i, part := range parts {
		name := string(part)
		if name == "" {
			name = "(nothing)"
		}
		fmt.Printf("| %s %s\n", name, tables[i].summary())
	}
}

// summary is the row of an ablation.
func (t *table) summary() string {
	var seen, hit1, level, abrupt, began, failures, counted, many, quiet, alarms int
	for _, o := range t.all {
		switch {
		case !o.incident:
			quiet++
			alarms += one(o.alarms > 0)
		case o.floor:
			seen++
			hit1 += one(o.hit1)
			level += one(o.hit1 && o.level)
			abrupt += one(o.abrupt)
			began += one(o.abrupt && o.hit1 && o.began)
			failures += one(!o.missing)
			counted += one(!o.missing && o.counted)
			many += one(o.superfluous > 0)
		}
	}
	return fmt.Sprintf("| %d/%d | %d/%d | %d/%d | %d/%d | %d/%d | %d/%d |", hit1, seen, level, seen, began,
		abrupt, counted, failures, many, seen, alarms, quiet)
}
