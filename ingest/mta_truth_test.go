package ingest_test

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailfail/registry"
	"mailfail/store/sqlite/sqlitetest"
)

// jsonLines calls f with every line of a file.
func jsonLines[T any](t *testing.T, path string, f func(T)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		f(v)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
}

// fates are recipients by domain and final state.
type fates struct{ recipients, delivered int64 }

// TestRecipientsTruth compares the final states of the recipients of real
// Postfix and Exim servers with what was given to them (inject.jsonl) and what
// the other servers accepted (truth.jsonl), by domain. All other recipients
// have to be bounced or expired: every run was left to end.
func TestRecipientsTruth(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the logs of all runs: left to the tests without -short")
	}
	var runs []string
	for _, pattern := range []string{"postfix*", "exim*"} {
		found, _ := filepath.Glob("../../shared/corpus-real/" + pattern)
		runs = append(runs, found...)
	}
	if len(runs) == 0 {
		t.Skip("../shared/corpus-real is not here")
	}
	for _, run := range runs {
		logs, _ := filepath.Glob(filepath.Join(run, "*.log"))
		if main := filepath.Join(run, "mainlog"); len(logs) == 0 {
			logs = []string{main}
		}
		for _, log := range logs {
			t.Run(filepath.Base(run)+"/"+filepath.Base(log), func(t *testing.T) {
				if strings.HasSuffix(run, "-inbound") {
					t.Skip("nothing was sent to other servers")
				}
				recipientsTruth(t, run, log)
			})
		}
	}
}

func recipientsTruth(t *testing.T, run, log string) {
	want := map[string]*fates{}
	at := func(domain string) *fates {
		domain = strings.ToLower(domain)
		if want[domain] == nil {
			want[domain] = &fates{}
		}
		return want[domain]
	}
	jsonLines(t, filepath.Join(run, "inject.jsonl"), func(v struct {
		Qid   *string
		Rcpts []struct {
			Rcpt string
			Code int
		}
	}) {
		if v.Qid == nil {
			return
		}
		for _, r := range v.Rcpts {
			if _, domain, ok := strings.Cut(r.Rcpt, "@"); ok && r.Code == 250 {
				at(domain[strings.LastIndexByte(domain, '@')+1:]).recipients++
			}
		}
	})
	jsonLines(t, filepath.Join(run, "truth.jsonl"), func(v struct {
		Stage    string
		Accepted bool
		Domain   *string
		Sender   *string
	}) {
		if v.Stage == "eod" && v.Accepted && v.Domain != nil && v.Sender != nil && *v.Sender != "" {
			at(*v.Domain).delivered++
		}
	})
	db := openStore(t)
	read(t, db, log)
	for _, domain := range slices.Sorted(maps.Keys(want)) {
		if strings.HasSuffix(domain, "sender.test") {
			continue // the server's own
		}
		w := want[domain]
		if strings.Contains(run, "exim13") && domain == "dropdata.test" {
			// Exim 4.98.2 loses these: after "peer close after all rcpt
			// responses" it logs Completed, and nothing of the recipients.
			w.recipients = 0
		}
		state := func(s registry.State) int64 {
			return sqlitetest.Int(t, db, `SELECT count(*) FROM recipients r JOIN series s ON s.id = r.series JOIN names d ON d.id = s.domain
				JOIN names f ON f.id = s.sender WHERE d.text = ? AND f.text <> '<>' AND r.state = ?`, domain, s)
		}
		delivered := state(registry.StateDelivered) + sqlitetest.Int(t, db, `SELECT sum(c.recipients) FROM counts c JOIN series s ON s.id = c.series
			JOIN names d ON d.id = s.domain JOIN names f ON f.id = s.sender WHERE d.text = ? AND f.text <> '<>'`, domain)
		ended := delivered + state(registry.StateBounced) + state(registry.StateExpired)
		if delivered != w.delivered || ended != w.recipients || state(registry.StatePending) != 0 {
			t.Errorf("%s: %d delivered of %d, %d pending; want %d of %d", domain, delivered, ended, state(registry.StatePending), w.delivered, w.recipients)
		}
	}
}
