package templates

import (
	"fmt"
	"html/template"
	"strings"

	"mailfail/registry"
)

// Text is a line of a report: mailfail's own words, with text of strangers between
// them. A renderer writes each part in its own way.
type Text []Part

// Part is a piece of a Text: own words, or text of strangers.
type Part struct {
	words   string
	foreign registry.Foreign
}

// Words returns own words as a Text.
func Words(s string) Text {
	if s == "" {
		return nil
	}
	return Text{{words: s}}
}

// Name returns text of strangers as a Text.
func Name[S ~string](s S) Text {
	if s == "" {
		return nil
	}
	return Text{{foreign: registry.Foreign(s)}}
}

// Number returns a number as a Text, with commas between thousands.
func Number(n int64) Text { return Words(Count(n)) }

// Bytes returns a number of bytes as a Text.
func Bytes(n int64) Text { return Words(Size(n)) }

// Say fills in the %v of a format: a registry.Foreign becomes a separate part, Count
// formats an integer, a Text is inserted, and anything else counts as own words.
func Say(format string, args ...any) Text {
	var t Text
	for i, words := range strings.Split(format, "%v") {
		if i > 0 {
			t = append(t, say(args[i-1])...)
		}
		t = append(t, Words(words)...)
	}
	return t
}

func say(arg any) Text {
	switch a := arg.(type) {
	case registry.Foreign:
		return Name(a)
	case Text:
		return a
	case int64:
		return Number(a)
	case int:
		return Number(int64(a))
	}
	return Words(fmt.Sprint(arg))
}

// Join puts texts behind each other, with own words between them.
func Join(texts []Text, between string) Text {
	var t Text
	for i, s := range texts {
		if i > 0 {
			t = append(t, Words(between)...)
		}
		t = append(t, s...)
	}
	return t
}

// String returns the text fit for a terminal or a mail.
func (t Text) String() string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(Printable(p.words))
		b.WriteString(p.foreign.String())
	}
	return b.String()
}

// Markdown returns the text as Markdown: own words as they are, text of
// strangers in code spans.
func (t Text) Markdown() string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(markdownWords.Replace(p.words))
		b.WriteString(Markdown(p.foreign))
	}
	return b.String()
}

// markdownWords escapes the special characters in own words: names of filters, and
// placeholders of commands.
var markdownWords = strings.NewReplacer(`|`, `\|`, `*`, `\*`, `<`, `&lt;`, `_`, `\_`, "`", "\\`", `[`, `\[`)

// HTML returns the text as HTML. Text of strangers cannot change the direction of the
// line around it.
func (t Text) HTML() template.HTML {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(template.HTMLEscapeString(Printable(p.words)))
		if p.foreign != "" {
			b.WriteString("<bdi>" + template.HTMLEscapeString(p.foreign.String()) + "</bdi>")
		}
	}
	return template.HTML(b.String())
}
