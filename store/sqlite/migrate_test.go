package sqlite

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// structure returns the tables and indexes of a database.
func structure(t *testing.T, db *sql.DB) (list []string) {
	t.Helper()
	rows, err := db.Query(`SELECT s.name, s.type, IFNULL(c.name, ''), IFNULL(c.type, ''), IFNULL(c."notnull", 0), IFNULL(c.pk, 0),
		CASE s.type WHEN 'index' THEN IFNULL(s.sql, '') ELSE '' END
		FROM sqlite_schema AS s LEFT JOIN pragma_table_info(s.name) AS c ORDER BY 1, 3`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var columns [7]string
		into := make([]any, len(columns))
		for i := range columns {
			into[i] = &columns[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		list = append(list, strings.Join(columns[:], "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// A database of an older schema becomes what a new one is, and keeps its rows.
func TestMigrate(t *testing.T) {
	schemas, err := filepath.Glob("testdata/schema-*.sql")
	if err != nil || len(schemas) != schemaVersion-1 {
		t.Fatalf("%d schemas of the past, %v; want %d", len(schemas), err, schemaVersion-1)
	}
	fresh, _ := open(t, filepath.Join(t.TempDir(), "fresh.db"))
	want := structure(t, fresh.SQL())
	for _, name := range schemas {
		version := regexp.MustCompile(`\d+`).FindString(filepath.Base(name))
		old, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "old.db")
		raw, err := sql.Open("sqlite3", path)
		if err != nil {
			t.Fatal(err)
		}
		recipient := "INSERT INTO recipients (id, message, series, address, state, first_seen, last_seen) VALUES (7, 1, 1, 'a@x.example', 0, 1, 1);"
		if version >= "3" {
			recipient = "INSERT INTO texts VALUES (1, ''); INSERT INTO recipient_rows (id, message, series, address, state, first_seen, last_seen, troubled) VALUES (7, 1, 1, 1, 0, 1, 1, 0);"
		}
		const causes = "INSERT INTO causes (id, reply, enhanced, mta_status, stage, source, provider, signature, reason, rule%s) VALUES (3, 550, '5.1.1', '', 1, 1, %d, 'no', 'user-unknown', 'x'%s);"
		more, values := "", ""
		if version >= "3" {
			more, values = ", decided, confidence", ", 1, 2"
			recipient += "INSERT INTO line_hashes VALUES (1, 5, X'0700000001000080');"
		}
		if version >= "6" {
			recipient = strings.Replace(recipient, "(1, 5, X'0700000001000080')", fmt.Sprintf("(1, 5, %d, X'0700000001000080')", plainPart), 1)
			recipient += "INSERT INTO kinds VALUES (3, 550, '5.1.1', '', 1, 1, 'no', 'user-unknown', 'x', 1, 2); INSERT INTO cause_rows VALUES (3, 2, 3), (4, 1, 3);"
		} else {
			recipient += fmt.Sprintf(causes, more, 2, values) + strings.Replace(fmt.Sprintf(causes, more, 1, values), "(3,", "(4,", 1)
		}
		if _, err := raw.Exec(string(old) + "; PRAGMA user_version = " + version + "; PRAGMA application_id = 1835426914;" +
			"INSERT INTO names VALUES (1, ''), (2, 'x.example');" + recipient +
			"INSERT INTO meta VALUES ('rules', 'old')"); err != nil {
			t.Fatal(err)
		}
		raw.Close()
		if _, err := OpenReadOnly(path); err == nil || !strings.Contains(err.Error(), "`mailfail ingest`") {
			t.Errorf("schema %s: %v; want advice", version, err)
		}
		db, w := open(t, path)
		begin(t, w)
		if _, err := w.Name([]byte("y.example")); err != nil {
			t.Fatal(err)
		}
		w.AddLineHashes(1, 5, []uint32{9, 3})
		lines, err := w.LineHashes(1, 5)
		if err != nil {
			t.Fatal(err)
		}
		if want := []uint32{7, 1<<31 + 1, 3, 9}; version >= "3" && !slices.Equal(lines, want) {
			t.Errorf("schema %s: lines %d, want %d", version, lines, want)
		}
		commit(t, w)
		if n := one(t, db, "SELECT count(*) FROM causes WHERE reply = 550 AND reason = 'user-unknown' AND id - 2 = 3 - provider AND signature = 'no'"); n != 2 {
			t.Errorf("schema %s: %d causes, want 2", version, n)
		}
		if n := one(t, db, "SELECT count(*) FROM kinds"); n != 1 {
			t.Errorf("schema %s: %d kinds of causes, want 1", version, n)
		}
		if got := structure(t, db.SQL()); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("schema %s became\n%s\nwant\n%s", version, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if n := one(t, db, "SELECT (SELECT count(*) FROM recipients WHERE id = 7) + (SELECT count(*) FROM names)"); n != 4 {
			t.Errorf("schema %s: rows are missing, %d of 4", version, n)
		}
		if _, err := OpenReadOnly(path); err != nil {
			t.Error(err)
		}
	}
}
