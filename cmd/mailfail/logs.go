package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/parsers"
	_ "mailfail/parsers/all"
	"mailfail/registry"
	"mailfail/store/sqlite"
	"mailfail/templates"
)

// logFlags are the flags of every command that reads logs.
type logFlags struct {
	format  string
	year    int
	zone    string
	host    string
	rules   string
	quiet   bool
	verbose bool
}

func (f *logFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.format, "log-format", "auto", "format of the logs: auto, "+formatList())
	flags.IntVar(&f.year, "year", 0, "year of the first line of logs that do not name one (else from the file's time)")
	flags.StringVar(&f.host, "log-host", "", "host of logs that do not name one (else this host)")
	flags.StringVar(&f.rules, "rules", "", "file of rules for the reasons of failures, asked before the built-in ones (else $MAILFAIL_RULES)")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "no progress bar, no remarks")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "say what was found in each file")
}

func formatList() string {
	s := ""
	for i, f := range parsers.Formats() {
		if i > 0 {
			s += ", "
		}
		s += f.Name
	}
	return s
}

// options turns the flags into what ingest wants to know.
func (f *logFlags) options() (ingest.Options, error) {
	opt := ingest.Options{Format: f.format, Year: f.year, Host: f.host}
	known := f.format == "auto"
	for _, format := range parsers.Formats() {
		known = known || f.format == format.Name
	}
	if !known {
		return opt, usageError("unknown log format %q: one of auto, %s", f.format, formatList())
	}
	if f.year != 0 && (f.year < 1980 || f.year > 9999) {
		return opt, usageError("--year %d is no year", f.year)
	}
	var err error
	if opt.Location, err = location(f.zone); err != nil {
		return opt, err
	}
	if opt.Host == "" {
		opt.Host, _ = os.Hostname() // without one the host stays unknown
	}
	return opt, nil
}

// loadRules returns the rules that failures are filed by. What is stored was
// filed by the rules of the last run, and is filed anew when they change: one
// database, one file of rules.
func (f *logFlags) loadRules() (*registry.Rules, error) {
	path := f.rules
	if path == "" {
		path = os.Getenv("MAILFAIL_RULES")
	}
	if path == "" {
		return registry.DefaultRules(), nil
	}
	return registry.LoadRules(path)
}

// location returns the time zone with a name, the local one for "".
func location(name string) (*time.Location, error) {
	if name == "" || name == "local" {
		return time.Local, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, usageError("--tz %q: %v (a name like Europe/Berlin, or UTC)", name, err)
	}
	return loc, nil
}

// databasePath is where the database is unless --db says otherwise.
func databasePath(flag string) (string, error) {
	const system = "/var/lib/mailfail/mailfail.db"
	if flag != "" {
		return flag, nil
	}
	if path := os.Getenv("MAILFAIL_DB"); path != "" {
		return path, nil
	}
	if _, err := os.Stat(system); err == nil || os.Geteuid() == 0 {
		return system, nil
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "mailfail", "mailfail.db"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usageError("no place for the database: name one with --db")
	}
	return filepath.Join(home, ".local", "state", "mailfail", "mailfail.db"), nil
}

// openDatabase opens the database to write to.
func openDatabase(flag string) (*sqlite.DB, error) {
	path, err := databasePath(flag)
	if err != nil {
		return nil, err
	}
	return sqlite.Open(path)
}

// errSaid ends a command with exit code 1 when everything was said.
var errSaid = &exitError{code: 1}

// readLogs reads the files into the database and says on standard error what
// was wrong with them. The returned error ends the command; it is nil when only
// single files were not read: then failed is what the command has to end with
// after it has done the rest.
func readLogs(cmd *cobra.Command, db *sqlite.DB, flags *logFlags, families []source.Family) (res ingest.Result, failed, err error) {
	opt, err := flags.options()
	if err != nil {
		return res, nil, err
	}
	rules, err := flags.loadRules()
	if err != nil {
		return res, nil, err
	}
	opt.Whole = db.Path() == "" // nobody comes back for the rest of a line
	bar := progressBar{w: cmd.ErrOrStderr()}
	if !flags.quiet && isTerminal(cmd.ErrOrStderr()) {
		opt.Progress = bar.show
	}
	res, err = ingest.Run(cmd.Context(), db, rules, families, opt)
	bar.clear()
	for _, e := range res.Errs {
		warn(cmd, e)
		failed = errSaid
	}
	if flags.verbose {
		for i := range res.Files {
			describe(cmd.ErrOrStderr(), &res.Files[i])
		}
	}
	if refuse(cmd, res.Files, families) {
		failed = &exitError{code: 3}
	}
	if errors.Is(err, context.Canceled) {
		err = &exitError{1, errors.New("interrupted: what was read so far is kept")}
	}
	return res, failed, err
}

// refuse says which of the files that were named are no logs. What else lies
// in a directory is not worth a word, unless nothing in it is a log.
func refuse(cmd *cobra.Command, files []ingest.File, families []source.Family) (refused bool) {
	given := map[string]bool{}
	for _, family := range families {
		for _, f := range family.Files {
			given[f.Path] = f.Given
		}
	}
	var first *ingest.File
	others, logs := 0, 0
	for i := range files {
		f := &files[i]
		switch {
		case !f.NotUnderstood():
			logs++
		case given[f.Path]:
			warn(cmd, fmt.Errorf("read %s: %s", templates.Printable(f.Path), f.Refusal))
			refused = true
		default:
			others++
			if first == nil {
				first = f
			}
		}
	}
	if others > 0 && logs == 0 {
		warn(cmd, fmt.Errorf("read %s: %s; no other file there is a log either", templates.Printable(first.Path), first.Refusal))
		refused = true
	}
	return refused
}

// describe says what was found in a file.
func describe(w io.Writer, f *ingest.File) {
	fmt.Fprintf(w, "%s: %d lines, %d understood, %d of no interest, %d not understood", templates.Printable(f.Path),
		f.Lines.Read, f.Lines.Understood, f.Lines.Irrelevant, f.Lines.Unparsed)
	for _, s := range f.Seen {
		fmt.Fprintf(w, "; %s %d (%.1f %% known)", s.Format.Name, s.Lines, 100*float64(s.Known)/float64(max(1, s.Lines)))
	}
	fmt.Fprintln(w)
	for _, s := range f.Samples {
		fmt.Fprintf(w, "  line %d not understood: %s\n", s.Line, templates.Printable(s.Text))
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// progressBar shows how much of a file is read, on one line.
type progressBar struct {
	w     io.Writer
	shown bool
}

func (b *progressBar) show(path string, read, size int64) {
	b.shown = true
	percent := ""
	if size > 0 {
		percent = fmt.Sprintf(" %3d %%", min(100, 100*read/size))
	}
	fmt.Fprintf(b.w, "\r\x1b[Kreading %s%s", templates.Printable(filepath.Base(path)), percent)
}

func (b *progressBar) clear() {
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
