package report

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"", "Apple", "Google", "Microsoft", "example.org", "user-unknown"}
	for word, want := range map[string]string{
		"Appel": "Apple", "gogle": "Google", "microsft": "Microsoft", "exmaple.org": "example.org", "user-unkown": "user-unknown", "nonsense": "", "x": "", "9": "", "": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func FuzzDistance(f *testing.F) {
	f.Add("abc", "acb")
	f.Fuzz(func(t *testing.T, a, b string) {
		d := distance(a, b)
		if d != distance(b, a) || d > max(len(a), len(b)) || (d == 0) != (a == b) {
			t.Errorf("distance(%q, %q) = %d", a, b, d)
		}
	})
}
