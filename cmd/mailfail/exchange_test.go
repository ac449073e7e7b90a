package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mailfail/store"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// exchangeTruth is what truth.json of an Exchange set and a report have in
// common: counts by name, as a whole, by domain and by code.
type exchangeTruth struct {
	Totals  map[string]int
	Domains map[string]map[string]int
	Codes   map[string]map[string]int

	Connectivity connectivityTruth // of truth.json
	Hops         []exchangeHop     // of the report
}

type connectivityTruth struct {
	Connections, Messages int
	Failed                map[string]map[string]int `json:"failed_by_destination"`
}

type exchangeHop struct {
	Name                          string `json:"next_hop"`
	Connections, Failed, Messages int
}

// compareHops compares the connections with those of the simulation, which
// noted failures by destination and result.
func compareHops(t *testing.T, hops []exchangeHop, want exchangeTruth) {
	t.Helper()
	all, messages := 0, 0
	for _, h := range hops {
		failed := 0
		for _, n := range want.Connectivity.Failed[h.Name] {
			failed += n
		}
		if h.Failed != failed {
			t.Errorf("connections to %s: %d failed, want %d", h.Name, h.Failed, failed)
		}
		delete(want.Connectivity.Failed, h.Name)
		all, messages = all+h.Connections, messages+h.Messages
	}
	if all != want.Connectivity.Connections || messages != want.Connectivity.Messages || len(want.Connectivity.Failed) > 0 {
		t.Errorf("%d connections, %d messages, without %v; want %+v", all, messages, want.Connectivity.Failed, want.Connectivity)
	}
}

// TestExchangeTruth compares the JSON report of whole sets of Exchange logs
// with what the simulation that wrote them noted, files in any order.
func TestExchangeTruth(t *testing.T) {
	takesLong(t)
	small, _ := filepath.Glob("../../testdata/exchange/*/truth.json")
	shared, _ := filepath.Glob("../../../shared/corpus-real/exchange/*/truth.json")
	if len(small) == 0 {
		t.Fatal("testdata/exchange is missing")
	}
	t.Setenv("TZ", "UTC")
	random := rand.New(rand.NewSource(1))
	if testing.Short() {
		shared = nil
	}
	for _, name := range append(small, shared...) {
		dir := filepath.Dir(name)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			files := exchangeLogs(t, dir)
			random.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
			compareExchange(t, files, name)
		})
	}
}

func compareExchange(t *testing.T, files []string, truth string) {
	t.Helper()
	want, got := readExchangeTruth(t, truth), exchangeReport(t, files)
	compareCounts(t, "totals", got.Totals, want.Totals)
	compareAll(t, "domain", got.Domains, want.Domains)
	compareAll(t, "code", got.Codes, want.Codes)
	if want.Connectivity.Connections > 0 {
		compareHops(t, got.Hops, want)
	}
}

// TestExchangeEncodings compares every set in the encodings in which editors
// and PowerShell save logs.
func TestExchangeEncodings(t *testing.T) {
	takesLong(t)
	small, _ := filepath.Glob("../../testdata/exchange/*/truth.json")
	shared, _ := filepath.Glob("../../../shared/corpus-real/exchange/*/truth.json")
	if len(small) == 0 {
		t.Fatal("testdata/exchange is missing")
	}
	t.Setenv("TZ", "UTC")
	for encoding, encode := range map[string]func(string) []byte{
		"UTF-8":             func(s string) []byte { return []byte(s) },
		"UTF-8 with a mark": func(s string) []byte { return []byte("\ufeff" + s) },
		"UTF-16LE":          func(s string) []byte { return utf16Bytes(binary.LittleEndian, s) },
		"UTF-16BE":          func(s string) []byte { return utf16Bytes(binary.BigEndian, s) },
		"LF alone":          func(s string) []byte { return []byte(strings.ReplaceAll(s, "\r\n", "\n")) },
	} {
		for _, truth := range append(small, shared...) {
			t.Run(encoding+"/"+filepath.Base(filepath.Dir(truth)), func(t *testing.T) {
				dir := t.TempDir()
				var files []string
				for i, file := range exchangeLogs(t, filepath.Dir(truth)) {
					name := fmt.Sprintf("%s/%d-%s", dir, i, strings.TrimSuffix(filepath.Base(file), ".gz"))
					write(t, name, encode(plainText(t, file)))
					files = append(files, name)
				}
				compareExchange(t, files, truth)
			})
		}
	}
}

// utf16Bytes returns s as UTF-16 behind a byte order mark.
func utf16Bytes(order binary.AppendByteOrder, s string) (b []byte) {
	for _, unit := range utf16.Encode([]rune("\ufeff" + s)) {
		b = order.AppendUint16(b, unit)
	}
	return b
}

// plainText returns a log as UTF-8 without a mark.
func plainText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	text := string(b)
	if bytes.HasPrefix(b, []byte("\xff\xfe")) {
		var units []uint16
		for i := 0; i+1 < len(b); i += 2 {
			units = append(units, binary.LittleEndian.Uint16(b[i:]))
		}
		text = string(utf16.Decode(units))
	}
	return strings.TrimPrefix(text, "\ufeff")
}

// TestExchangeListUTF16 reads what Windows PowerShell writes with >.
func TestExchangeListUTF16(t *testing.T) {
	t.Setenv("TZ", "UTC")
	const list = "\r\n\r\nTimestamp       : 20.11.2026 09:28:06\r\nSource          : SMTP\r\nEventId         : FAIL\r\n" +
		"MessageId       : <m@x>\r\nRecipients      : {jürgen@x.example}\r\nRecipientStatus : {550 5.1.1 User \r\n" +
		"                  unknown}\r\n\r\n\r\n"
	name := filepath.Join(t.TempDir(), "fail.txt")
	write(t, name, utf16Bytes(binary.LittleEndian, list))
	got := exchangeReport(t, []string{name})
	if got.Totals["attempts"] != 1 || got.Codes["550 5.1.1"]["failures"] != 1 || got.Domains["x.example"]["bounced"] != 1 {
		t.Errorf("got %+v", got)
	}
}

func exchangeLogs(t *testing.T, dir string) (files []string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(strings.TrimSuffix(path, ".gz")); err == nil && (ext == ".LOG" || ext == ".csv") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// readExchangeTruth reads truth.json. It counts temporary refusals of a receive
// connector apart, the report with the others.
func readExchangeTruth(t *testing.T, name string) exchangeTruth {
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var truth struct {
		Totals         map[string]any
		Domains, Codes map[string]map[string]any
		Temporary      int `json:"rejected_temporary"`
		Connectivity   connectivityTruth
	}
	if err := json.Unmarshal(data, &truth); err != nil {
		t.Fatal(err)
	}
	want := exchangeTruth{Totals: numbers(truth.Totals), Domains: map[string]map[string]int{}, Codes: map[string]map[string]int{}, Connectivity: truth.Connectivity}
	want.Totals["rejected_temporary"] = truth.Temporary
	for name, d := range truth.Domains {
		want.Domains[name] = numbers(d)
	}
	for name, c := range truth.Codes {
		want.Codes[name] = numbers(c)
	}
	return want
}

// exchangeReport runs mailfail report on files.
func exchangeReport(t *testing.T, files []string) exchangeTruth {
	var out, errs bytes.Buffer
	if rc := run(append([]string{"report", "--format", "json", "--direction", strings.Join(store.DirectionNames, ",")}, files...), strings.NewReader(""), &out, &errs); rc != 0 || errs.Len() > 0 {
		t.Fatalf("exit code %d: %s", rc, &errs)
	}
	var report struct {
		Totals         map[string]any
		Domains, Codes []map[string]any
		Connections    []exchangeHop
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	got := exchangeTruth{Totals: numbers(report.Totals), Domains: map[string]map[string]int{}, Codes: map[string]map[string]int{}, Hops: report.Connections}
	for _, d := range report.Domains {
		got.Domains[d["domain"].(string)] = numbers(d)
	}
	for _, c := range report.Codes {
		got.Codes[c["code"].(string)] = numbers(c)
	}
	return got
}

// numbers returns the members of a JSON object that are whole numbers.
func numbers(object map[string]any) map[string]int {
	counts := map[string]int{}
	for name, value := range object {
		if n, ok := value.(float64); ok && n == float64(int(n)) {
			counts[name] = int(n)
		}
	}
	return counts
}

func compareAll(t *testing.T, what string, got, want map[string]map[string]int) {
	t.Helper()
	for name, counts := range want {
		compareCounts(t, what+" "+name, got[name], counts)
	}
	for name := range got {
		if want[name] == nil && (got[name]["attempts"] > 0 || got[name]["recipients"] > 0) {
			t.Errorf("%s %s is not in the truth: %v", what, name, got[name])
		}
	}
}

// compareCounts compares what want has; a count that got lacks is 0. Of codes
// the report does not tell temporary and permanent failures apart.
func compareCounts(t *testing.T, what string, got, want map[string]int) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if strings.HasPrefix(what, "code ") && (name == "deferrals" || name == "failures") {
			continue
		}
		if got[name] != want[name] {
			t.Errorf("%s: %s: got %d, want %d", what, name, got[name], want[name])
		}
	}
}
