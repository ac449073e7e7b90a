// Package templates holds the text and HTML templates of reports, and the functions
// that every output needs: they show text of strangers, and lay out text.
package templates

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"mailfail/registry"
)

// Printable returns the text of strangers fit for a terminal or a mail, see
// registry.Foreign.
func Printable[S ~string](s S) string { return registry.Foreign(s).String() }

// Markdown returns the text of strangers as a code span of Markdown (CommonMark
// and GitHub): nothing in it is markup, a link or a mention. The result may
// stand in a cell of a table.
func Markdown[S ~string](s S) string {
	text := Printable(s)
	if strings.TrimSpace(text) == "" {
		return ""
	}
	fence := strings.Repeat("`", longestRun(text, '`')+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " " // CommonMark strips one space on each side
	}
	return fence + strings.ReplaceAll(text, "|", `\|`) + fence
}

func longestRun(s string, c byte) (longest int) {
	run := 0
	for i := 0; i < len(s); i++ {
		if run++; s[i] != c {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}

// CSV returns the text of strangers as a cell that a spreadsheet does not take for a
// formula: it puts an apostrophe before text that begins like one. Spreadsheets of many
// countries split at semicolons in spite of the quotes, so it does the same after each
// semicolon.
func CSV[S ~string](s S) string {
	parts := strings.Split(Printable(s), ";")
	for i, p := range parts {
		if first, _ := utf8.DecodeRuneInString(strings.TrimLeft(p, " \"'")); p != "" &&
			strings.ContainsRune(formula, first) {
			parts[i] = "'" + p
		}
	}
	return strings.Join(parts, ";")
}

// formula holds the characters that begin a formula, also the wide forms.
const formula = "=+-@\uff1d\uff0b\uff0d\uff20"

// WriteJSON writes v and a newline. It escapes text of strangers as registry.Foreign
// does, also in a plain string.
func WriteJSON(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err := w.Write(registry.EscapeJSON(b.Bytes()))
	return err
}
