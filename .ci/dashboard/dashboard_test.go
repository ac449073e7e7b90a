// Package dashboard drives the dashboard of "mailfail serve" in a real Chromium, as
// somebody would who looks for a cause: filter, go down to failures, a message and
// an explanation, and see what is new. It is run by .ci/browser.
package dashboard

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long something may take that takes no time: the machine may be
// slow.
const patience = 2 * time.Minute

// eventually waits for a condition, and fails the test when it does not come.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// get returns what is at an address, nil when it cannot be had.
func get(t *testing.T, address string) []byte {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return body
}

// evil is a reply that would change the title of the page, if it were run.
const evil = `<script>document.title="owned"</script><img src=x onerror=document.title="owned">"onmouseover="document.title=1`

// bounce is the lines of a message that bounced.
func bounce(id, to, domain, reply string) string {
	const at = "Nov 22 06:28:08 mx1 postfix/"
	return fmt.Sprintf("%sqmgr[270]: %s: from=<news@list.example>, size=400, nrcpt=1 (queue active)\n", at, id) +
		fmt.Sprintf("%ssmtp[271]: %s: to=<%s@%s>, relay=mx.%[4]s[192.0.2.1]:25, delay=0.1, delays=0/0/0/0.1, dsn=5.1.1, "+
			"status=bounced (host mx.%[4]s[192.0.2.1] said: 550 5.1.1 %s (in reply to RCPT TO command))\n", at, id, to, domain, reply)
}

// site is a server that shows a log, which can grow.
type site struct {
	t        *testing.T
	dir, url string
}

// newSite builds the program, reads a log and serves it.
func newSite(t *testing.T) *site {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("no chromium here: .ci/browser installs it")
	}
	s := &site{t: t, dir: t.TempDir()}
	if out, err := exec.Command("go", "build", "-o", s.dir+"/mailfail", "mailfail/cmd/mailfail").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	log, err := os.ReadFile("../../testdata/postfix/plain/mail.log")
	if err != nil {
		t.Fatal(err)
	}
	s.grow(string(log) + bounce("A1B2C3D4E6", `x"><svg/onload=document.title=1>`, "one.example", evil))
	serve := exec.Command(s.dir+"/mailfail", "serve", "--db", s.dir+"/db", "--listen", "localhost:0", "--interval", "200ms", "--tz", "UTC")
	serve.Stderr = os.Stderr
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Kill()
		_ = serve.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSpace(strings.TrimPrefix(line, "serving "))
	s.url = "http://localhost" + address[strings.LastIndexByte(address, ':'):]
	s.url = strings.TrimSuffix(s.url, "/")
	return s
}

// grow lets the log grow, and has it read.
func (s *site) grow(lines string) {
	s.t.Helper()
	f, err := os.OpenFile(s.dir+"/mail.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(lines)
		f.Close()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if out, err := exec.Command(s.dir+"/mailfail", "ingest", "--quiet", "--year", "2026", "--db", s.dir+"/db", s.dir+"/mail.log").CombinedOutput(); err != nil {
		s.t.Fatalf("ingest: %v\n%s", err, out)
	}
}

func TestDashboard(t *testing.T) {
	s := newSite(t)
	b := openBrowser(t, s.url)
	for i, screen := range []struct {
		name          string
		width, height int
		scheme        string
	}{{"phone", 375, 800, "light"}, {"phone-dark", 375, 800, "dark"}, {"wide", 1280, 1600, "light"}, {"wide-dark", 1280, 1600, "dark"}} {
		t.Run(screen.name, func(t *testing.T) {
			b.t = t
			b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": false})
			b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": screen.scheme}}})
			look(b, screen.name, screen.width, screen.scheme)
			plain(b)
			drill(b)
			live(b, s, i)
		})
	}
}

// look opens the dashboard: charts are drawn, colours are those that are wanted.
func look(b *browser, name string, width int, scheme string) {
	b.open("/?since=2026-11-20")
	var wide int
	if b.eval("innerWidth", &wide); wide != width { // a window alone is never narrower than 500
		b.t.Errorf("%s: the page has %d pixels, want %d", name, wide, width)
	}
	b.is("a chart", `document.querySelector("figure.chart.drawn canvas")`)
	b.shows("No such user")
	var light float64
	b.eval(`getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((sum, n) => sum + Number(n), 0) / 3`, &light)
	if dark := light < 128; dark != (scheme == "dark") {
		b.t.Errorf("%s: the background is %.0f of 255", scheme, light)
	}
	if folder := os.Getenv("PICTURES"); folder != "" {
		b.picture(filepath.Join(folder, "serve-"+name+".png"))
	}
}

// plain is the dashboard where scripts are off: bars instead of charts.
func plain(b *browser) {
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
	defer b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": false})
	b.open("/?since=2026-11-20")
	b.is("bars", `document.querySelector("rect.failed")`)
	b.is("no chart of a script", `!document.querySelector("figure.chart.drawn")`)
	b.harmless()
}

// drill filters, and goes down from a domain to a failure, its message and what its
// reply means.
func drill(b *browser) {
	b.leave(func() {
		b.press(`const form = document.querySelector("form.filters");
			form.filter.value = "domain"; form.value.value = "one.example";
			form.querySelector("button").click();`)
	})
	b.shows("one.example ✕")
	if q := b.query(); q.Get("value") != "one.example" || q.Get("since") != "2026-11-20" {
		b.t.Errorf("the address has %v", q)
	}
	b.click("by reason")
	b.shows("No such user")
	b.leave(func() {
		b.press(`[...document.querySelectorAll("header a")].find((a) => a.textContent === "Failures").click()`)
	})
	b.shows(evil) // as text
	b.shows(`x"><svg/onload=document.title=1>@one.example`)
	if q := b.query(); q.Get("domain") != "one.example" {
		b.t.Errorf("failures forget the filter: %v", q)
	}
	b.click("A1B2C3D4E6")
	b.shows("news@list.example")
	b.open("/events?since=2026-11-20&domain=one.example")
	b.leave(func() { b.press(`document.querySelector('main a[href^="/explain"]').click()`) })
	b.shows("5.1.1")
	b.open("/?since=2026-11-20&domain=one.example")
	b.click("✕")
	if q := b.query(); q.Has("domain") {
		b.t.Errorf("the filter stays: %v", q)
	}
	b.harmless()
}

// live sees what is new without being asked.
func live(b *browser, s *site, i int) {
	domain := fmt.Sprintf("new%d.example", i)
	b.open("/?since=2026-11-20&domain=" + domain)
	b.is("a connection", `document.getElementById("live").textContent.startsWith("live")`)
	b.eval("window.same = true", nil)
	if strings.Contains(b.text(), "No such user") {
		b.t.Errorf("%s has failures before there are any", domain)
	}
	s.grow(bounce(fmt.Sprintf("B1B2C3D4E%d", i), "somebody", domain, "gone"))
	b.is("what is new on the page", `document.body.innerText.includes("No such user")`)
	b.is("a chart", `document.querySelector("figure.chart.drawn canvas")`)
	b.is("the same page", "window.same")
	b.harmless()
}

// picture writes what the screen shows.
func (b *browser) picture(path string) {
	b.t.Helper()
	var shot struct{ Data string }
	if err := json.Unmarshal(b.call("Page.captureScreenshot", map[string]any{"format": "png"}), &shot); err != nil {
		b.t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
