// Package templates holds the text and HTML templates of reports, and what
// every output needs: how the text of strangers is shown, and how text is laid
// out.
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

// CSV returns the text of strangers as a cell that no spreadsheet takes for a
// formula: an apostrophe stands before what begins like one. Spreadsheets of
// many countries split at semicolons whatever the quotes say, so the same holds
// behind each semicolon.
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

// formula holds the characters that a formula begins with, also as wide ones.
const formula = "=+-@\uff1d\uff0b\uff0d\uff20"

// WriteJSON writes v and a newline. Text of strangers is shown as
// registry.Foreign is, also where it is a plain string.
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
