package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestServe starts the server on a port and on a socket, asks it, and ends it.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	ingest := newProcess("ingest", "--quiet", "--year", "2026", "--db", dir+"/db", "../../testdata/postfix/plain/mail.log")
	ingest.check(t, ingest.Run())
	for _, listen := range []string{"localhost:0", "unix:" + dir + "/socket"} {
		if body := served(t, dir+"/db", listen, "healthz")[0]; !strings.HasPrefix(body, "ok: read until 2026-11-22T06:") {
			t.Errorf("%s: %s", listen, body)
		}
	}
	if _, err := os.Stat(dir + "/socket"); err == nil {
		t.Error("the socket was left")
	}
}

// served runs a server on a database, and returns its answers to some requests.
func served(t *testing.T, db, listen string, requests ...string) (answers []string) {
	t.Helper()
	p := newProcess("serve", "--db", db, "--listen", listen)
	p.Stdout = nil
	out, err := p.StdoutPipe()
	must(t, err)
	must(t, p.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v %s", err, &p.errs)
	}
	for _, request := range requests {
		answers = append(answers, ask(t, strings.TrimSpace(strings.TrimPrefix(line, "serving ")), request))
	}
	must(t, p.Process.Signal(syscall.SIGTERM))
	p.check(t, p.Wait())
	return answers
}

// ask returns the answer to a request at an address that serve printed.
func ask(t *testing.T, address, request string) string {
	t.Helper()
	client := &http.Client{}
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		address = "http://socket/"
		client.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", path)
		}}
	}
	answer, err := client.Get(address + request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
