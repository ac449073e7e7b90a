package detect

import (
	"slices"
	"strings"
	"testing"

	"mailfail/parsers"
)

// FuzzPieces reads a log at once, and in two parts by two streams, the second of which
// goes on from the state of the first: the records are the same.
func FuzzPieces(f *testing.F) {
	f.Add(exportLog, uint16(3))
	f.Add("Nov 22 06:28:08 mx1 echo[1]: hello\nNov 22 06:28:08 mx1 last message repeated 2 times\necho x", uint16(1))
	f.Add(`[{"MESSAGE":"a,","__REALTIME_TIMESTAMP":"1795328887586123"},`+"\n"+`{"MESSAGE":"b","SYSLOG_IDENTIFIER":"echo"}]`, uint16(1))
	f.Add("#table\na,\nb\n<22>1 2026-11-22T06:25:52Z mx1 echo/smtp 250 ID1 [a@1 b=\"x\"] x", uint16(2))
	f.Fuzz(func(t *testing.T, log string, at uint16) {
		lines := strings.Split(log, "\n")
		if strings.Count(log, "repeated") > 3 {
			return // a line may stand for thousands
		}
		read := func(cut int) (records []string, results []parsers.Result) {
			s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "Europe/Berlin")
			for i, line := range lines {
				if i == cut {
					state, err := s.AppendBinary(nil)
					if err != nil {
						t.Fatal(err)
					}
					s = newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "Europe/Berlin")
					if err := s.UnmarshalBinary(state); err != nil {
						t.Fatal(err)
					}
				}
				results = append(results, s.Parse([]byte(line), func(r *parsers.Record) { records = append(records, show(r)) }))
			}
			return records, results
		}
		whole, results := read(-1)
		parts, others := read(int(at) % len(lines))
		if !slices.Equal(whole, parts) || !slices.Equal(results, others) {
			t.Errorf("in two parts:\n%q %v\nat once:\n%q %v", parts, others, whole, results)
		}
	})
}

// FuzzStreamState goes on from whatever bytes are taken for the state of a stream: they
// are an error, or a state that is kept as it is.
func FuzzStreamState(f *testing.F) {
	for _, log := range []string{exportLog, "Nov 22 06:28:08 mx1 echo[1]: hello,", "#table\na,"} {
		s := newStream(f, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
		for line := range strings.SplitSeq(log, "\n") {
			s.Parse([]byte(line), func(*parsers.Record) {})
		}
		state, err := s.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(state, "Nov 22 06:28:08 mx1 last message repeated 2 times")
	}
	f.Fuzz(func(t *testing.T, state []byte, line string) {
		s := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
		if s.UnmarshalBinary(state) != nil {
			return
		}
		kept, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		again := newStream(t, "auto", 0, "2026-11-22T12:00:00Z", "UTC")
		if err := again.UnmarshalBinary(kept); err != nil {
			t.Fatalf("what was kept is refused: %v", err)
		}
		if twice, err := again.AppendBinary(nil); err != nil || string(twice) != string(kept) {
			t.Errorf("kept %q, then %q, %v", kept, twice, err)
		}
		s.Parse([]byte(line), func(*parsers.Record) {})
	})
}
