package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"mailfail/report/web"
	"mailfail/templates"
)

// serveFlags are the flags of serve that no other command has.
type serveFlags struct {
	listen            string
	users             string
	certificate, key  string
	names             []string
	withoutPasswords  bool
	interval          time.Duration
	rules, zone, path string
	anonymize         string
}

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "A dashboard, and metrics for Prometheus",
		Long: `Serve shows the database in a browser: problems, rates, who waits, failures and
their explanations, kept up to date while logs are read. It does not write.
/metrics is for Prometheus, /api/report is the JSON of "mailfail report", /healthz
reports whether the database can be read.

It listens on this host alone unless --listen names another address; then --users
FILE is needed, lines of "htpasswd -B", and --tls-cert with --tls-key, unless a
proxy in front of it handles both (--no-users). A socket (unix:PATH) is for a
proxy on this host.`,
		Example: `  mailfail serve
  mailfail serve --listen unix:/run/mailfail/serve.sock
  mailfail serve --listen :8525 --users /etc/mailfail/users --tls-cert cert.pem --tls-key key.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.path, "db", "",
		"the database (else $MAILFAIL_DB, else /var/lib/mailfail/mailfail.db or your state directory)")
	addAnonymize(flags, &f.anonymize)
	flags.StringVar(&f.listen, "listen", "localhost:8525", "address and port, or unix:PATH")
	flags.StringVar(&f.users, "users", "", "file of the users who may read, as htpasswd -B writes it")
	flags.BoolVar(&f.withoutPasswords, "no-users", false, "let anybody read who reaches the address")
	flags.StringVar(&f.certificate, "tls-cert", "", "file with the certificate (PEM)")
	flags.StringVar(&f.key, "tls-key", "", "file with its key (PEM)")
	flags.StringSliceVar(&f.names, "name", nil,
		"name by which a proxy or browsers ask for a server that listens on this host alone")
	flags.DurationVar(&f.interval, "interval", 5*time.Second, "time between looks for something new")
	flags.StringVar(&f.rules, "rules", "", "file of rules for explanations (else $MAILFAIL_RULES)")
	flags.StringVar(&f.zone, "tz", "", "time zone of days and of the times shown (else the local one)")
	return cmd
}

func (f *serveFlags) run(cmd *cobra.Command) error {
	opt, err := f.options()
	if err != nil {
		return err
	}
	rules := logFlags{rules: f.rules}
	if opt.Rules, err = rules.loadRules(); err != nil {
		return err
	}
	path, err := keptPath(f.path)
	if err != nil {
		return err
	}
	db, key, err := openKept(cmd.Context(), path)
	if err != nil {
		return err
	}
	defer db.Close()
	names, err := anonymizer(f.anonymize, key)
	if err != nil {
		return err
	}
	opt.DB = anonymized(db, names)
	var mu sync.Mutex
	opt.Warn = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		warn(cmd, err)
	}
	handler, err := web.New(opt)
	if err != nil {
		return err
	}
	listener, err := f.listenAt()
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "serving %s\n", templates.Printable(f.address(listener)))
	return serve(cmd.Context(), handler, listener)
}

// options turns the flags into the options of the server. It refuses flags that would
// let strangers read.
func (f *serveFlags) options() (opt web.Options, err error) {
	opt.Interval = max(f.interval, time.Second)
	if opt.Location, err = location("--tz", f.zone); err != nil {
		return opt, err
	}
	if (f.certificate == "") != (f.key == "") {
		return opt, usageError("--tls-cert and --tls-key must be given together")
	}
	if f.users != "" {
		file, err := os.Open(f.users)
		if err != nil {
			return opt, fmt.Errorf("cannot read the users: %w", err)
		}
		defer file.Close()
		if opt.Users, err = web.ReadUsers(file); err != nil {
			return opt, fmt.Errorf("cannot read the users in %s: %w", f.users, err)
		}
	}
	local, err := f.local()
	switch {
	case err != nil:
		return opt, err
	case !local && opt.Users == nil && !f.withoutPasswords:
		return opt, usageError(
			"--listen %s is open to other hosts; add --users FILE, or --no-users to allow everybody",
			f.listen)
	case local && !strings.HasPrefix(f.listen, unixPrefix):
		opt.Hosts = append([]string{"localhost"}, f.names...)
	}
	return opt, nil
}
