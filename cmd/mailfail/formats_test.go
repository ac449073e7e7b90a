package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailfail/parsers/parserstest/loggen"
)

// FuzzFormats reports on logs that are made up: text, JSON and CSV have the same
// numbers, and those of all groups add up to the totals.
func FuzzFormats(f *testing.F) {
	f.Add(uint64(1), uint8(50), uint8(0), uint16(24))
	f.Add(uint64(2), uint8(3), uint8(1), uint16(1))
	f.Add(uint64(3), uint8(250), uint8(2), uint16(2000))
	dimensions := []string{"domain", "provider", "sender", "host", "mta", "relay", "direction"}
	dir := f.TempDir()
	f.Setenv("TZ", "UTC")
	f.Setenv("MAILFAIL_CONFIG", os.DevNull)
	f.Fuzz(func(t *testing.T, seed uint64, messages, by uint8, hours uint16) {
		var log bytes.Buffer
		span := time.Duration(hours%2000+1) * time.Hour
		if _, err := loggen.Generate(&log, loggen.Options{Seed: seed, Messages: int(messages) + 1, Span: span}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "mail.log")
		if err := os.WriteFile(path, log.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		dimension := dimensions[int(by)%len(dimensions)]
		report := func(format string) string {
			var out, errs bytes.Buffer
			args := []string{"report", "--year", "2026", "--no-pager", "--top", "0", "--by", dimension, "--format", format, path}
			if code := run(args, strings.NewReader(""), &out, &errs); code != 0 {
				t.Fatalf("%v: exit code %d: %s", args, code, &errs)
			}
			return out.String()
		}
		totals, groups := numbersOfJSON(t, report("json"))
		if shown := numbersOfText(report("text")); !contains(totals, shown) {
			t.Errorf("text shows %v, JSON has %v", shown, totals)
		}
		for name, sums := range map[string]map[string]int64{"JSON": groups, "CSV": numbersOfCSV(t, report("csv"))} {
			if !contains(totals, sums) {
				t.Errorf("groups by %s add up to %v in %s, totals are %v", dimension, sums, name, totals)
			}
		}
	})
}

// counted are numbers of a report that have no parts in common.
var counted = []string{"recipients", "delivered", "bounced", "expired", "pending", "attempts", "deferrals", "failures"}

// contains reports whether all has the numbers of part, which are not none.
func contains(all, part map[string]int64) bool {
	for name, n := range part {
		if all[name] != n {
			return false
		}
	}
	return len(part) >= 5
}

// numbersOfJSON returns the totals, and the sums of the groups.
func numbersOfJSON(t *testing.T, text string) (totals, sums map[string]int64) {
	t.Helper()
	var report struct {
		Totals  map[string]any   `json:"totals"`
		Groups  []map[string]any `json:"groups"`
		Domains []map[string]any `json:"domains"`
	}
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatal(err)
	}
	if report.Groups == nil { // by domain
		report.Groups = report.Domains
	}
	totals, sums = map[string]int64{}, map[string]int64{}
	for _, name := range counted {
		n, _ := report.Totals[name].(float64)
		totals[name] = int64(n)
		for _, g := range report.Groups {
			n, _ := g[name].(float64)
			sums[name] += int64(n)
		}
	}
	totals["failed"] = totals["bounced"] + totals["expired"]
	return totals, sums
}

// numbersOfCSV returns the sums of the columns.
func numbersOfCSV(t *testing.T, text string) map[string]int64 {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, name := range counted {
		for i, column := range rows[0] {
			for _, row := range rows[1:] {
				if column == name {
					n, err := strconv.ParseInt(row[i], 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					sums[name] += n
				}
			}
		}
	}
	return sums
}

// textRows are the names of numbers in the text.
var textRows = map[string]string{
	"Recipients": "recipients", "  delivered": "delivered", "  failed": "failed", "  pending": "pending",
	"Attempts": "attempts", "  temporary": "deferrals", "  permanent": "failures",
}

var textRow = regexp.MustCompile(`(?m)^( {0,2}[A-Za-z ]+?) {2,}([0-9,]+)(?: |$)`)

func numbersOfText(text string) map[string]int64 {
	shown := map[string]int64{}
	for _, m := range textRow.FindAllStringSubmatch(text, -1) {
		name, known := textRows[m[1]]
		if _, twice := shown[name]; !known || twice {
			continue
		}
		n, err := strconv.ParseInt(strings.ReplaceAll(m[2], ",", ""), 10, 64)
		if err == nil {
			shown[name] = n
		}
	}
	return shown
}
