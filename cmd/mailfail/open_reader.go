package main

import (
	"context"
	"io"

	"mailfail/store"
	"mailfail/store/clickhouse"
	"mailfail/store/sqlite"
)

// kept is a database that is kept, for commands that read.
type kept interface {
	store.Database
	io.Closer
}

// openKept opens the database at a path, or that of a fleet by its URL. key is the path
// beside which the key of pseudonyms is stored, "" for none.
func openKept(ctx context.Context, path string) (db kept, key string, err error) {
	if !clickhouse.IsURL(path) {
		db, err := sqlite.OpenReadOnly(path)
		if err != nil {
			return nil, "", err // not an interface around nil
		}
		return db, path, nil
	}
	client, err := newClient("--db", path)
	if err != nil {
		return nil, "", err
	}
	many, err := clickhouse.Open(ctx, client)
	if err != nil {
		return nil, "", err
	}
	return many, "", nil
}
