package exim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
)

// The runs in corpus-real are of an Exim that sent to scripted servers, which
// wrote down what they did. An event is one such act.
type event struct {
	T     float64
	IP    string
	Stage string
	Event string // reply, drop, hang, junk
	Code  int
	Rcpt  string
}

var runs = []string{"exim-plain-default", "exim-plain-millisec-pid-tz", "exim13-plain"}

// outbound returns the folders of the runs that there are: a piece of one is
// in testdata, the whole ones are not part of the repository.
func outbound() []string {
	dirs := []string{filepath.Join(small, "outbound")}
	for _, run := range runs {
		if dir := filepath.Join(real, run); exists(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func truth(t *testing.T, dir string) []event {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "truth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var events []event
	for s := bufio.NewScanner(f); s.Scan(); {
		var e event
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.Stage == "eod" {
			e.Stage = "end-of-data"
		}
		e.Rcpt = strings.ToLower(e.Rcpt)
		events = append(events, e)
	}
	return events
}

// attempt is what a test keeps of a record.
type attempt struct {
	t                 float64
	kind              parsers.Kind
	final             registry.State
	outcome           registry.Outcome
	message, rcpt, ip string
	stage, source     string
	code              int
}

func (a attempt) String() string {
	return fmt.Sprintf("%.1f %s %s %s %s/%s %d", a.t, a.outcome, a.rcpt, a.ip, a.stage, a.source, a.code)
}

// attempts reads a log and returns the records about recipients.
func attempts(t testing.TB, path string) (got []attempt) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := New(parsers.Options{Location: time.UTC, Path: path})
	passed := map[string][]attempt{} // refusals of a recipient by a host, told in lines without a flag
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		p.Parse(&parsers.Entry{Message: line}, func(r *parsers.Record) {
			if len(r.Address) == 0 || r.Kind == parsers.Expected || r.Kind == parsers.Rejection {
				return
			}
			a := attempt{t: float64(r.Time.UnixMicro()) / 1e6, kind: r.Kind, final: r.Final, outcome: r.Outcome, message: string(r.ID),
				rcpt: strings.ToLower(string(r.Address)), ip: string(r.RelayIP), stage: r.Stage.String(), source: r.Source.String(), code: int(r.Reply.Code)}
			if r.Outcome == registry.OutcomeDelivered && a.ip != "" {
				a.stage, a.source = "end-of-data", "remote"
			}
			got = append(got, a)
			for _, first := range passed[a.message+a.rcpt] {
				if first.ip != a.ip {
					got = append(got, first)
				}
			}
			delete(passed, a.message+a.rcpt)
		})
		if m := hostLine.FindSubmatch(line); m != nil {
			code, _ := strconv.Atoi(string(m[4]))
			a := attempt{message: string(m[1]), ip: string(m[2]), rcpt: strings.ToLower(string(m[3])), stage: "rcpt", source: "remote", code: code}
			passed[a.message+a.rcpt] = append(passed[a.message+a.rcpt], a)
		}
	}
	return got
}

var hostLine = regexp.MustCompile(`^\S+ \S+ (?:\+0000 )?(?:\[\d+\] )?([\w-]+) H=\S+ \[([^]]+)\]: SMTP error from remote mail server after (?:pipelined )?RCPT TO:<([^>]*)>: (\d{3})`)

// TestTruthOfRecipients compares the replies to RCPT, DATA and end of data,
// one by one, with what the servers say they answered. What is not the same in
// the two, and why:
//
//   - 999 is no reply code, and is read as none.
//   - When a host refuses a recipient for now and the next one is asked, the
//     flag line is about the last; the others are in lines without a flag,
//     which are no attempts, but are compared here. Such a line about the last
//     host repeats the flag line.
//   - The same for a refusal at the end of data, but that line does not name
//     the recipient, so these are taken out of the servers' account.
//   - A connection that is handed from one message to the next may be found
//     unusable after the first reply; the recipient is then asked for again at
//     once, and Exim logs only the second answer.
func TestTruthOfRecipients(t *testing.T) {
	for _, dir := range outbound() {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want, got := map[string]int{}, map[string]int{}
			for _, e := range decisive(truth(t, dir)) {
				want[fmt.Sprintf("%s %d %s %s", e.Stage, e.Code, e.IP, e.Rcpt)]++
			}
			for _, a := range attempts(t, filepath.Join(dir, "mainlog")) {
				if a.source == "remote" && a.code != 0 && a.code < 600 && (a.stage == "rcpt" || a.stage == "data" || a.stage == "end-of-data") {
					got[fmt.Sprintf("%s %d %s %s", a.stage, a.code, a.ip, a.rcpt)]++
				}
			}
			diff(t, want, got)
		})
	}
}

// decisive picks the replies that decided on a recipient.
func decisive(events []event) (picked []event) {
	for i, e := range events {
		decides := e.Stage == "end-of-data" || (e.Stage == "rcpt" || e.Stage == "data") && e.Code >= 400
		if e.Event != "reply" || e.Code == 0 || e.Code >= 600 || !decides {
			continue
		}
		again, passed := false, false
		for _, l := range events[i+1:] {
			if l.T > e.T+1 {
				break
			}
			if l.Rcpt != e.Rcpt {
				continue
			}
			again = again || l.IP == e.IP && l.Stage == e.Stage && l.Code == e.Code && l.T < e.T+0.1
			passed = passed || l.IP != e.IP && e.Stage != "rcpt" && e.Code/100 == 4
		}
		if !again && !passed {
			picked = append(picked, e)
		}
	}
	return picked
}

func diff(t *testing.T, want, got map[string]int) {
	t.Helper()
	keys := map[string]bool{}
	n := 0
	for k := range want {
		keys[k] = true
		n += want[k]
	}
	for k := range got {
		keys[k] = true
	}
	var sorted []string
	for k := range keys {
		sorted = append(sorted, k)
	}
	sort.Strings(sorted)
	for _, k := range sorted {
		if want[k] != got[k] {
			t.Errorf("%s: the servers say %d, the log %d", k, want[k], got[k])
		}
	}
	t.Logf("%d compared", n)
}

// TestTruthOfContacts looks for the act of a server behind every attempt that
// ended before a recipient was decided on (greeting, EHLO, STARTTLS, MAIL), or
// that ended without an answer. One act is behind several attempts when the
// message has several recipients. Servers of which nothing is written down are
// left out: one never answers, one offers no STARTTLS and is asked no more.
func TestTruthOfContacts(t *testing.T) {
	needs(t, real)
	for _, run := range runs {
		t.Run(run, func(t *testing.T) {
			events := truth(t, filepath.Join(real, run))
			known := map[string]bool{}
			for _, e := range events {
				known[e.IP] = true
			}
			n := map[string]int{}
			for _, a := range attempts(t, filepath.Join(real, run, "mainlog")) {
				if a.kind != parsers.Attempt || a.outcome == registry.OutcomeDelivered || !known[a.ip] || a.stage == "connect" {
					continue
				}
				if a.source == "remote" && a.code != 0 && (a.stage == "rcpt" || a.stage == "data" || a.stage == "end-of-data") {
					continue // TestTruthOfRecipients
				}
				n[a.stage+"/"+a.source]++
				if !happened(a, events) {
					t.Errorf("no server did this: %s", a)
				}
			}
			t.Log(n)
		})
	}
}

func happened(a attempt, events []event) bool {
	for _, e := range events {
		if e.IP != a.ip || e.T > a.t+1 || e.T < a.t-8 {
			continue
		}
		switch {
		case a.source == "remote" && a.code != 0:
			if e.Code == a.code && e.Stage == a.stage {
				return true
			}
		case a.source == "remote": // an answer that is none
			if e.Stage == a.stage && (e.Event == "junk" || e.Code == 0 || e.Code >= 600) {
				return true
			}
		case a.source == "tls": // offered or not, accepted or not, there was an EHLO at least
			return true
		case a.source == "network":
			// After 421 a server closes the connection (RFC 5321 section 3.8);
			// what it would have said to the next recipient is not known.
			if e.Stage == a.stage && (e.Event == "drop" || e.Event == "hang" || e.Code == 421) {
				return true
			}
		}
	}
	return false
}

// TestTruthOfStates compares final states: a recipient whose message a server
// accepted is delivered, as often as it was accepted, and of the others none
// is.
func TestTruthOfStates(t *testing.T) {
	for _, dir := range outbound() {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want, got := map[string]int{}, map[string]int{}
			for _, e := range truth(t, dir) {
				if e.Stage == "end-of-data" && e.Event == "reply" && e.Code/100 == 2 {
					want[e.Rcpt]++
				}
			}
			final := map[string]int{}
			for _, a := range attempts(t, filepath.Join(dir, "mainlog")) {
				if a.ip != "" && a.outcome == registry.OutcomeDelivered {
					got[a.rcpt]++
				}
				switch {
				case a.kind == parsers.Attempt && a.outcome == registry.OutcomeFailed && a.code/100 == 5:
					final["bounced by a reply"]++
				case a.kind == parsers.Settled && a.final == registry.StateExpired:
					final["expired"]++
				case a.kind == parsers.Suspended:
					final["suspended"]++
				}
			}
			diff(t, want, got)
			t.Log(final)
		})
	}
}

// TestRecipientsEnd follows the recipients the submitter named: in a message
// that is completed each of them has exactly one end. It has not if the parser
// takes one recipient for two. Exim 4.98.2 wrote a few lines blank, at the very
// places where the ends of their recipients are missing.
func TestRecipientsEnd(t *testing.T) {
	for _, dir := range outbound() {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ends, completed, blank := map[string]int{}, map[string]bool{}, map[string]int{}
			text, err := os.ReadFile(filepath.Join(dir, "mainlog"))
			if err != nil {
				t.Fatal(err)
			}
			p := New(parsers.Options{Location: time.UTC})
			for line := range bytes.Lines(text) {
				if f := bytes.Fields(line); len(f) == 3 {
					blank[string(f[2])]++
				}
				p.Parse(&parsers.Entry{Message: bytes.TrimSuffix(line, []byte("\n"))}, func(r *parsers.Record) {
					key := string(r.ID) + " " + strings.ToLower(string(r.Address))
					switch {
					case r.Kind == parsers.End:
						completed[string(r.ID)] = true
					case len(r.Address) == 0 && r.Kind != parsers.Arrival: // cancelled
						completed[string(r.ID)+" cancelled"] = true
					case r.Kind == parsers.Attempt && r.Outcome != registry.OutcomeDeferred, r.Kind == parsers.Settled && r.Final == registry.StateExpired:
						ends[key]++
					}
				})
			}
			n := 0
			for qid, rcpts := range submitted(t, dir) {
				if !completed[qid] || completed[qid+" cancelled"] {
					continue
				}
				for _, r := range rcpts {
					n++
					e := ends[qid+" "+strings.ToLower(r)]
					if e == 0 && blank[qid] > 0 {
						blank[qid]--
						continue
					}
					if e != 1 {
						t.Errorf("%s to %s has %d ends", qid, r, e)
					}
				}
			}
			t.Logf("%d recipients", n)
		})
	}
}

// offer is a message as the submitter wrote it down.
type offer struct {
	QID    *string
	Banner []any
	EHLO   []any
	Mail   []any
	Rcpts  []struct {
		Rcpt string
		Code int
	}
	Data, EOD []any
}

func offers(t *testing.T, dir string) (list []offer) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "inject.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var o offer
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatal(err)
		}
		list = append(list, o)
	}
	return list
}

// submitted returns the recipients of each message that was accepted.
func submitted(t *testing.T, dir string) map[string][]string {
	all := map[string][]string{}
	for _, o := range offers(t, dir) {
		if o.QID == nil {
			continue
		}
		for _, r := range o.Rcpts {
			if r.Code == 250 {
				all[*o.QID] = append(all[*o.QID], r.Rcpt)
			}
		}
	}
	return all
}

// TestTruthOfRefusals compares refusals by stage and code with the answers the
// submitter got. It got others that are not counted: 501 for a sender without
// a domain and for recipients that are no addresses, which the main log has
// only with +smtp_syntax_error. Main log and reject log are read one after the
// other, as a store would count them.
func TestTruthOfRefusals(t *testing.T) {
	const raw = "127.0.3.6" // the client of sessions that were not written down
	want := map[string]int{}
	code := func(v []any) int {
		if len(v) == 0 || v[0] == nil {
			return 0
		}
		return int(v[0].(float64))
	}
	for _, o := range offers(t, filepath.Join(small, "inbound")) {
		add := func(stage string, code int) {
			if code >= 400 && !(code == 501 && stage != "ehlo") {
				want[fmt.Sprintf("%s %d", stage, code)]++
			}
		}
		add("connect", code(o.Banner))
		add("ehlo", code(o.EHLO))
		add("mail", code(o.Mail))
		for _, r := range o.Rcpts {
			add("rcpt", r.Code)
		}
		add("end-of-data", max(code(o.Data), code(o.EOD)))
	}
	got, counts := map[string]int{}, map[uint64]int{}
	for _, file := range []string{"mainlog", "rejectlog"} {
		path := filepath.Join(small, "inbound", file)
		copies := map[uint64]int{}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p := New(parsers.Options{Location: time.UTC, Path: path})
		for line := range bytes.Lines(text) {
			p.Parse(&parsers.Entry{Message: bytes.TrimSuffix(line, []byte("\n"))}, func(r *parsers.Record) {
				switch {
				case r.Kind != parsers.Rejection, string(r.ClientIP) == raw:
					return
				case r.Copy != (file == "rejectlog"):
					t.Errorf("%s: Copy is %v: %s", file, r.Copy, line)
				case r.Copy:
					if copies[r.LineHash]++; copies[r.LineHash] <= counts[r.LineHash] {
						return
					}
				default:
					counts[r.LineHash]++
				}
				got[fmt.Sprintf("%s %d", r.Stage, r.Reply.Code)]++
			})
		}
	}
	diff(t, want, got)
}
