package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"mailfail/ingest"
	"mailfail/ingest/source"
	_ "mailfail/parsers/all"
	"mailfail/parsers/parserstest/sites"
	"mailfail/registry"
	"mailfail/report/investigate"
	"mailfail/store"
	"mailfail/store/sqlite"
)

// writeLogs writes the logs of a site into a folder, one file for each host.
func writeLogs(s *sites.Site, dir, mta string, until time.Time) error {
	for _, host := range s.Hosts {
		f, err := os.Create(filepath.Join(dir, host+".log"))
		if err != nil {
			return err
		}
		if err := errors.Join(s.WriteLog(f, mta, host, until), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// fromLogs investigates the logs of a site as the command does.
func fromLogs(s *sites.Site, mta string, since, until time.Time) (*investigate.Result, error) {
	dir, err := os.MkdirTemp("", "measure")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := writeLogs(s, dir, mta, until); err != nil {
		return nil, err
	}
	db, err := sqlite.OpenTemporary()
	if err != nil {
		return nil, err
	}
	defer db.Close()
	ctx := context.Background()
	for _, host := range s.Hosts { // Exim's log does not name its host
		families, errs := source.Expand([]string{filepath.Join(dir, host+".log")})
		if len(errs) > 0 {
			return nil, errs[0]
		}
		opt := ingest.Options{Format: "auto", Host: host, Location: time.UTC, Whole: true}
		if _, err := ingest.Run(ctx, db, registry.DefaultRules(), families, opt); err != nil {
			return nil, err
		}
	}
	return investigate.Run(ctx, db, investigate.Options{
		Window:   store.Window{Since: since, Until: until},
		Silent:   true,
		Location: time.UTC,
	})
}
