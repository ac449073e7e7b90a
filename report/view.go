package report

import (
	"mailfail/registry"
	"mailfail/templates"
)

// View is a report as data: its statements, in order. Renderers decide how it looks.
type View struct {
	Subject  string         // the verdict in one line, for the subject of a mail
	Title    templates.Text // hosts and time
	Verdict  templates.Text // the verdict in a sentence
	Only     templates.Text // what a filter lets through
	Notes    []templates.Text
	Sections []Section
	Problems int  // in the section of that name
	Alarm    bool // there are problems, or a part of the time was not read
}

// Section is a part of a report under a heading. Renderers leave out empty fields.
type Section struct {
	ID       string // the same in every report: problems, figures, reasons, …
	Title    string
	Text     []templates.Text // paragraphs
	Problems []Problem
	Chart    *Chart
	Table    *Table
	More     templates.Text // below the table
	See      string         // a command, after More
}

// Problem is something to act on.
type Problem struct {
	Severity string // critical, warning, info
	Title    templates.Text
	Facts    []templates.Text
	Hours    []int64            // failures by hour of the window, nil unknown
	Quote    []registry.Foreign // replies, as they were logged
	Do       string
	See      string // a command
}

// Table is a table of a report.
type Table struct {
	Columns []Column
	Rows    []Row
}

// Column is a column of a Table.
type Column struct {
	Title  string
	Number bool // right-aligned
	Flex   bool // may wrap when there is not enough room
	Name   bool // may be cut in its middle when wrapping is not enough
}

// Row is a row of a Table.
type Row struct {
	Cells  []templates.Text
	Below  []templates.Text // lines below the row
	Quote  []registry.Foreign
	Indent bool // it is a part of the row above
}

// Chart is a series of numbers over time, in equal steps.
type Chart struct {
	Title  string
	Labels []string // of the steps
	Series []Series
}

// Series is one kind of bar of a Chart.
type Series struct {
	Name   string // also the class of its colour: delivered, failed, waiting
	Values []int64
}

// section returns the section with an id, nil when there is none.
func (v *View) section(id string) *Section {
	for i := range v.Sections {
		if v.Sections[i].ID == id {
			return &v.Sections[i]
		}
	}
	return nil
}
