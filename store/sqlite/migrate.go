package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations bring a database to the next schema, by the one it has.
var migrations = map[int]string{
	1: `ALTER TABLE recipients ADD COLUMN exact_cause INTEGER;
		ALTER TABLE attempts ADD COLUMN exact INTEGER;
		ALTER TABLE attempts ADD COLUMN own_cause INTEGER;
		ALTER TABLE attempts ADD COLUMN pair INTEGER;
		CREATE INDEX attempts_pair ON attempts (pair, time) WHERE pair IS NOT NULL;
		CREATE INDEX attempts_exact ON attempts (time) WHERE exact IS NOT NULL;
		CREATE TABLE connections (
			minute INTEGER NOT NULL, series INTEGER NOT NULL, cause INTEGER NOT NULL, session TEXT NOT NULL,
			n INTEGER NOT NULL, messages INTEGER NOT NULL, text TEXT NOT NULL,
			PRIMARY KEY (minute, series, cause, session)
		) WITHOUT ROWID;`,
}

// migrate creates the tables of a new database and brings those of an old one
// up to date.
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
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer conn.ExecContext(ctx, "ROLLBACK") // after COMMIT it does nothing
	// Another process may have been faster.
	if version, err = userVersion(ctx, conn); err != nil {
		return err
	}
	if version == 0 {
		return createTables(ctx, conn)
	}
	for ; version < schemaVersion; version++ {
		if _, err := conn.ExecContext(ctx, migrations[version]); err != nil {
			return fmt.Errorf("bring it from schema %d to %d: %w", version, version+1, err)
		}
	}
	_, err = conn.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; COMMIT", schemaVersion))
	return err
}

// createTables makes an empty file a database, within a transaction that it
// commits.
func createTables(ctx context.Context, conn *sql.Conn) error {
	var tables int
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if tables > 0 {
		return errForeign
	}
	_, err := conn.ExecContext(ctx, fmt.Sprintf("%s; INSERT INTO names VALUES (1, ''); PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT",
		schema, schemaVersion, applicationID))
	return err
}

// oldSchema is the error of a database of an older version.
type oldSchema int

func (v oldSchema) Error() string {
	return fmt.Sprintf("it has schema %d, this mailfail needs %d: `mailfail ingest` and `follow` bring it up to date", int(v), schemaVersion)
}
