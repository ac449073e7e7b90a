package dsn

import (
	"strings"
	"testing"
)

// TestUnclosedTags: an HTML part is read in time with its length, whatever
// its tags are.
func TestUnclosedTags(t *testing.T) {
	for _, part := range []string{"<style>", "<script", "<p ", "<a <b", "</style", "<STYLE></"} {
		text := plain(strings.Repeat(part, 30000))
		if len(text) > 30000*len(part) {
			t.Errorf("%q became longer", part)
		}
	}
	if got := plain("a<style>x</style>b<script>y</SCRIPT>c<br>d"); got != "abc\nd" {
		t.Errorf("%q", got)
	}
}
