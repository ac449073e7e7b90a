package parserstest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mailfail/parsers"
)

// everywhere are the fields that every record may have.
var everywhere = []string{"Kind", "Format", "Time", "Host", "Instance", "Service", "Delay"}

// Fields describes how the fields of a record break parsers.KindFields; it returns ""
// when they do not.
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

// holds appends the names of the fields of v that are set. Delay counts as set, because
// it is -1 when not given.
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

// Check fails a test when a record of a line breaks the contract of Fields. Lines and
// Fuzz check all records; Check is for tests that call a parser themselves.
func Check(t testing.TB, line string, r *parsers.Record) {
	t.Helper()
	if wrong := Fields(r); wrong != "" {
		t.Errorf("%s\n%s: %s", line, wrong, Show(r))
	}
}
