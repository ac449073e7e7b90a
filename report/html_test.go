package report

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Pages are well-formed, refer to nothing outside, and have no element that could
// do something: those of the sample, and those of real logs.
func TestHTMLIsQuiet(t *testing.T) {
	pages := map[string][]byte{}
	for name, opt := range map[string]HTMLOptions{"page": {}, "mail": {Mail: true}} {
		var b bytes.Buffer
		if err := sample().View(AllRows).WriteHTML(&b, opt); err != nil {
			t.Fatal(err)
		}
		pages[name] = b.Bytes()
	}
	files, _ := filepath.Glob("../cmd/mailfail/testdata/golden/*.html")
	for _, path := range files {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pages[path] = page
	}
	if len(pages) < 4 {
		t.Fatalf("only %d pages", len(pages))
	}
	for name, page := range pages {
		t.Run(filepath.Base(name), func(t *testing.T) {
			if seen := checkHTML(t, page); seen < 100 {
				t.Errorf("only %d elements were seen", seen)
			}
		})
	}
}

// Elements that a page may have, and attributes whose value is an address.
var (
	allowedElements = strings.Fields("html head meta title style body main h1 h2 h3 p section article ul li figure svg line rect figcaption q bdi strong code details summary div table thead tbody tr th td span")
	addresses       = strings.Fields("href src srcset action data poster background cite formaction ping xlink:href")
	voidElements    = strings.Fields("meta br")
)

// checkHTML returns how many elements a page has. What is opened has to be closed,
// in order.
func checkHTML(t *testing.T, page []byte) (seen int) {
	var open []string
	z := html.NewTokenizer(bytes.NewReader(page))
	for z.Next() != html.ErrorToken {
		token := z.Token()
		switch token.Type {
		case html.StartTagToken, html.SelfClosingTagToken:
			seen++
			checkElement(t, &token)
			if token.Type == html.StartTagToken && !slices.Contains(voidElements, token.Data) {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> within %v", token.Data, open)
			}
			open = open[:len(open)-1]
		case html.TextToken:
			if len(open) > 0 && open[len(open)-1] == "style" && (strings.Contains(token.Data, "url(") || strings.Contains(token.Data, "@import")) {
				t.Error("the style sheet refers to something outside")
			}
		}
	}
	if z.Err() != io.EOF || len(open) > 0 {
		t.Errorf("%v, and %v is not closed", z.Err(), open)
	}
	return seen
}

func checkElement(t *testing.T, token *html.Token) {
	if !slices.Contains(allowedElements, token.Data) {
		t.Errorf("<%s> in the page", token.Data)
	}
	had := map[string]bool{}
	for _, a := range token.Attr {
		if strings.HasPrefix(a.Key, "on") || slices.Contains(addresses, a.Key) || strings.Contains(a.Val, "url(") {
			t.Errorf("<%s %s=%q> in the page", token.Data, a.Key, a.Val)
		}
		if had[a.Key] {
			t.Errorf("<%s> has %s twice", token.Data, a.Key)
		}
		had[a.Key] = true
	}
}
