package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"mailfail/report"
)

// write writes the report in the form that was asked for, or mails it.
func (f *reportFlags) write(cmd *cobra.Command, r *report.Report) error {
	if f.mail.wanted() {
		return f.mail.send(cmd, r.View(f.rows(cmd)))
	}
	width, color := f.output.screen(cmd)
	if f.width > 0 {
		width = f.width
	}
	page := f.output.format == "text" && f.template == "" && !f.noPager
	return f.output.writePaged(cmd, page, func(w io.Writer) error {
		switch f.output.format {
		case "json":
			return r.WriteJSON(w, f.top)
		case "csv":
			return r.WriteCSV(w, f.top)
		}
		view := r.View(f.rows(cmd))
		switch {
		case f.template != "":
			return writeTemplate(w, r, view, f.template)
		case f.output.format == "html":
			return view.WriteHTML(w, report.HTMLOptions{})
		case f.output.format == "markdown":
			return view.WriteMarkdown(w)
		}
		return view.WriteText(w, report.TextOptions{Width: width, Color: color})
	})
}

// rows returns how many rows the tables of a page have.
func (f *reportFlags) rows(cmd *cobra.Command) int {
	switch {
	case !cmd.Flags().Changed("top"):
		return report.PageRows
	case f.top == 0:
		return report.AllRows
	}
	return f.top
}

// writeTemplate renders a report with the template in a file.
func writeTemplate(w io.Writer, r *report.Report, v *report.View, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the template: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTemplate))
	if err != nil {
		return fmt.Errorf("read the template: %w", err)
	}
	if err := r.WriteTemplate(w, v, path, string(text)); err != nil {
		return fmt.Errorf("template: %w", err)
	}
	return nil
}

// maxTemplate limits the size of a template in bytes.
const maxTemplate = 1 << 20
