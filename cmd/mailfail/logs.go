package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"mailfail/ingest"
	"mailfail/ingest/source"
	_ "mailfail/parsers/all"
	"mailfail/store/sqlite"
	"mailfail/templates"
)

// findLogs returns the named logs, or those in the usual places. failed is the error
// that the command returns at its end when some could not be found.
func findLogs(cmd *cobra.Command, args []string, quiet bool) (families []source.Family, failed, err error) {
	if len(args) == 0 {
		families = source.Usual()
		if len(families) == 0 {
			return nil, nil, usageError("cannot find a log in the usual places (%s); name a FILE",
				strings.Join(source.UsualPlaces(), ", "))
		}
		if !quiet {
			var names []string
			for _, f := range families {
				names = append(names, f.Name)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "reading %s\n", strings.Join(names, ", "))
		}
		return families, nil, nil
	}
	families, errs := source.Expand(args)
	for _, e := range errs {
		warn(cmd, e)
		failed = errSaid
	}
	if len(families) == 0 && failed == nil {
		warn(cmd, fmt.Errorf("there is no file in %s", templates.Printable(strings.Join(args, ", "))))
		failed = errSaid
	}
	return families, failed, nil
}

// worse returns b, or a when b is nil: the graver of two errors to end a command with.
func worse(a, b error) error {
	if b != nil {
		return b
	}
	return a
}

// errSaid ends a command with exit code 1 when all errors have been printed.
var errSaid = &exitError{code: 1}

// readLogs reads the files into the database, and prints on standard error what was
// wrong with them. err ends the command. failed is set when only single files were not
// read; the command returns it after it has done the rest.
func readLogs(cmd *cobra.Command, db *sqlite.DB, flags *logFlags,
	families []source.Family) (res ingest.Result, failed, err error) {
	opt, err := flags.options()
	if err != nil {
		return res, nil, err
	}
	rules, err := flags.loadRules()
	if err != nil {
		return res, nil, err
	}
	opt.Whole = db.Path() == "" // one run only: an unfinished last line will not be completed
	bar := progressBar{w: cmd.ErrOrStderr()}
	if !flags.quiet && isTerminal(cmd.ErrOrStderr()) {
		opt.Progress = bar.reading
	}
	res, err = ingest.Run(cmd.Context(), flags.watched(db), rules, families, opt)
	bar.clear()
	say := onceOfFiles(warner(cmd))
	for _, e := range res.Errs {
		say(e)
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
		kept := "the database keeps the lines read so far"
		if db.Path() == "" {
			kept = "nothing was kept"
		}
		err = &exitError{1, errors.New("interrupted; " + kept)}
	}
	return res, failed, err
}

// refuse prints which of the named files are not logs, and reports whether there were
// any. It does not name other files in a directory, unless nothing in the directory is
// a log.
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
		warn(cmd, fmt.Errorf("read %s: %s; no other file there is a log either",
			templates.Printable(first.Path),
			first.Refusal))
		refused = true
	}
	return refused
}

// describe prints the counts of a file.
func describe(w io.Writer, f *ingest.File) {
	fmt.Fprintf(w, "%s: %d lines, %d understood, %d of no interest, %d not understood",
		templates.Printable(f.Path),
		f.Lines.Read, f.Lines.Understood, f.Lines.Irrelevant, f.Lines.Unparsed)
	for _, s := range f.Seen {
		fmt.Fprintf(w, "; %s %d (%.1f %% known)", s.Format.Name, s.Lines,
			100*float64(s.Known)/float64(max(1, s.Lines)))
	}
	fmt.Fprintln(w)
	for _, s := range f.Samples {
		fmt.Fprintf(w, "  line %d not understood: %s\n", s.Line, templates.Printable(s.Text))
	}
}
