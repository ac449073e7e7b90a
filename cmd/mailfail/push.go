package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mailfail/store/clickhouse"
	"mailfail/store/sqlite"
	"mailfail/templates"
)

// pushFlags are the flags of push.
type pushFlags struct {
	path, to, anonymize string
	every               time.Duration
	quiet               bool
}

func pushCommand() *cobra.Command {
	var f pushFlags
	cmd := &cobra.Command{
		Use:   "push",
		Short: "Send what is new in the database to that of many hosts",
		Long: `Push sends the rows of the database that are not there yet to a ClickHouse that
many hosts share; "mailfail db init" makes its tables. The database stays what it
is: it knows what was sent, and keeps what was not while the server is away. It
does not matter how often, in which pieces or how late something is sent, nor
what ends a push midway: nothing is lost, nothing counts twice.

The server is clickhouse://user@host:8443/database, or clickhouse+http://… without
TLS. The password is read from $` + clickhouse.PasswordVariable + `, or from the file
that $` + clickhouse.PasswordFileVariable + ` names; $` + clickhouse.CAVariable + `
names a file of certificates (PEM) that the server's has to be signed by. The same
URL and variables serve "mailfail report --db" and all commands that read.`,
		Example: `  mailfail push --to clickhouse://mailfail@ch.example.org:8443/mailfail
  mailfail push --to clickhouse://mailfail@ch.example.org:8443/mailfail --every 1m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.path, "db", "",
		"the database (else $MAILFAIL_DB, else /var/lib/mailfail/mailfail.db or your state directory)")
	flags.StringVar(&f.to, "to", "", "where to: clickhouse://user@host:8443/database")
	flags.DurationVar(&f.every, "every", 0, "go on, and send what is new at this interval (else once)")
	addAnonymize(flags, &f.anonymize)
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "do not print what was sent")
	return cmd
}

func (f *pushFlags) run(cmd *cobra.Command) error {
	if f.to == "" {
		return usageError("--to is required: clickhouse://user@host:8443/database")
	}
	if f.every < 0 || f.every > 0 && f.every < time.Second {
		return usageError("--every must be %v or more, not %v", time.Second, f.every)
	}
	path, err := databasePath(f.path)
	if err != nil {
		return err
	}
	ro, err := sqlite.OpenReadOnly(path) // does not create a database
	if err != nil {
		return err
	}
	ro.Close()
	p, err := newPusher(cmd, "--to", f.to, path, f.anonymize)
	if err != nil {
		return err
	}
	defer p.close()
	send := func(ctx context.Context) error {
		n, err := p.send(ctx)
		if err == nil && n.Rows > 0 && !f.quiet {
			fmt.Fprintf(cmd.OutOrStdout(), "%s rows sent to %s\n", templates.Count(n.Rows), p.client)
		}
		return err
	}
	if f.every == 0 {
		return send(cmd.Context())
	}
	pushLoop(cmd.Context(), f.every, send, warner(cmd))
	return nil
}

// pusher sends new rows of a database to the database of many hosts.
type pusher struct {
	client *clickhouse.Client
	db     *sqlite.DB
	opt    clickhouse.PushOptions
}

// newPusher returns a pusher of a database to the URL of a flag. It has its own
// connection and may be used beside a writer.
func newPusher(cmd *cobra.Command, flag, url, path, anonymize string) (*pusher, error) {
	client, err := newClient(flag, url)
	if err != nil {
		return nil, err
	}
	names, err := anonymizer(anonymize, path)
	if err != nil {
		return nil, err
	}
	p := &pusher{client: client}
	p.opt.Host, _ = os.Hostname() // without one it stays unknown
	if names != nil {
		p.opt.Hide, p.opt.Host = names.Row, names.Name(p.opt.Host)
	}
	p.db, err = openDatabase(cmd, path, warner(cmd))
	return p, err
}

func (p *pusher) close() error { return p.db.Close() }

func (p *pusher) send(ctx context.Context) (clickhouse.Pushed, error) {
	return clickhouse.Send(ctx, p.client, p.db, p.opt)
}

// pushLoop sends at an interval until ctx is done. It reports an error once, when it
// begins: rows that wait are sent when the server is back.
func pushLoop(ctx context.Context, every time.Duration, send func(context.Context) error,
	report func(error)) {
	said := ""
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := send(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			said = ""
		case err.Error() != said:
			said = err.Error()
			report(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// newClient returns a client for the URL of a flag.
func newClient(flag, url string) (*clickhouse.Client, error) {
	if !clickhouse.IsURL(url) {
		return nil, usageError("%s %q: want clickhouse://user@host:8443/database", flag, url)
	}
	c, err := clickhouse.NewClient(url, os.Getenv)
	if err != nil {
		return nil, usageError("%s: %w", flag, err)
	}
	return c, nil
}
