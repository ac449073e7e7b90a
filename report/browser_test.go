package report

import (
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// chromium returns the path of the browser. Where there is none .ci/browser installs
// it and runs these tests.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("no chromium here, or -short: .ci/browser runs this")
	}
	return path
}

// TestBrowser shows pages with hostile texts in a real browser: none of them
// may run, load or change anything.
func TestBrowser(t *testing.T) {
	browser := chromium(t)
	r := sample()
	for i, text := range []string{
		"<script>document.title='owned'</script>", `<img src=x onerror="document.title='owned'">`, `"><svg onload="document.title='owned'">`,
		"</title><script>document.title='owned'</script>", "{{.Title}}", "</style><script>document.title='owned'</script>", "javascript:document.title='owned'",
	} {
		id := int64(1e6 + i)
		r.trouble.add(&store.Affected{ID: id, State: registry.StateBounced, Tried: true, LastSeen: day,
			Destination: &store.Destination{Host: registry.Foreign(text), Sender: registry.Foreign(text), Domain: registry.Foreign(text), Provider: registry.Foreign(text)},
			LastFailure: &store.LastFailure{Reason: text}}, day)
		r.trouble.persons[id] = &store.Person{
			ID:        id,
			Address:   registry.Foreign(text),
			Sender:    registry.Foreign(text),
			HasSender: true,
			Account:   registry.Foreign(text),
			Text:      registry.Foreign(text),
		}
		r.Hosts = []store.Group{{Values: []registry.Foreign{registry.Foreign(text)}, Tally: tally(1, 1, 0, 0)}}
		r.Domains = append(r.Domains, store.Group{Values: []registry.Foreign{registry.Foreign(text)}, Tally: tally(0, 9_999_999, 0, 0)})
	}
	for _, mail := range []bool{false, true} {
		page := filepath.Join(t.TempDir(), fmt.Sprintf("mail-%v.html", mail))
		file, err := os.Create(page)
		if err != nil {
			t.Fatal(err)
		}
		v := r.View(AllRows)
		if err := v.WriteHTML(file, HTMLOptions{Mail: mail}); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		dom := showIn(t, browser, page)
		_, title, _ := strings.Cut(dom, "<title>")
		title, _, _ = strings.Cut(title, "</title>")
		if title == "owned" || !strings.Contains(title, "failed") {
			t.Errorf("the title became %q", title)
		}
		for _, element := range []string{"<script", "<img", "<svg onload"} {
			if strings.Contains(dom, element) {
				t.Errorf("%s is in the page that the browser shows", element)
			}
		}
		if !strings.Contains(dom, "&lt;img src=x onerror=") {
			t.Error("the hostile texts did not arrive")
		}
	}
}

// showIn returns a page as the browser has it, which gets some flags more.
func showIn(t *testing.T, browser, page string, flags ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	args := append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom"}, flags...)
	dom, err := exec.CommandContext(ctx, browser, append(args, "file://"+page)...).Output()
	if err != nil {
		t.Skipf("the browser does not start here: %v", err)
	}
	return string(dom)
}

// probe tells how wide a page is, and how wide it is shown.
const probe = `<script>parent.document.title = document.documentElement.scrollWidth + " of " + innerWidth</script>`

// TestNothingToScroll shows long names at the width of a phone and of a desk: a
// page is never wider than its window.
func TestNothingToScroll(t *testing.T) {
	browser := chromium(t)
	r := sample()
	r.Hosts = []store.Group{{Values: []registry.Foreign{longValue(store.ByHost)}, Tally: tally(1, 1, 0, 0)}}
	r.Domains = append(r.Domains, store.Group{Values: []registry.Foreign{longValue(store.ByDomain)}, Tally: tally(0, 9_999_999, 0, 0)})
	var b strings.Builder
	if err := r.View(AllRows).WriteHTML(&b, HTMLOptions{}); err != nil {
		t.Fatal(err)
	}
	// The page itself allows no script: the probe goes into a copy that does. A
	// window of the browser is never as narrow as a phone, a frame may be.
	text := strings.Replace(b.String(), "default-src 'none'", "script-src 'unsafe-inline'", 1)
	text = html.EscapeString(strings.Replace(text, "</body>", probe+"</body>", 1))
	for _, width := range []string{"375", "1280"} {
		page := filepath.Join(t.TempDir(), "frame.html")
		frame := fmt.Sprintf(`<!DOCTYPE html><title>not shown</title><iframe width="%s" height="900" style="border:0" srcdoc="%s"></iframe>`, width, text)
		if err := os.WriteFile(page, []byte(frame), 0o600); err != nil {
			t.Fatal(err)
		}
		_, title, _ := strings.Cut(showIn(t, browser, page), "<title>")
		title, _, _ = strings.Cut(title, "</title>")
		if want := width + " of " + width; title != want {
			t.Errorf("the page is as wide as %q, want %q", title, want)
		}
	}
}
