package dashboard

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// browser is one page of a Chromium that is driven by the DevTools protocol.
type browser struct {
	t      *testing.T
	conn   *websocket.Conn
	id     int
	origin string // where pages may come from

	wrong []string // errors of the console, requests elsewhere
}

// openBrowser starts a Chromium that may ask origin alone. It ends with the test.
func openBrowser(t *testing.T, origin string) *browser {
	t.Helper()
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--user-data-dir="+t.TempDir(),
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost", "--remote-debugging-port=0", "--remote-allow-origins=*", "about:blank")
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	found := regexp.MustCompile(`DevTools listening on ws://([^/]+)/`)
	for s := bufio.NewScanner(errs); s.Scan(); {
		if m := found.FindStringSubmatch(s.Text()); m != nil {
			go func() {
				for s.Scan() { // what else it says must not fill the pipe
				}
			}()
			return attach(t, m[1], origin)
		}
	}
	t.Fatal("chromium does not say where it listens")
	return nil
}

// attach connects to the first page.
func attach(t *testing.T, address, origin string) *browser {
	t.Helper()
	var pages []struct {
		Type string
		URL  string `json:"webSocketDebuggerUrl"`
	}
	eventually(t, "a page of chromium", func() bool {
		return json.Unmarshal(get(t, "http://"+address+"/json"), &pages) == nil && len(pages) > 0 && pages[0].Type == "page"
	})
	conn, err := websocket.Dial(pages[0].URL, "", "http://localhost/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	b := &browser{t: t, conn: conn, origin: origin}
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil)
	}
	return b
}

// message is a call, an answer or an event of the protocol.
type message struct {
	ID     int             `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
}

// call calls a method and returns its result.
func (b *browser) call(method string, params any) json.RawMessage {
	b.t.Helper()
	result, err := b.try(method, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// try calls a method and returns its result, or what the browser has against it:
// a page that is being left answers nothing. Events that come meanwhile are watched.
func (b *browser) try(method string, params any) (json.RawMessage, error) {
	b.t.Helper()
	b.id++
	text, err := json.Marshal(params)
	if err == nil {
		err = websocket.JSON.Send(b.conn, message{ID: b.id, Method: method, Params: text})
	}
	if err == nil {
		err = b.conn.SetDeadline(time.Now().Add(patience))
	}
	for err == nil {
		var m message
		if err = websocket.JSON.Receive(b.conn, &m); err != nil {
			break
		}
		if m.ID == b.id {
			if m.Error != nil {
				err = fmt.Errorf("%s: %s", method, m.Error)
			}
			return m.Result, err
		}
		b.watch(&m)
	}
	b.t.Fatalf("%s: %v", method, err)
	return nil, nil
}

// watch notes what must not happen.
func (b *browser) watch(m *message) {
	var p struct {
		Type    string
		Entry   struct{ Level, Text string }
		Request struct{ URL string }
	}
	_ = json.Unmarshal(m.Params, &p)
	switch m.Method {
	case "Runtime.exceptionThrown":
		b.wrong = append(b.wrong, string(m.Params))
	case "Runtime.consoleAPICalled":
		if p.Type == "error" {
			b.wrong = append(b.wrong, string(m.Params))
		}
	case "Log.entryAdded":
		if p.Entry.Level == "error" {
			b.wrong = append(b.wrong, p.Entry.Text)
		}
	case "Network.requestWillBeSent":
		if u := p.Request.URL; !strings.HasPrefix(u, b.origin) && !strings.HasPrefix(u, "data:") {
			b.wrong = append(b.wrong, "a request of "+u)
		}
	}
}

// eval evaluates an expression of JavaScript into the value at into, if it is not
// nil.
func (b *browser) eval(expression string, into any) {
	b.t.Helper()
	if err := b.tryEval(expression, into); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) tryEval(expression string, into any) error {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	result, err := b.try("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true})
	if err == nil {
		err = json.Unmarshal(result, &answer)
	}
	if err == nil && answer.ExceptionDetails != nil {
		err = fmt.Errorf("%s: %s", expression, answer.ExceptionDetails)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(answer.Result.Value, into)
	}
	return err
}

// is waits until an expression of JavaScript is true.
func (b *browser) is(what, expression string) {
	b.t.Helper()
	var last error
	defer func() {
		if b.t.Failed() && last != nil {
			b.t.Log(last)
		}
	}()
	eventually(b.t, what, func() (yes bool) {
		last = b.tryEval("!!("+expression+")", &yes) // fails while a page is left
		return last == nil && yes
	})
}

// press does what a person does, and does not wait for what comes of it: the page
// may be left.
func (b *browser) press(statement string) {
	b.t.Helper()
	b.eval("setTimeout(() => { "+statement+" }, 0), 0", nil)
}

// text returns what a page shows.
func (b *browser) text() (s string) {
	b.t.Helper()
	b.eval("document.body.innerText", &s)
	return s
}

// shows fails the test unless the page shows something, and is as it should be.
func (b *browser) shows(want string) {
	b.t.Helper()
	if s := b.text(); !strings.Contains(s, want) {
		b.t.Errorf("%q is not on the page:\n%s", want, s)
	}
	b.harmless()
}

// harmless fails the test if text of strangers was run, the page is wider than the
// screen, or something else went wrong.
func (b *browser) harmless() {
	b.t.Helper()
	var page struct {
		Title, URL   string
		Wide, Narrow int
		Strange      int
	}
	b.eval(`({Title: document.title, URL: location.href, Wide: document.documentElement.scrollWidth, Narrow: innerWidth,
		Strange: document.querySelectorAll("main script, main img, main iframe, main [onerror], main [onload], main [onmouseover]").length})`, &page)
	if page.Strange > 0 || !strings.HasSuffix(page.Title, "mailfail") {
		b.t.Errorf("%s: text of strangers has become %d elements, title %q", page.URL, page.Strange, page.Title)
	}
	if page.Wide > page.Narrow {
		b.t.Errorf("%s is %d pixels wide, the screen %d", page.URL, page.Wide, page.Narrow)
	}
	for _, w := range b.wrong {
		b.t.Errorf("%s: %s", page.URL, w)
	}
	b.wrong = nil
}

// open goes to a page of the origin.
func (b *browser) open(path string) {
	b.t.Helper()
	b.leave(func() { b.call("Page.navigate", map[string]any{"url": b.origin + path}) })
}

// click clicks the first link in main whose text contains something.
func (b *browser) click(text string) {
	b.t.Helper()
	b.leave(func() {
		var found bool
		b.eval(fmt.Sprintf(`(() => {
			const link = [...document.querySelectorAll("main a")].find((a) => a.textContent.includes(%q));
			if (link) { setTimeout(() => link.click(), 0); }
			return !!link;
		})()`, text), &found)
		if !found {
			b.t.Fatalf("no link %q on the page:\n%s", text, b.text())
		}
	})
}

// leave does what leads to another page, and waits for that.
func (b *browser) leave(how func()) {
	b.t.Helper()
	b.eval(`window.left = false`, nil)
	how()
	b.is("another page", `window.left === undefined && document.readyState === "complete"`)
}

// query returns the parameters of the page's address.
func (b *browser) query() url.Values {
	b.t.Helper()
	var address string
	b.eval("location.href", &address)
	u, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	return u.Query()
}
