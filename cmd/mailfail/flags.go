package main

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mailfail/ingest"
	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
)

// logFlags are the flags of every command that reads logs.
type logFlags struct {
	format    string
	year      int
	zone      string // of the times shown
	logZone   string // of logs that do not name one
	host      string
	rules     string
	keep      ingest.Keep             // of commands that write to the database
	anonymize string                  // for commands that read
	submitted func(*store.Submission) // receives who submits mail, while logs are read
	quiet     bool
	verbose   bool
}

func (f *logFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.format, "log-format", "auto", "format of the logs: auto, "+formatList())
	flags.IntVar(&f.year, "year", 0,
		"year of the first line of logs that do not name one (else from the file's time)")
	flags.StringVar(&f.logZone, "log-tz", "", "time zone of logs that do not name one (else the local one)")
	flags.StringVar(&f.host, "log-host", "", "host of logs that do not name one (else this host)")
	flags.StringVar(&f.rules, "rules", "",
		"file of rules for the reasons of failures, asked before the built-in ones (else $MAILFAIL_RULES)")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "no progress bar, no remarks")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print the counts of each file")
}

// given returns the flags for reading logs, for another command line.
func (f *logFlags) given() (words []string) {
	if f.format != "auto" {
		words = append(words, "--log-format", f.format)
	}
	if f.year != 0 {
		words = append(words, "--year", strconv.Itoa(f.year))
	}
	for _, flag := range [][2]string{{"--log-tz", f.logZone}, {"--log-host", f.host}, {"--rules", f.rules}} {
		if flag[1] != "" {
			words = append(words, flag[0], flag[1])
		}
	}
	return words
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

// options turns the flags into the options of ingest.
func (f *logFlags) options() (ingest.Options, error) {
	opt := ingest.Options{Format: f.format, Year: f.year, Host: f.host, Keep: f.keep}
	known := f.format == "auto"
	for _, format := range parsers.Formats() {
		known = known || f.format == format.Name
	}
	if !known {
		return opt, unknownValue("--log-format", f.format, append([]string{"auto"}, formatNames()...))
	}
	if f.year != 0 && (f.year < 1980 || f.year > 9999) {
		return opt, usageError("--year must be from 1980 to 9999, not %d", f.year)
	}
	var err error
	if opt.Location, err = location("--log-tz", f.logZone); err != nil {
		return opt, err
	}
	if opt.Host == "" {
		opt.Host, _ = os.Hostname() // without one the host stays unknown
	}
	return opt, nil
}

// loadRules returns the rules that classify failures. Stored failures were classified
// by the rules of the last run, and are classified again when the rules change: one
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
func location(flag, name string) (*time.Location, error) {
	if name == "" || name == "local" {
		return time.Local, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, usageError("%s %q: %v (a name like Europe/Berlin, or UTC)", flag, name, err)
	}
	return loc, nil
}

// addNumbersFlags adds the flags of a command that reads FILEs or the database.
func addNumbersFlags(cmd *cobra.Command, logs *logFlags, dbPath *string) {
	logs.add(cmd.Flags())
	addAnonymize(cmd.Flags(), &logs.anonymize)
	cmd.Flags().StringVar(dbPath, "db", "",
		"the database, when there is no FILE (else $MAILFAIL_DB, else /var/lib/mailfail/mailfail.db or "+
			"your state directory)")
	cmd.Flags().StringVar(&logs.zone, "tz", "",
		"time zone of days and of the times shown (else the local one; --log-tz is that of logs)")
}

// outputFlags describe the form of the output, and where to write it.
type outputFlags struct {
	format  string
	formats []string
	path    string
	noColor bool
}

func (f *outputFlags) add(flags *pflag.FlagSet, formats ...string) {
	f.formats = formats
	flags.StringVar(&f.format, "format", formats[0], "form of the output: "+strings.Join(formats, ", "))
	flags.StringVar(&f.path, "output", "", "write to this file, which is replaced when all is done")
	flags.BoolVar(&f.noColor, "no-color", false, "no colours, no bold print")
}

func (f *outputFlags) check() error {
	for _, known := range f.formats {
		if f.format == known {
			return nil
		}
	}
	return unknownValue("--format", f.format, f.formats)
}
