package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// TestBrowser shows pages with hostile texts in a real browser: none of them
// may run, load or change anything.
func TestBrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("no chromium here, or -short")
	}
	r := sample()
	for i, text := range []string{
		"<script>document.title='owned'</script>", `<img src=x onerror="document.title='owned'">`, `"><svg onload="document.title='owned'">`,
		"</title><script>document.title='owned'</script>", "{{.Title}}", "</style><script>document.title='owned'</script>", "javascript:document.title='owned'",
	} {
		id := int64(1e6 + i)
		r.trouble.add(&store.Affected{ID: id, State: registry.StateBounced, Tried: true, LastSeen: day, Host: registry.Foreign(text), Sender: registry.Foreign(text), Domain: registry.Foreign(text), Provider: registry.Foreign(text), Reason: text}, day)
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
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		dom, err := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "file://"+page).Output()
		if err != nil {
			t.Skipf("the browser does not start here: %v", err)
		}
		_, title, _ := strings.Cut(string(dom), "<title>")
		title, _, _ = strings.Cut(title, "</title>")
		if title == "owned" || !strings.Contains(title, "failed") {
			t.Errorf("the title became %q", title)
		}
		for _, element := range []string{"<script", "<img", "<svg onload"} {
			if strings.Contains(string(dom), element) {
				t.Errorf("%s is in the page that the browser shows", element)
			}
		}
		if !strings.Contains(string(dom), "&lt;img src=x onerror=") {
			t.Error("the hostile texts did not arrive")
		}
	}
}
