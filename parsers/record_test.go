package parsers

import (
	"reflect"
	"strings"
	"testing"
)

// fields calls f with every []byte in a record, and its name.
func fields(v reflect.Value, name string, f func(name string, v reflect.Value)) {
	switch {
	case v.Type() == reflect.TypeFor[[]byte]():
		f(name, v)
	case v.Kind() == reflect.Struct && v.Type().PkgPath() != "time":
		for i := range v.NumField() {
			fields(v.Field(i), name+"."+v.Type().Field(i).Name, f)
		}
	}
}

// A detached record has nothing in common with the line that it was read from.
func TestDetach(t *testing.T) {
	var line, want []string
	var r Record
	each := func(f func(name string, v reflect.Value)) { fields(reflect.ValueOf(&r).Elem(), "", f) }
	each(func(name string, _ reflect.Value) { line = append(line, name) })
	text := []byte(strings.Join(line, " "))
	at := 0
	each(func(name string, v reflect.Value) {
		v.SetBytes(text[at : at+len(name)])
		at += len(name) + 1
		want = append(want, name)
	})
	r.Sender = text[:0] // the null sender
	data := r.Detach([]byte("before"))
	clear(text)
	each(func(name string, v reflect.Value) {
		if got := v.Bytes(); string(got) != name && name != ".Message.Sender" {
			t.Errorf("%s is %q", name, got)
		}
	})
	if r.Sender == nil || len(r.Sender) != 0 {
		t.Errorf("the null sender is %q", r.Sender)
	}
	if len(want) < 20 || !strings.HasPrefix(string(data), "before") {
		t.Errorf("%d fields, data %q", len(want), data)
	}
	if n := testing.AllocsPerRun(10, func() { data = r.Detach(data[:0]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
