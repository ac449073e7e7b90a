package report

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"mailfail/templates"
)

// backgrounds and texts are the colours of the page: each text may stand on each
// background.
var (
	backgrounds = []string{"bg", "panel"}
	texts       = []string{"fg", "soft", "accent"}
	graphics    = []string{"failed", "deferred", "delivered"}
)

// TestContrast computes the contrast of the page as WCAG 2 does: 4.5 for texts,
// 3 for pictures, in the light and the dark scheme and on paper.
func TestContrast(t *testing.T) {
	schemes := map[string]map[string]string{}
	for _, m := range regexp.MustCompile(`(?s)(@media [^{]*\{\s*)?:root \{(.*?)\}`).FindAllStringSubmatch(templates.ReportHTML, -1) {
		scheme := strings.Trim(m[1], " {\n")
		colours := map[string]string{}
		for _, c := range regexp.MustCompile(`--([a-z]+): #([0-9a-f]+);`).FindAllStringSubmatch(m[2], -1) {
			colours[c[1]] = c[2]
		}
		schemes[scheme] = colours
	}
	for _, name := range []string{"", "@media (prefers-color-scheme: dark)", "@media print"} {
		colours := schemes[name]
		if colours == nil {
			t.Fatalf("no colours for %q", name)
		}
		for _, below := range backgrounds {
			for _, text := range texts {
				atLeast(t, 4.5, name, colours, text, below)
			}
			for _, bar := range graphics {
				atLeast(t, 3, name, colours, bar, below)
			}
		}
	}
}

// TestColoursAreNamed: TestContrast sees those alone that :root names.
func TestColoursAreNamed(t *testing.T) {
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindString(templates.ReportHTML)
	style = regexp.MustCompile(`(?s):root \{.*?\}`).ReplaceAllString(style, "")
	for _, m := range regexp.MustCompile(`(?:^|[;{\s])(?:color|background|fill|stroke): *([^;}]*)`).FindAllStringSubmatch(style, -1) {
		if !strings.HasPrefix(m[1], "var(--") {
			t.Errorf("a colour without a name: %s", m[0])
		}
	}
}

func atLeast(t *testing.T, want float64, scheme string, colours map[string]string, above, below string) {
	t.Helper()
	a, b := luminance(t, colours[above]), luminance(t, colours[below])
	if got := (max(a, b) + 0.05) / (min(a, b) + 0.05); got < want {
		t.Errorf("%s on %s has a contrast of %.2f in %q, want %.1f", above, below, got, scheme, want)
	}
}

// luminance is the relative luminance of an sRGB colour, rrggbb or rgb.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	if len(colour) == 3 {
		colour = strings.Join([]string{colour[:1], colour[:1], colour[1:2], colour[1:2], colour[2:], colour[2:]}, "")
	}
	if len(colour) != 6 {
		t.Fatalf("colour %q", colour)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		if c := float64(n) / 255; c <= 0.04045 {
			sum += weight * c / 12.92
		} else {
			sum += weight * math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return sum
}
