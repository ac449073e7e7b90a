package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// migrations bring a database to the next schema; the key is the schema that it has. migrate
// runs them in one transaction. Work that takes long follows in steps, see upgrade.
var migrations = map[int]func(ctx context.Context, conn *sql.Conn) error{
	1: func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, `ALTER TABLE recipients ADD COLUMN exact_cause INTEGER;
			ALTER TABLE attempts ADD COLUMN exact INTEGER;
			ALTER TABLE attempts ADD COLUMN own_cause INTEGER;
			ALTER TABLE attempts ADD COLUMN pair INTEGER;
			CREATE TABLE connections (
				minute INTEGER NOT NULL, series INTEGER NOT NULL, cause INTEGER NOT NULL, session TEXT NOT NULL,
				n INTEGER NOT NULL, messages INTEGER NOT NULL, text TEXT NOT NULL,
				PRIMARY KEY (minute, series, cause, session)
			) WITHOUT ROWID`)
		return err
	},
	2: makeRoom,
	3: func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS feedback (
			id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, time INTEGER NOT NULL, series INTEGER NOT NULL, cause INTEGER NOT NULL,
			attempt INTEGER, sent INTEGER, sent_at INTEGER, ids TEXT NOT NULL, addresses TEXT NOT NULL, text TEXT NOT NULL, hash INTEGER UNIQUE);
			CREATE INDEX IF NOT EXISTS feedback_time ON feedback (time)`)
		return err
	},
	4: addVolumes,
	5: pack,
	// An earlier program would not remove the sums by hour of a day that it adds to. Tidy
	// makes these sums.
	6: func(context.Context, *sql.Conn) error { return nil },
}

// pack gives the lines that were read, and causes, the form of schema 6. A database that had
// schema 2 has this form already, from makeRoom.
func pack(ctx context.Context, conn *sql.Conn) error {
	var has int
	err := conn.QueryRowContext(ctx, "SELECT count(*) FROM pragma_table_info('line_hashes') WHERE name = 'part'").Scan(&has)
	if err != nil || has > 0 {
		return err
	}
	for _, view := range []string{"messages", "recipients", "attempts", "rejections", "failures"} {
		if _, err := conn.ExecContext(ctx, "DROP VIEW IF EXISTS "+view); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, fmt.Sprintf(`ALTER TABLE line_hashes RENAME TO old_line_hashes;
		CREATE TABLE line_hashes (log INTEGER NOT NULL, minute INTEGER NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (log, minute, part)) WITHOUT ROWID;
		INSERT INTO line_hashes SELECT log, minute, %d, data FROM old_line_hashes;
		DROP TABLE old_line_hashes;
		CREATE TABLE lookup_blocks (run INTEGER NOT NULL, first INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (run, first)) WITHOUT ROWID;
		ALTER TABLE causes RENAME TO old_causes;
		CREATE TABLE cause_rows (id INTEGER PRIMARY KEY, provider INTEGER NOT NULL, kind INTEGER NOT NULL);
		CREATE TABLE kinds (id INTEGER PRIMARY KEY, reply INTEGER NOT NULL, enhanced TEXT NOT NULL, mta_status TEXT NOT NULL,
			stage INTEGER NOT NULL, source INTEGER NOT NULL, signature TEXT NOT NULL, reason TEXT NOT NULL, rule TEXT NOT NULL,
			decided INTEGER NOT NULL, confidence INTEGER NOT NULL);
		%s;
		%s`, plainPart, splitCauses, schema[strings.Index(schema, "\nCREATE VIEW "):]))
	return err
}

// splitCauses fills cause_rows and kinds from old_causes.
const splitCauses = `INSERT INTO kinds SELECT min(id), reply, enhanced, mta_status, stage, source, signature, reason, rule, decided, confidence
	FROM old_causes GROUP BY reply, enhanced, mta_status, stage, source, signature, reason, rule, decided, confidence;
	INSERT INTO cause_rows SELECT id, provider, min(id) OVER (PARTITION BY reply, enhanced, mta_status, stage, source, signature, reason, rule, decided, confidence)
	FROM old_causes;
	DROP TABLE old_causes`

// addVolumes adds the column and the table for what is counted since schema 5. A database
// that had schema 2 has them already, from makeRoom.
func addVolumes(ctx context.Context, conn *sql.Conn) error {
	var has int
	err := conn.QueryRowContext(ctx, "SELECT count(*) FROM pragma_table_info('submissions') WHERE name = 'bytes'").Scan(&has)
	if err != nil || has > 0 {
		return err
	}
	_, err = conn.ExecContext(ctx, `ALTER TABLE submissions ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
		CREATE TABLE volumes (hour INTEGER NOT NULL, host INTEGER NOT NULL, measure INTEGER NOT NULL, value INTEGER NOT NULL,
			n INTEGER NOT NULL, bytes INTEGER NOT NULL, millis INTEGER NOT NULL, PRIMARY KEY (hour, host, measure, value)) WITHOUT ROWID`)
	return err
}

// makesRoom is the last schema from which all rows are copied to new tables.
const makesRoom = 2

// migrate creates the tables of a new database, or brings those of an old one to the current
// schema. upgrade copies the old rows afterwards.
func (db *DB) migrate() error {
	ctx := context.Background()
	conn, err := db.rw.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	version, err := userVersion(ctx, conn)
	if err != nil {
		return err
	}
	if version != 0 {
		err := checkVersion(conn)
		if _, old := err.(oldSchema); !old {
			return err
		}
		if version <= makesRoom {
			if err := db.checkSpace(ctx, conn); err != nil {
				return err
			}
		}
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer conn.ExecContext(ctx, "ROLLBACK") // after COMMIT it does nothing
	// Another process may have migrated in the meantime.
	if version, err = userVersion(ctx, conn); err != nil {
		return err
	}
	if version == 0 {
		return createTables(ctx, conn)
	}
	for ; version < schemaVersion; version++ {
		if err := migrations[version](ctx, conn); err != nil {
			return fmt.Errorf("bring it from schema %d to %d: %w", version, version+1, err)
		}
	}
	_, err = conn.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; COMMIT", schemaVersion))
	return err
}

// createTables creates the tables of a database in an empty file, within a transaction that
// it commits. It returns errForeign when the file has tables.
func createTables(ctx context.Context, conn *sql.Conn) error {
	var tables int
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if tables > 0 {
		return errForeign
	}
	_, err := conn.ExecContext(ctx, fmt.Sprintf("%s; INSERT INTO names VALUES (1, ''); %s; PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT",
		schema, firstRows, schemaVersion, applicationID))
	return err
}

// firstRows are the rows of a new database. Its origin distinguishes it from all others.
const firstRows = "INSERT INTO texts VALUES (1, ''); INSERT OR REPLACE INTO meta VALUES ('origin', lower(hex(randomblob(16))))"

// oldSchema is the error of a database that has an older schema.
type oldSchema int

func (v oldSchema) Error() string {
	return fmt.Sprintf("it has schema %d, this mailfail needs %d: `mailfail ingest` and `follow` bring "+
		"it up to date", int(v), schemaVersion)
}

// checkSpace returns an error when the disk has less free space than the database takes:
// during an upgrade the file holds all rows twice.
func (db *DB) checkSpace(ctx context.Context, conn *sql.Conn) error {
	var size int64
	if err := conn.QueryRowContext(ctx, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&size); err != nil {
		return err
	}
	if free, ok := freeSpace(filepath.Dir(db.path)); ok && free < size {
		return fmt.Errorf("bring it up to date: %d MB of space are needed, %d MB are free: free some and "+
			"run again", size>>20+1, free>>20)
	}
	return nil
}

// makeRoom renames the tables of schema 2 that have another form since schema 3, creates the
// new ones, and fills the dictionaries.
func makeRoom(ctx context.Context, conn *sql.Conn) error {
	for _, index := range []string{"messages_queue_id", "messages_message_id", "recipients_message",
		"recipients_last_seen", "recipients_address",
		"attempts_time", "attempts_pair", "attempts_exact", "attempts_recipient", "rejections_time",
		"rejections_line"} {
		if _, err := conn.ExecContext(ctx, "DROP INDEX IF EXISTS "+index); err != nil {
			return err
		}
	}
	for _, table := range []string{"series", "causes", "counts", "messages", "recipients", "attempts",
		"rejections"} {
		if _, err := conn.ExecContext(ctx,
			fmt.Sprintf("ALTER TABLE %s RENAME TO old_%s", table, table)); err != nil {
			return err
		}
	}
	create := schema
	for _, what := range []string{"TABLE", "INDEX", "UNIQUE INDEX", "VIEW"} {
		create = strings.ReplaceAll(create, "\nCREATE "+what+" ", "\nCREATE "+what+" IF NOT EXISTS ")
	}
	_, err := conn.ExecContext(ctx, create+"; "+firstRows+`;
		INSERT INTO series SELECT id, format, host, instance, sender, domain, relay, 0, 0 FROM old_series;
		ALTER TABLE old_causes ADD COLUMN decided INTEGER NOT NULL DEFAULT 0; ALTER TABLE old_causes ADD COLUMN confidence INTEGER NOT NULL DEFAULT 0;
		INSERT OR REPLACE INTO meta VALUES ('rules', ''), ('upgrade', '0 -1');
		INSERT OR REPLACE INTO meta SELECT 'deliveries from', CAST((max(minute) + 1) * 60000000 AS TEXT) FROM lines HAVING max(minute) > 0;
		DROP TABLE old_series; `+splitCauses)
	return err
}

// errUnfinished is the error of a database whose upgrade has begun but not ended.
var errUnfinished = fmt.Errorf(
	"it is being brought up to date, and that was interrupted: `mailfail ingest` and `follow` go on with it")

// checkUpgrade returns errUnfinished when a database is still being brought up to date.
func checkUpgrade(q querier) error {
	var n int
	if err := q.QueryRowContext(context.Background(), "SELECT count(*) FROM meta WHERE name = 'upgrade'").Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return errUnfinished
	}
	return nil
}

// upgradeBatch is how many rows upgrade copies in one transaction.
var upgradeBatch = int64(50_000)

// upgradeStep copies the rows of one old table. rows copies a batch of those with a key
// greater than after, and returns the key of the last one and the size n of the batch, 0
// when the step is done.
type upgradeStep struct {
	table, key string
	rows       func(w *Writer, after int64) (last int64, n int, err error)
}

var upgradeSteps = []upgradeStep{
	{"old_counts", "minute", (*Writer).upgradeCounts},
	{"old_messages", "id", (*Writer).upgradeMessages},
	{"old_recipients", "id", (*Writer).upgradeRecipients},
	{"old_attempts", "id", (*Writer).upgradeAttempts},
	{"old_rejections", "id", (*Writer).upgradeRejections},
	{"recipient_rows", "id", (*Writer).upgradeFirst},
}

// upgrade finishes what migrate began: it copies the rows of old tables, batch by batch, and
// stores its progress. After an interruption the next call goes on from there. progress, if
// not nil, is called with parts of a thousand.
func (db *DB) upgrade(progress func(done, total int64)) error {
	if err := checkUpgrade(db.rw); err != errUnfinished {
		return err
	}
	w, err := db.writer()
	if err != nil {
		return err
	}
	defer w.Close()
	for done := false; !done; {
		if done, err = w.upgradeSome(progress); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	// Half of the file is free now. If VACUUM fails, new rows will use the free pages.
	_, _ = db.rw.Exec("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
	return nil
}

// upgradeSome does one batch of an upgrade, and reports whether the upgrade is done.
func (w *Writer) upgradeSome(progress func(done, total int64)) (done bool, err error) {
	w.version = -1 // Begin reads the last ids again
	if _, err := w.Begin(context.Background()); err != nil {
		return false, err
	}
	state, err := w.Meta("upgrade")
	if err == nil && state == "" { // another process has finished it
		w.Rollback()
		return true, nil
	}
	var step int
	var after int64
	if err == nil {
		_, err = fmt.Sscan(state, &step, &after)
	}
	if err == nil {
		done, err = w.upgradeFrom(step, after, progress)
	}
	if err != nil {
		w.Rollback()
		return false, w.db.explain("bring up to date", err)
	}
	return done, w.Commit()
}

func (w *Writer) upgradeFrom(step int, after int64,
	progress func(done, total int64)) (done bool, err error) {
	if step == len(upgradeSteps) {
		for _, s := range upgradeSteps[:step-1] {
			w.sink.exec("DROP TABLE " + s.table)
		}
		w.sink.exec("DELETE FROM meta WHERE name = 'upgrade'")
		return true, nil
	}
	s := upgradeSteps[step]
	if progress != nil {
		end, _, err := w.find("SELECT IFNULL(max(" + s.key + "), 0) FROM " + s.table)
		if err != nil {
			return false, err
		}
		begin, _, err := w.find("SELECT IFNULL(min(" + s.key + "), 0) FROM " + s.table)
		if err != nil {
			return false, err
		}
		part := max(0, after-begin) * 1000 / max(1, end-begin)
		progress((int64(step)*1000+part)/int64(len(upgradeSteps)), 1000)
	}
	last, n, err := s.rows(w, after)
	if n == 0 {
		step, last = step+1, -1
	}
	w.PutMeta("upgrade", fmt.Sprint(step, last))
	return false, err
}

// upgradeCounts copies the counts of whole hours.
func (w *Writer) upgradeCounts(after int64) (last int64, n int, err error) {
	last = after
	err = w.each(`SELECT minute, series, delivered, recipients, suspended, handed, messages FROM old_counts WHERE minute > ?1 AND minute <
		IFNULL((SELECT minute / 60 * 60 + 60 FROM old_counts WHERE minute > ?1 ORDER BY minute LIMIT 1 OFFSET ?2), 1 << 62) ORDER BY minute`,
		func(r *sql.Rows) error {
			var minute, series int64
			var c [5]int64
			err := r.Scan(&minute, &series, &c[0], &c[1], &c[2], &c[3], &c[4])
			last = minute
			n++
			w.enter(int32(minute), series, 0, [fields]int64{c[0], c[1], c[2], c[3], c[4]})
			return err
		}, after, upgradeBatch)
	return last, n, err
}

func (w *Writer) upgradeMessages(after int64) (last int64, n int, err error) {
	err = w.each(`SELECT id, format, host, instance, queue_id, message_id, sender, client, client_ip, size, first_seen
		FROM old_messages WHERE id > ? ORDER BY id LIMIT ?`, func(r *sql.Rows) error {
		var format, host, instance, size, first int64
		var queueID, messageID, client, clientIP string
		var sender sql.NullString
		if err := r.Scan(&last, &format, &host, &instance, &queueID, &messageID, &sender, &client, &clientIP,
			&size, &first); err != nil {
			return err
		}
		n++
		id := last
		w.later(func() error {
			t, err := w.textIDs(sender.String, client, clientIP)
			w.sink.exec(`INSERT INTO message_rows (id, format, host, instance, queue_id, message_id, sender, client, client_ip, account, size, first_seen, own)
				VALUES (?,?,?,?,?,?,?,?,?,1,?,?,0)`, id, format, host, instance, queueID, messageID, nullable(t[0], sender.Valid), t[1], t[2], size, first)
			w.findMessage(queueID, first, id)
			w.findMessage(messageID, first, id)
			return err
		})
		return nil
	}, after, upgradeBatch)
	return last, n, errors.Join(err, w.now())
}

func (w *Writer) upgradeRecipients(after int64) (last int64, n int, err error) {
	err = w.each(`SELECT id, message, series, address, state, first_seen, last_seen, final_at, cause, exact_cause
		FROM old_recipients WHERE id > ? ORDER BY id LIMIT ?`, func(r *sql.Rows) error {
		var message, series, state, first, seen int64
		var address string
		var final, cause, exact sql.NullInt64
		if err := r.Scan(&last, &message, &series, &address, &state, &first, &seen, &final, &cause,
			&exact); err != nil {
			return err
		}
		n++
		id := last
		w.later(func() error {
			text, err := w.text(address)
			w.sink.exec(`INSERT INTO recipient_rows (id, message, series, address, state, first_seen, last_seen, final_at, cause, exact_cause, troubled)
				VALUES (?,?,?,?,?,?,?,?,?,?,?)`, id, message, series, text, state, first, seen,
				nullable(final.Int64, final.Valid), nullable(cause.Int64, cause.Valid),
				nullable(exact.Int64, exact.Valid), cause.Valid)
			w.findMessage(address, first, message)
			return err
		})
		return nil
	}, after, upgradeBatch)
	return last, n, errors.Join(err, w.now())
}

func (w *Writer) upgradeAttempts(after int64) (last int64, n int, err error) {
	err = w.each(`SELECT id, time, recipient, series, outcome, cause, service, ip, delay, text, exact, own_cause, pair
		FROM old_attempts WHERE id > ? ORDER BY id LIMIT ?`, func(r *sql.Rows) error {
		var time, recipient, series, outcome, cause, service int64
		var ip, text string
		var delay, exact, own, pair sql.NullInt64
		if err := r.Scan(&last, &time, &recipient, &series, &outcome, &cause, &service, &ip, &delay, &text,
			&exact, &own, &pair); err != nil {
			return err
		}
		n++
		id := last
		w.later(func() error {
			t, err := w.textIDs(ip, text)
			w.sink.exec(`INSERT INTO attempt_rows (id, time, recipient, series, outcome, cause, service, ip, delay, text, first, exact, own_cause, pair)
				VALUES (?,?,?,?,?,?,?,?,?,?,0,?,?,?)`, id, time, recipient, series, outcome, cause, service, t[0], nullable(delay.Int64, delay.Valid), t[1],
				nullable(exact.Int64, exact.Valid), nullable(own.Int64, own.Valid),
				nullable(pair.Int64, pair.Valid))
			return err
		})
		return nil
	}, after, upgradeBatch)
	return last, n, errors.Join(err, w.now())
}

func (w *Writer) upgradeRejections(after int64) (last int64, n int, err error) {
	err = w.each(`SELECT id, time, series, cause, service, queue_id, client, client_ip, sender, recipient, text, line_hash, n, n_main, n_copy
		FROM old_rejections WHERE id > ? ORDER BY id LIMIT ?`, func(r *sql.Rows) error {
		var time, series, cause, service, times, main, copied int64
		var queueID, client, clientIP, recipient, text string
		var sender sql.NullString
		var hash sql.NullInt64
		if err := r.Scan(&last, &time, &series, &cause, &service, &queueID, &client, &clientIP, &sender,
			&recipient, &text, &hash, &times, &main, &copied); err != nil {
			return err
		}
		n++
		id := last
		w.later(func() error {
			t, err := w.textIDs(client, clientIP, sender.String, recipient)
			if err != nil {
				return err
			}
			line, err := w.text(text)
			if err != nil {
				return err
			}
			domain, err := w.Name([]byte(senderDomain(sender.String, sender.Valid)))
			w.sink.exec(`INSERT INTO rejection_rows (id, time, series, cause, service, queue_id, client, client_ip, sender, sender_domain, recipient, text, line_hash, n, n_main, n_copy)
				VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, id, time, series, cause, service, queueID, t[0], t[1], nullable(t[2], sender.Valid), domain, t[3], line,
				nullable(hash.Int64, hash.Valid), times, main, copied)
			if queueID != "NOQUEUE" {
				w.findRejection(queueID, time, id)
			}
			w.findRejection(recipient, time, id)
			return err
		})
		return nil
	}, after, upgradeBatch)
	return last, n, errors.Join(err, w.now())
}

// upgradeFirst marks the first attempt of each recipient for each reason.
func (w *Writer) upgradeFirst(after int64) (last int64, n int, err error) {
	end, ok, err := w.find("SELECT id FROM recipient_rows WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2", after, upgradeBatch)
	if err == nil && !ok {
		end, ok, err = w.find("SELECT max(id) FROM recipient_rows HAVING max(id) > ?", after)
	}
	if err != nil || !ok {
		return after, 0, err
	}
	w.sink.exec(`UPDATE attempt_rows SET first = 1 WHERE id IN (SELECT id FROM (SELECT a.id,
		row_number() OVER (PARTITION BY a.recipient, k.reason ORDER BY a.time, a.id) AS n
		FROM attempt_rows AS a JOIN causes AS k ON k.id = a.cause WHERE a.recipient > ? AND a.recipient <= ?) WHERE n = 1)`, after, end)
	return end, 1, nil
}

// later keeps f until now is called: while rows are read, the connection cannot run another
// statement.
func (w *Writer) later(f func() error) { w.postponed = append(w.postponed, f) }

func (w *Writer) now() error {
	for _, f := range w.postponed {
		if err := f(); err != nil {
			return err
		}
	}
	w.postponed = w.postponed[:0]
	return nil
}
