package clickhouse

import (
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"mailfail/store/fleet"
)

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestNewClient(t *testing.T) {
	for _, test := range []struct{ url, address, name, err string }{
		{"clickhouse://joe@ch.test/mail", "https://ch.test:8443/", "clickhouse://ch.test:8443/mail", ""},
		{"clickhouse://ch.test:9440/mail/", "https://ch.test:9440/", "clickhouse://ch.test:9440/mail", ""},
		{"clickhouse+http://joe@[::1]", "http://[::1]:8123/", "clickhouse+http://[::1]:8123/default", ""},
		{"clickhouse://joe:secret@ch.test/mail", "", "", "does not belong into the URL"},
		{"clickhouse://joe:secret@/mail", "", "", "is not a URL"},
		{"clickhouse://ch.test/mail?readonly=0", "", "", "no more than"},
		{"clickhouse://ch.test/a/b", "", "", "no more than"},
	} {
		c, err := NewClient(test.url, environment())
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", test.url, err)
			}
			continue
		}
		if err != nil || c.address != test.address || c.String() != test.name {
			t.Errorf("%s: %+v, %v", test.url, c, err)
		}
	}
}

func TestPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("of a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		getenv func(string) string
		want   string
	}{
		{environment(), ""},
		{environment(PasswordVariable, "p'\"\\ "), "p'\"\\ "},
		{environment(PasswordVariable, "p", PasswordFileVariable, path), "of a file"},
	} {
		if got, err := password(test.getenv); err != nil || got != test.want {
			t.Errorf("%q, %v, want %q", got, err, test.want)
		}
	}
	if _, err := NewClient("clickhouse://ch.test/mail", environment(PasswordFileVariable, path+"x")); err == nil {
		t.Error("a file that is not there was read")
	}
}

// A server whose certificate is not signed by the file is not talked to; errors name
// the server, its code and what to do, and no password.
func TestTLSAndErrors(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-ClickHouse-Key") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, "Code: 193, e.displayText() = DB::Exception: Wrong password for user joe\nmore")
			return
		}
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			rows, err := io.ReadAll(z)
			if err != nil || string(rows) != "rows" || r.URL.Query().Get("query") != "INSERT" {
				t.Errorf("%q, %v, %q", rows, err, r.URL)
			}
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	url := "clickhouse://joe@" + server.Listener.Addr().String() + "/mail"
	for _, test := range []struct {
		getenv func(string) string
		want   string
		code   int
	}{
		{environment(PasswordVariable, "secret", CAVariable, ca), "", 0},
		{environment(PasswordVariable, "secret"), "certificate", 0},
		{environment(PasswordVariable, "wrong-one", CAVariable, ca), PasswordVariable, 193},
	} {
		c, err := NewClient(url, test.getenv)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Insert(t.Context(), "INSERT", []byte("rows"))
		if test.want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), c.String()) || strings.Contains(err.Error(), "wrong-one") {
			t.Errorf("%v, want %q", err, test.want)
		}
		var e *Error
		if code := 0; errors.As(err, &e) {
			if code = e.Code; code != test.code {
				t.Errorf("code %d, want %d", code, test.code)
			}
		} else if test.code != 0 {
			t.Errorf("%v has no code", err)
		}
	}
	if _, err := NewClient(url, environment(CAVariable, os.Args[0])); err == nil {
		t.Error("a file without certificates was taken")
	}
}

func TestRowBinary(t *testing.T) {
	types := []fleet.Type{fleet.Int, fleet.Text, fleet.MaybeInt, fleet.MaybeText, fleet.Ints}
	rows := []fleet.Row{
		{{Int: -1}, {Text: ""}, {Null: true}, {Null: true}, {}},
		{{Int: 1 << 62}, {Text: strings.Repeat("x", 100_000)}, {Int: 7}, {Text: "a\x00b"}, {Ints: []int64{1, -2, 3}}},
	}
	var body []byte
	for _, r := range rows {
		for i := range r {
			body = appendValue(body, types[i], &r[i])
		}
	}
	r := newRowReader(bytes.NewReader(body), types)
	for _, want := range rows {
		got, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if len(got[i].Ints) == 0 {
				got[i].Ints = nil
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+.100v, want %+.100v", got, want)
		}
	}
	if _, err := r.next(); err != io.EOF {
		t.Error(err)
	}
	for n := 1; n < 60; n++ { // an answer that was cut off is no answer
		r := newRowReader(bytes.NewReader(body[:n]), types)
		var err error
		for err == nil {
			_, err = r.next()
		}
		if first := n == 12; first != (err == io.EOF) || !first && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("of %d bytes: %v", n, err)
		}
	}
}

func FuzzRowBinary(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x03abc\x01\x00\x00\x02"), uint8(5))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, seed uint8) {
		types := []fleet.Type{fleet.Type(seed % 5), fleet.Type(seed / 5 % 5), fleet.Type(seed / 25 % 5)}
		r := newRowReader(bytes.NewReader(data), types)
		for {
			row, err := r.next()
			if err != nil {
				return
			}
			var again []byte
			for i := range row {
				again = appendValue(again, types[i], &row[i])
			}
			back, err := newRowReader(bytes.NewReader(again), types).next()
			if err != nil || !reflect.DeepEqual(normal(back), normal(row)) {
				t.Fatalf("%v became %v, %v", row, back, err)
			}
		}
	})
}

func normal(row fleet.Row) fleet.Row {
	for i := range row {
		if len(row[i].Ints) == 0 {
			row[i].Ints = nil
		}
	}
	return row
}

func TestStatements(t *testing.T) {
	one, many := strings.Join(Statements("mail", ""), ";\n"), strings.Join(Statements("ma`il'", "c'l"), ";\n")
	for _, test := range []struct{ in, want string }{
		{one, "CREATE TABLE IF NOT EXISTS `mail`.`attempts` ("},
		{one, "ENGINE = ReplacingMergeTree(version)\nPARTITION BY toYYYYMM(toDate(intDiv(time, 86400000000)))\nORDER BY (`time`, origin, `id`)"},
		{one, "ENGINE = ReplacingMergeTree(version)\nORDER BY (origin, `id`)"},
		{many, "CREATE DATABASE IF NOT EXISTS `ma\\`il'` ON CLUSTER `c'l`"},
		{many, "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/ma`il\\'/attempts', '{replica}', version)"},
		{many, "CREATE TABLE IF NOT EXISTS `ma\\`il'`.`attempts` ON CLUSTER `c'l` AS `ma\\`il'`.`attempts_local` ENGINE = Distributed(`c'l`, `ma\\`il'`, `attempts_local`, sipHash64(origin))"},
	} {
		if !strings.Contains(test.in, test.want) {
			t.Errorf("no %s in\n%s", test.want, test.in)
		}
	}
	if strings.Contains(one, "CLUSTER") || strings.Contains(one, "Distributed") {
		t.Error("one node has no cluster")
	}
}

// A server that sends elsewhere, or whose answers have no end, gets an error: rows and the
// password go to no other server.
func TestHostileServers(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another server was asked: %v", r.Header)
	}))
	defer other.Close()
	zeros := make([]byte, 1<<16)
	endless := func(w io.Writer, part []byte) {
		for {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, err := z.Write(zeros)
	must(t, errors.Join(err, z.Close()))
	for name, c := range map[string]struct {
		want   string
		answer http.HandlerFunc
	}{
		"redirect": {"redirects to http://127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}},
		"redirect to a file": {"redirects to file://", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusSeeOther)
		}},
		"endless": {"has no end", func(w http.ResponseWriter, _ *http.Request) { endless(w, zeros) }},
		"bomb": {"has no end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			endless(w, bomb.Bytes())
		}},
		"endless error": {"no no no", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			endless(w, bytes.Repeat([]byte("no "), 1<<14))
		}},
	} {
		server := httptest.NewServer(c.answer)
		client, err := NewClient("clickhouse+http://joe@"+server.Listener.Addr().String(), environment(PasswordVariable, "secret"))
		must(t, err)
		for _, err := range []error{client.Exec(t.Context(), "SELECT"), client.Insert(t.Context(), "INSERT", []byte("rows"))} {
			if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 3000 {
				t.Errorf("%s: got %.300v, want %q", name, err, c.want)
			}
		}
		server.Close()
	}
}
