package jsonline

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// show walks through a line and writes what it finds: objects and arrays with
// their members, everything else as text.
func show(s *Scanner) string {
	switch s.peek() {
	case '{':
		var members []string
		for key := s.Object(); key != nil; key = s.Key() {
			members = append(members, string(key)+"="+show(s))
		}
		return "{" + strings.Join(members, " ") + "}"
	case '[':
		var members []string
		for more := s.Array(); more; more = s.Element() {
			members = append(members, show(s))
		}
		return "[" + strings.Join(members, " ") + "]"
	}
	return string(s.Text())
}

func TestScanner(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{`{"a":"x","b":12.5, "c" : null,"d":true}`, "{a=x b=12.5 c= d=true}"},
		{`{}`, "{}"},
		{`{"a":{},"b":[],"c":[1,[2,"]"],{"k":"}"}]}`, "{a={} b=[] c=[1 [2 ]] {k=}}]}"},
		{`{"a":"\"\\\/\n\u00e4\ud83d\ude00\ud83d"}`, "{a=\"\\/\nä😀\ufffd}"},
		{`{"":1}`, "{=1}"},
		{`{"a":1} x`, "not JSON"},
		{`{"a":1`, "not JSON"},
		{`{"a" 1}`, "not JSON"},
		{`{"a":,}`, "not JSON"},
		{`{"a":"x`, "not JSON"},
		{`{"a":]}`, "not JSON"},
		{`{"a":1 "b":2}`, "not JSON"},
		{``, ""},
	} {
		var s Scanner
		s.Reset([]byte(test.line))
		got := show(&s)
		if !s.OK() {
			got = "not JSON"
		}
		if got != test.want && test.line != "" {
			t.Errorf("%s: got %q, want %q", test.line, got, test.want)
		}
	}
}

func TestArrayOfOne(t *testing.T) {
	var s Scanner
	var got []string
	s.Reset([]byte(`{"to":"a","cc":["b","c"]}`))
	for key := s.Object(); key != nil; key = s.Key() {
		for more := s.Array(); more; more = s.Element() {
			got = append(got, string(s.Text()))
		}
		if string(key) == "to" {
			continue
		}
	}
	if fmt.Sprint(got) != "[a b c]" || !s.OK() {
		t.Errorf("got %v, OK %v", got, s.OK())
	}
}

// FuzzScanner compares the scanner with encoding/json: what that reads, it reads.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{`{"a":["b",{"c":-1e5}],"d":"\u00e4"}`, `[]`, `{"a":[[]]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var s Scanner
		s.Reset([]byte(line))
		show(&s)
		if ok := s.OK(); json.Valid([]byte(line)) && !ok && strings.Count(line, "[")+strings.Count(line, "{") < maxDepth {
			t.Errorf("%q is JSON", line)
		}
		s.Reset([]byte(line))
		s.Skip()
		if ok := s.OK(); json.Valid([]byte(line)) && !ok && strings.Count(line, "[")+strings.Count(line, "{") < maxDepth {
			t.Errorf("%q is JSON to skip", line)
		}
	})
}
