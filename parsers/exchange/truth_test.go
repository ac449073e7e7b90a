package exchange_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"mailfail/parsers"
	"mailfail/parsers/detect"
	_ "mailfail/parsers/exchange"
	"mailfail/registry"
)

const realSets = "../../../shared/corpus-real/exchange"

// COUNTS of the design, as truth.json has them.
type counts struct {
	Recipients, Delivered, Bounced, Expired, Removed, Pending int
	Attempts, Deferrals, Failures, Deferred, Rejected         int
	Messages                                                  int
}

type codeCounts struct{ Attempts, Deferrals, Failures, Recipients, Domains int }

type hourCounts struct{ Delivered, Deferred, Failed int }

// truth is what a set's truth.json says.
type truth struct {
	Lines      struct{ Header, Records, Truncated, Blank, Physical int }
	Totals     counts
	Domains    map[string]counts
	Codes      map[string]codeCounts
	Hours      map[string]hourCounts     `json:"attempts_by_hour"`
	Rejections map[string]map[string]int `json:"rejections"`
	Temporary  int                       `json:"rejected_temporary"`

	Connectivity struct {
		Connections, Messages int
		Results               map[string]int            `json:"by_result"`
		Failed                map[string]map[string]int `json:"failed_by_destination"`
	}
	Protocol struct {
		Sessions    int
		Internal    int            `json:"internal_sessions"`
		Unconnected map[string]int `json:"connect_failures"`
		TLS         int            `json:"tls_failures"`
	}
	Debatable struct {
		Banner int `json:"sessions_refused_in_banner"`
	}
}

func readTruth(t testing.TB, dir string) truth {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want truth
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	return want
}

// A tally is a small tracker: it counts what the records of roaming messages
// report, in any order.
type tally struct {
	recipients map[[2]string]*fate
	hours      map[string]hourCounts
	rejections map[string]map[string]int
	rejected   int
	temporary  int
	results    map[parsers.Result]int
	open       int // files whose last line is torn inside quotes

	connections map[string]int            // by stage, "ok" of those that could be used
	unconnected map[string]map[string]int // by next hop and stage
	passedOn    int                       // messages
}

// A fate is what became of a recipient. Later times win; being handed over
// loses against everything.
type fate struct {
	state                                    string
	at                                       time.Time
	replaced                                 bool
	attempts, deferrals, failures, delivered int
	codes                                    map[string]codeCounts
}

func newTally() *tally {
	return &tally{recipients: map[[2]string]*fate{}, hours: map[string]hourCounts{}, rejections: map[string]map[string]int{},
		results: map[parsers.Result]int{}, connections: map[string]int{}, unconnected: map[string]map[string]int{}}
}

func (y *tally) fate(r *parsers.Record) *fate {
	local, domain, _ := cutLast(string(r.Address), "@")
	key := [2]string{string(r.ID), local + "@" + strings.ToLower(domain)}
	f := y.recipients[key]
	if f == nil {
		f = &fate{codes: map[string]codeCounts{}}
		y.recipients[key] = f
	}
	return f
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (f *fate) end(state string, at time.Time) {
	if f.state == "" || f.state == "handed over" || !at.Before(f.at) {
		f.state, f.at = state, at
	}
}

func (y *tally) add(r *parsers.Record) {
	switch r.Kind {
	case parsers.Expected:
		y.fate(r)
	case parsers.Settled:
		y.settled(r)
	case parsers.Attempt:
		y.attempt(r)
	case parsers.Rejection:
		y.reject(r)
	case parsers.Connection:
		y.connection(r)
	}
}

func (y *tally) settled(r *parsers.Record) {
	switch f := y.fate(r); {
	case r.Final == registry.StateReplaced:
		f.replaced = true
	case r.Final == registry.StateRemoved:
		f.end("removed", r.Time)
	case f.state == "":
		f.state = "handed over"
	}
}

func (y *tally) connection(r *parsers.Record) {
	y.passedOn += r.Messages
	if r.Outcome == registry.OutcomeDelivered {
		y.connections["ok"]++
		return
	}
	y.connections[r.Stage.String()]++
	hop := string(r.Relay)
	if hop == "" {
		hop = string(r.RelayIP)
	}
	if y.unconnected[hop] == nil {
		y.unconnected[hop] = map[string]int{}
	}
	y.unconnected[hop][r.Stage.String()]++
}

func (y *tally) attempt(r *parsers.Record) {
	f := y.fate(r)
	hour := y.hours[r.Time.UTC().Format("2006-01-02T15")]
	code := registry.Code(r.Reply.Code, r.Reply.Enhanced)
	c := f.codes[code]
	f.attempts++
	c.Attempts++
	switch r.Outcome {
	case registry.OutcomeDelivered:
		hour.Delivered++
		f.delivered++
		f.end("delivered", r.Time)
	case registry.OutcomeDeferred:
		hour.Deferred++
		f.deferrals++
		c.Deferrals++
		f.codes[code] = c
		f.end("pending", r.Time)
	case registry.OutcomeFailed:
		hour.Failed++
		f.failures++
		c.Failures++
		f.codes[code] = c
		if r.Final != registry.StatePending {
			f.end(r.Final.String(), r.Time)
		} else {
			f.end("bounced", r.Time)
		}
	}
	y.hours[r.Time.UTC().Format("2006-01-02T15")] = hour
}

func (y *tally) reject(r *parsers.Record) {
	stage := r.Stage.String()
	if stage == "end-of-data" {
		stage = "data"
	}
	if y.rejections[stage] == nil {
		y.rejections[stage] = map[string]int{}
	}
	y.rejections[stage][registry.Code(r.Reply.Code, r.Reply.Enhanced)]++
	if r.Outcome == registry.OutcomeDeferred {
		y.temporary++
	} else {
		y.rejected++
	}
}

// truth returns the counts in the shape of truth.json.
func (y *tally) truth() truth {
	got := truth{Domains: map[string]counts{}, Codes: map[string]codeCounts{}, Hours: y.hours, Rejections: y.rejections, Temporary: y.temporary}
	got.Totals.Rejected = y.rejected
	messages := map[string]bool{}
	domainsOf := map[string]map[string]bool{}
	for key, f := range y.recipients {
		_, domain, _ := cutLast(key[1], "@")
		d := got.Domains[domain]
		for _, c := range []*counts{&got.Totals, &d} {
			f.count(c)
		}
		if d != (counts{}) {
			got.Domains[domain] = d
		}
		if !f.replaced {
			messages[key[0]] = true
		}
		for code, c := range f.codes {
			sum := got.Codes[code]
			sum.Attempts += c.Attempts
			sum.Deferrals += c.Deferrals
			sum.Failures += c.Failures
			sum.Recipients++
			if domainsOf[code] == nil {
				domainsOf[code] = map[string]bool{}
			}
			domainsOf[code][domain] = true
			sum.Domains = len(domainsOf[code])
			got.Codes[code] = sum
		}
	}
	got.Totals.Messages = len(messages)
	return got
}

func (f *fate) count(c *counts) {
	c.Attempts += f.attempts
	c.Deferrals += f.deferrals
	c.Failures += f.failures
	if f.replaced {
		return
	}
	c.Recipients++
	if f.deferrals > 0 {
		c.Deferred++
	}
	switch f.state {
	case "delivered":
		c.Delivered++
	case "bounced":
		c.Bounced++
	case "expired":
		c.Expired++
	case "removed":
		c.Removed++
	default:
		c.Pending++
	}
}

// file is a log as lines, UTF-8.
type file struct {
	name  string
	lines [][]byte
}

func readFile(t testing.TB, name string) file {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	data = bytes.TrimSuffix(toUTF8(data), []byte("\n"))
	return file{name, bytes.Split(data, []byte("\n"))}
}

func toUTF8(data []byte) []byte {
	if len(data) < 2 || data[0] != 0xff || data[1] != 0xfe {
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 2; i+1 < len(data); i += 2 {
		units = append(units, binary.LittleEndian.Uint16(data[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}

func logsOf(t testing.TB, dir string) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if ext := filepath.Ext(strings.TrimSuffix(path, ".gz")); err == nil && (ext == ".LOG" || ext == ".csv") {
			files = append(files, readFile(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func newStream(t testing.TB, format string) *detect.Stream {
	t.Helper()
	s, err := detect.NewStream(parsers.Options{Location: time.UTC, Host: "EX99"}, format, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read gives the lines of a file to a stream of its own.
func (y *tally) read(t testing.TB, f file) {
	s := newStream(t, "auto")
	for _, line := range f.lines {
		y.results[s.Parse(line, y.add)]++
	}
	y.open += bytes.Count(f.lines[len(f.lines)-1], []byte(`"`)) % 2
}

func sets(t testing.TB) []string {
	t.Helper()
	var dirs []string
	small, _ := filepath.Glob("../../testdata/exchange/*/truth.json")
	if !testing.Short() {
		dirs, _ = filepath.Glob(filepath.Join(realSets, "*", "truth.json"))
	}
	if len(dirs) == 0 && !testing.Short() {
		t.Log("the shared sets are not here; only those in testdata are read")
	}
	var names []string
	for _, d := range append(dirs, small...) {
		names = append(names, filepath.Dir(d))
	}
	return names
}

// compare reports where got differs from want, in few lines.
func compare(t *testing.T, got, want truth) {
	t.Helper()
	if got.Totals != want.Totals {
		t.Errorf("totals:\n got %+v\nwant %+v", got.Totals, want.Totals)
	}
	compareMaps(t, "domain", got.Domains, want.Domains)
	compareMaps(t, "code", got.Codes, want.Codes)
	if len(want.Hours) > 0 {
		compareMaps(t, "hour", got.Hours, want.Hours)
	}
	if want.Rejections != nil {
		for _, stages := range want.Rejections { // a failed AUTH is no rejection
			delete(stages, "535 5.7.3")
		}
		if len(want.Rejections["auth"]) == 0 {
			delete(want.Rejections, "auth")
		}
		if !reflect.DeepEqual(got.Rejections, want.Rejections) || got.Temporary != want.Temporary {
			t.Errorf("rejections:\n got %v (%d temporary)\nwant %v (%d)", got.Rejections, got.Temporary, want.Rejections, want.Temporary)
		}
	}
}

func compareMaps[V comparable](t *testing.T, what string, got, want map[string]V) {
	t.Helper()
	keys := map[string]bool{}
	for k := range got {
		keys[k] = true
	}
	for k := range want {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if got[k] != want[k] {
			t.Errorf("%s %q:\n got %+v\nwant %+v", what, k, got[k], want[k])
		}
	}
}

func TestTruth(t *testing.T) {
	for _, dir := range sets(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want := readTruth(t, dir)
			y := newTally()
			for _, f := range logsOf(t, dir) {
				y.read(t, f)
			}
			compare(t, y.truth(), want)
			if torn := y.results[parsers.Unparsed] + y.open; torn != want.Lines.Truncated {
				t.Errorf("unparsed: got %d lines, want %d", torn, want.Lines.Truncated)
			}
		})
	}
}

// TestConnections compares the connections to next hops, and where they failed.
func TestConnections(t *testing.T) {
	checked := 0
	for _, dir := range sets(t) {
		want := readTruth(t, dir)
		if want.Connectivity.Connections == 0 && !strings.HasPrefix(filepath.Base(dir), "send-") {
			continue
		}
		checked++
		t.Run(filepath.Base(dir), func(t *testing.T) {
			y := newTally()
			for _, f := range logsOf(t, dir) {
				y.read(t, f)
			}
			if want.Connectivity.Connections > 0 {
				y.compareConnectivity(t, want)
			} else {
				y.compareSessions(t, want)
			}
		})
	}
	if checked < 2 {
		t.Errorf("only %d sets tell of connections", checked)
	}
}

// The simulation calls every end but these a retry.
func asResults(stages map[string]int) map[string]int {
	results := map[string]int{}
	for stage, n := range stages {
		switch stage {
		case "ok", "dns", "connect":
			results[stage] += n
		default:
			results["retry"] += n
		}
	}
	return results
}

func (y *tally) compareConnectivity(t *testing.T, want truth) {
	compareMaps(t, "result", asResults(y.connections), want.Connectivity.Results)
	if y.passedOn != want.Connectivity.Messages {
		t.Errorf("%d messages, want %d", y.passedOn, want.Connectivity.Messages)
	}
	for hop, results := range want.Connectivity.Failed {
		compareMaps(t, hop, asResults(y.unconnected[hop]), results)
	}
	if len(y.unconnected) != len(want.Connectivity.Failed) {
		t.Errorf("next hops that failed: got %v, want %v", y.unconnected, want.Connectivity.Failed)
	}
}

// compareSessions compares a send log. Its sessions that were refused at MAIL
// are failures here; the simulation counts refusals, some of them in sessions
// that went on.
func (y *tally) compareSessions(t *testing.T, want truth) {
	all := 0
	for _, n := range y.connections {
		all += n
	}
	if all != want.Protocol.Sessions {
		t.Errorf("%d sessions, want %d", all, want.Protocol.Sessions)
	}
	connect := map[string]int{}
	for hop, stages := range y.unconnected {
		if stages["connect"] > 0 {
			connect[hop] = stages["connect"]
		}
	}
	// "drucklabor.example 10060", "198.51.100.157:25 10065"
	for to, n := range want.Protocol.Unconnected {
		hop, _, _ := strings.Cut(to, " ")
		connect[strings.Trim(strings.TrimSuffix(hop, ":25"), "[]")] -= n
	}
	for hop, n := range connect {
		if n != 0 {
			t.Errorf("connecting to %s: %+d", hop, n)
		}
	}
	if y.connections["starttls"] != want.Protocol.TLS || y.connections["banner"] != want.Debatable.Banner {
		t.Errorf("got %v, want %d TLS failures and %d greetings refused", y.connections, want.Protocol.TLS, want.Debatable.Banner)
	}
}

func TestTruthInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for _, dir := range sets(t) {
		want, files := readTruth(t, dir), logsOf(t, dir)
		for range 5 {
			random.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
			y := newTally()
			for _, f := range files {
				y.read(t, f)
			}
			t.Run(filepath.Base(dir), func(t *testing.T) { compare(t, y.truth(), want) })
		}
	}
}

// TestSplitAnywhere reads every set in pieces, with a new stream for each that
// gets the state of the one before.
func TestSplitAnywhere(t *testing.T) {
	random := rand.New(rand.NewSource(2))
	dirs := sets(t)
	if testing.Short() {
		dirs = dirs[:1]
	}
	for _, dir := range dirs {
		for _, f := range logsOf(t, dir) {
			whole := record(t, f.lines, nil)
			for range 3 {
				split := map[int]bool{}
				for range 1 + random.Intn(40) {
					split[random.Intn(len(f.lines))] = true
				}
				if got := record(t, f.lines, split); !slices.Equal(got, whole) {
					t.Fatalf("%s split at %v: the records differ", f.name, slices.Sorted(maps.Keys(split)))
				}
			}
		}
	}
}

// TestSplitEverywhere passes the state on after every single line.
func TestSplitEverywhere(t *testing.T) {
	for _, dir := range sets(t) {
		files := logsOf(t, dir)
		sort.Slice(files, func(i, j int) bool { return len(files[i].lines) < len(files[j].lines) })
		f := files[0]
		everywhere := map[int]bool{}
		for i := range f.lines {
			everywhere[i] = true
		}
		if got, want := record(t, f.lines, everywhere), record(t, f.lines, nil); !slices.Equal(got, want) {
			t.Fatalf("%s: the records differ", f.name)
		}
	}
}

// record returns every record and result of the lines as text.
func record(t testing.TB, lines [][]byte, split map[int]bool) []string {
	t.Helper()
	var out []string
	s := newStream(t, "auto")
	for i, line := range lines {
		if split[i] {
			state, err := s.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			s = newStream(t, "auto")
			if err := s.UnmarshalBinary(state); err != nil {
				t.Fatalf("before line %d: %v", i+1, err)
			}
		}
		result := s.Parse(bytes.Clone(line), func(r *parsers.Record) { out = append(out, describe(r)) })
		out = append(out, fmt.Sprint(result))
	}
	last, kept := s.End(func(r *parsers.Record) { out = append(out, describe(r)) })
	return append(out, fmt.Sprint(last, kept))
}

// describe returns a record as text, slices as strings.
func describe(r *parsers.Record) string {
	var b strings.Builder
	for _, f := range []struct {
		name  string
		value any
	}{
		{"Kind", kindNumber(r)},
		{"", r.Format.Name},
		{"Time", r.Time},
		{"Host", r.Host},
		{"Message", r.ID},
		{"Roaming", len(r.ID) > 0},
		{"Instance", r.Instance},
		{"Service", r.Service},
		{"HasSender", r.HasSender},
		{"Sender", r.Sender},
		{"Client", r.Client},
		{"ClientIP", r.ClientIP},
		{"MessageID", r.MessageID},
		{"Size", r.Size},
		{"Recipient", r.Address},
		{"Original", r.Original},
		{"Kept", r.Kept},
		{"Outcome", r.Outcome},
		{"GivenUp", r.Kind == parsers.Attempt && r.Final == registry.StateExpired},
		{"Removed", r.Kind == parsers.Attempt && r.Final == registry.StateRemoved},
		{"Relay", r.Relay},
		{"RelayIP", r.RelayIP},
		{"Stage", r.Stage},
		{"Source", r.Source},
		{"Reply", describeReply(r)},
		{"MTAStatus", r.MTAStatus},
		{"Delay", r.Delay},
		{"NextID", r.NextID},
		{"Nth", r.Nth},
		{"Messages", r.Messages},
		{"Session", r.Session},
	} {
		switch v := f.value.(type) {
		case []byte:
			if len(v) > 0 {
				fmt.Fprintf(&b, " %s=%q", f.name, v)
			}
		default:
			if s := strings.TrimPrefix(fmt.Sprintf(" %s=%v", f.name, v), " ="); !reflect.ValueOf(v).IsZero() {
				b.WriteString(" " + strings.TrimPrefix(s, " "))
			}
		}
	}
	return b.String()
}

// describeReply returns the codes and the text of a reply.
func describeReply(r *parsers.Record) string {
	if r.Reply.Code == 0 && r.Reply.Enhanced.IsZero() && r.Reply.Text == nil {
		return ""
	}
	return registry.Code(r.Reply.Code, r.Reply.Enhanced) + "|" + string(r.Reply.Text)
}

// kindNumber returns the number that golden files have for a kind: they were
// made when each final state had one.
func kindNumber(r *parsers.Record) int {
	if r.Kind == parsers.Settled {
		return map[registry.State]int{
			registry.StateHandedOver: 5, registry.StateRemoved: 6, registry.StateExpired: 7, registry.StateReplaced: 8,
		}[r.Final]
	}
	return map[parsers.Kind]int{
		parsers.Arrival: 1, parsers.Expected: 2, parsers.Attempt: 3, parsers.Suspended: 4,
		parsers.End: 9, parsers.Rejection: 10, parsers.Connection: 11,
	}[r.Kind]
}
