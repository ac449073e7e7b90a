package ingest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"mailfail/registry"
	"mailfail/store/sqlite/sqlitetest"
)

// truth is what truth.json says of a set of generated Exchange logs.
type truth struct {
	Totals struct {
		Recipients, Delivered, Bounced, Expired, Removed, Pending, Attempts, Deferrals, Failures, Deferred, Rejected, Messages int64
	}
	Domains map[string]struct {
		Recipients, Delivered, Bounced, Expired, Removed, Pending, Attempts, Deferrals, Failures, Deferred int64
	}
	Codes map[string]struct {
		Attempts, Deferrals, Failures, Recipients int64
	}
	RejectedTemporary int64 `json:"rejected_temporary"`
}

// Every set of Exchange logs gives the numbers that were noted when it was
// made.
func TestExchangeTruth(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the logs of all sets: left to the tests without -short")
	}
	sets, _ := filepath.Glob("../../shared/corpus-real/exchange/*/truth.json")
	if len(sets) == 0 {
		t.Skip("../shared/corpus-real/exchange is not here")
	}
	for _, file := range sets {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var want truth
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			db := openStore(t)
			read(t, db, exchangeLogs(t, dir)...)
			got := sqlitetest.Sum(t, db)
			w := want.Totals
			// truth.json counts 5xx as rejected; DESIGN counts every refusal.
			totals := sqlitetest.Totals{Messages: w.Messages, Recipients: w.Recipients, Delivered: w.Delivered, Bounced: w.Bounced, Expired: w.Expired,
				Removed: w.Removed, Pending: w.Pending, Attempts: w.Attempts, Deferrals: w.Deferrals, Failures: w.Failures, Deferred: w.Deferred,
				Rejected: w.Rejected + want.RejectedTemporary, Handed: got.Handed}
			if got != totals {
				t.Errorf("got  %+v\nwant %+v", got, totals)
			}
			for domain, d := range want.Domains {
				n := func(query string, args ...any) int64 {
					return sqlitetest.Int(t, db, query+" AND s.domain = (SELECT id FROM names WHERE text = ?)", append(args, domain)...)
				}
				state := func(st registry.State) int64 {
					return n("SELECT count(*) FROM recipients r JOIN series s ON s.id = r.series WHERE r.state = ?", st)
				}
				clean := n("SELECT sum(recipients) FROM counts r JOIN series s ON s.id = r.series WHERE 1")
				if got := clean + state(registry.StateDelivered); got != d.Delivered {
					t.Errorf("%s: %d delivered, want %d", domain, got, d.Delivered)
				}
				for st, want := range map[registry.State]int64{registry.StateBounced: d.Bounced, registry.StateExpired: d.Expired, registry.StateRemoved: d.Removed, registry.StatePending: d.Pending} {
					if got := state(st); got != want {
						t.Errorf("%s: %d in state %d, want %d", domain, got, st, want)
					}
				}
			}
			for code, c := range want.Codes {
				query := `SELECT count(*) FROM attempts a JOIN causes c ON c.id = a.cause
					WHERE trim(CASE c.reply WHEN 0 THEN '' ELSE c.reply END || ' ' || c.enhanced) = ?`
				if got := sqlitetest.Int(t, db, query, code); got != c.Attempts {
					t.Errorf("code %q: %d attempts, want %d", code, got, c.Attempts)
				}
			}
		})
	}
}

// exchangeLogs returns the logs of a set, without the truth beside them.
func exchangeLogs(t *testing.T, dir string) (logs []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) == ".csv" {
			logs = append(logs, filepath.Join(dir, e.Name()))
		}
	}
	return logs
}
