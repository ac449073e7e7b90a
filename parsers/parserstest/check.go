package parserstest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mailfail/parsers"
)

// everywhere are the fields that every record may hold.
var everywhere = []string{"Kind", "Format", "Time", "Host", "Instance", "Service", "Delay"}

// Fields returns what is wrong with the fields of a record by
// parsers.KindFields, "" for nothing.
func Fields(r *parsers.Record) string {
	allowed, ok := parsers.KindFields[r.Kind]
	if !ok {
		return fmt.Sprintf("kind %d has no fields", r.Kind)
	}
	held := holds(reflect.ValueOf(*r), nil)
	var wrong []string
	for _, name := range allowed.Must {
		if !slices.Contains(held, name) {
			wrong = append(wrong, "no "+name)
		}
	}
	for _, name := range held {
		if !slices.Contains(allowed.Must, name) && !slices.Contains(allowed.May, name) &&
			!slices.Contains(everywhere, name) {
			wrong = append(wrong, name)
		}
	}
	if wrong == nil {
		return ""
	}
	return fmt.Sprintf("%s holds %s", r.Kind, strings.Join(wrong, ", "))
}

// holds appends the names of the fields of v that are set. Delay always is.
func holds(v reflect.Value, names []string) []string {
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		switch {
		case f.Anonymous:
			names = holds(field, names)
		case field.Kind() == reflect.Slice && field.Len() == 0, field.IsZero():
		default:
			names = append(names, f.Name)
		}
	}
	return names
}

// Check fails a test whose record, made of a line, breaks the contract. Lines, Split
// and Fuzz check all records; it is for tests that read in a way of their own.
func Check(t testing.TB, line string, r *parsers.Record) {
	t.Helper()
	if wrong := Fields(r); wrong != "" {
		t.Errorf("%s\n%s: %s", line, wrong, Show(r))
	}
}
