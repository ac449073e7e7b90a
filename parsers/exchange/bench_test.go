package exchange_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"testing"

	"mailfail/parsers"
)

// benchmarkRows is as many rows as a busy server logs in a day.
const benchmarkRows = 300_000

// trackingLog returns a tracking log of that many rows, those of the sets over
// and over.
func trackingLog(b *testing.B) [][]byte {
	b.Helper()
	var rows [][]byte
	dir := realSets + "/tracking-2016"
	if _, err := os.Stat(dir); err != nil {
		dir = "../../testdata/exchange/tracking-2007"
	}
	var header [][]byte
	for _, f := range logsOf(b, dir) {
		for _, line := range f.lines {
			if bytes.HasPrefix(line, []byte("#")) {
				if len(header) < 5 {
					header = append(header, line)
				}
				continue
			}
			rows = append(rows, line)
		}
	}
	lines := header
	for len(lines) < benchmarkRows {
		lines = append(lines, rows...)
	}
	return lines[:benchmarkRows]
}

func logBytes(lines [][]byte) int64 {
	n := len(lines)
	for _, l := range lines {
		n += len(l)
	}
	return int64(n)
}

// BenchmarkTracking reads rows as the ingest loop does.
func BenchmarkTracking(b *testing.B) {
	lines := trackingLog(b)
	b.SetBytes(logBytes(lines))
	b.ReportAllocs()
	for b.Loop() {
		s := newStream(b, "auto")
		records := 0
		count := func(*parsers.Record) { records++ }
		for _, line := range lines {
			s.Parse(line, count)
		}
		if records < benchmarkRows/2 {
			b.Fatal("too few records:", records)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchmarkRows, "ns/row")
}

// BenchmarkCSV reads the same rows with encoding/csv and does nothing with
// them: the yardstick.
func BenchmarkCSV(b *testing.B) {
	lines := trackingLog(b)
	log := bytes.Join(lines, []byte("\n"))
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		r := csv.NewReader(bytes.NewReader(log))
		r.ReuseRecord, r.FieldsPerRecord = true, -1
		for {
			if _, err := r.Read(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchmarkRows, "ns/row")
}
