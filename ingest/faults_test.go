package ingest_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/registry"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// One stored message that cannot be read is told, and keeps no run from going on.
func TestDamagedMessage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	const deferred = "Nov 22 10:00:0%d mx1 postfix/smtp[1]: 4ABC%d: to=<u@x.example>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.3, status=deferred (Host or domain name not found)\n"
	first := strings.NewReplacer("%d", "1").Replace(deferred) + strings.NewReplacer("%d", "2").Replace(deferred)
	writeFile(t, path, []byte(first))
	database := filepath.Join(t.TempDir(), "x.db")
	db, err := sqlite.Open(database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run := func() ingest.Result {
		families, errs := source.Expand([]string{path})
		if errs != nil {
			t.Fatal(errs)
		}
		res, err := ingest.Run(t.Context(), db, registry.DefaultRules(), families, options)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	run()
	raw, err := sql.Open("sqlite3", database)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec("UPDATE open SET state = x'ff' WHERE key = ?", []byte("mx1\x004ABC1")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, []byte(first+strings.NewReplacer("%d", "1", ":00:", ":01:").Replace(deferred)+strings.NewReplacer("%d", "2", ":00:", ":01:").Replace(deferred)))
	res := run()
	if len(res.Errs) != 1 || !strings.Contains(res.Errs[0].Error(), `message "4ABC1" of host "mx1"`) {
		t.Errorf("errors %v, want one that names the message", res.Errs)
	}
	if got := sqlitetest.Sum(t, db).Attempts; got != 4 {
		t.Errorf("%d attempts, want 4", got)
	}
	if res = run(); res.Errs != nil {
		t.Errorf("it is told again: %v", res.Errs)
	}
}

// A file of which the last row shows that nothing was understood is refused with a
// reason.
func TestRefusalAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	log := "#Software: Microsoft Exchange Server\n#Log-type: Message Tracking Log\n" +
		"#Fields: date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id," +
		"internal-message-id,message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address," +
		"reference,message-subject,sender-address,return-path,message-info\n" +
		strings.Repeat("2026-11-22T10:00:00.000Z,192.0.2.1,ex1,192.0.2.2,\"ex1\n", 5)
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	families, errs := source.Expand([]string{path})
	if errs != nil {
		t.Fatal(errs)
	}
	opt := options
	opt.Whole = true
	res, err := ingest.Run(t.Context(), openStore(t), registry.DefaultRules(), families, opt)
	if err != nil || len(res.Files) != 1 {
		t.Fatalf("%v, %d files", err, len(res.Files))
	}
	if f := &res.Files[0]; f.NotUnderstood() != (f.Refusal != "") {
		t.Errorf("not understood: %v, refusal %q, lines %+v", f.NotUnderstood(), f.Refusal, f.Lines)
	} else if !f.NotUnderstood() {
		t.Errorf("lines %+v were understood", f.Lines)
	}
}
