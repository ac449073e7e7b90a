package templates

import (
	_ "embed"
)

// ReportHTML is the html/template of the HTML report.
//
//go:embed report.html
var ReportHTML string
