package templates

import (
	_ "embed"
)

// Report is the text/template of the text report.
//
//go:embed report.txt
var Report string
