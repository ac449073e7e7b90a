package templates

import _ "embed"

// Explain is the text/template of the answer of mailfail explain.
//
//go:embed explain/answer.txt
var Explain string
