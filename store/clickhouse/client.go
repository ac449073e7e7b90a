// Package clickhouse keeps the rows of many hosts on ClickHouse: it sends rows there, and
// answers questions over all hosts.
//
// It uses plain HTTP, which servers of all versions understand, and SQL that both version
// 18.16 and present versions accept.
package clickhouse

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

// NewClient reads these variables, because a URL must not contain a password: other users
// can see command lines.
const (
	PasswordVariable     = "MAILFAIL_CLICKHOUSE_PASSWORD"
	PasswordFileVariable = "MAILFAIL_CLICKHOUSE_PASSWORD_FILE"
	CAVariable           = "MAILFAIL_CLICKHOUSE_CA"
)

// IsURL reports whether name is a URL of this package.
func IsURL(name string) bool {
	return strings.HasPrefix(name, "clickhouse://") || strings.HasPrefix(name, "clickhouse+http://")
}

// Client sends requests to one server.
type Client struct {
	http     *http.Client
	address  string // http://host:port/
	name     string // for messages: without user and password
	user     string
	password string
	database string
}

// NewClient returns a client for a URL like clickhouse://user@host:8443/database, or
// clickhouse+http:// without TLS. The password comes from $MAILFAIL_CLICKHOUSE_PASSWORD, or
// from the first line of the file that $MAILFAIL_CLICKHOUSE_PASSWORD_FILE names.
// $MAILFAIL_CLICKHOUSE_CA may name a file of certificates; one of them must have signed the
// certificate of the server.
func NewClient(name string, getenv func(string) string) (*Client, error) {
	u, err := url.Parse(name)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is not a URL like clickhouse://user@host:8443/database",
			withoutPassword(name))
	}
	c := &Client{user: u.User.Username(), database: strings.Trim(u.Path, "/")}
	if _, ok := u.User.Password(); ok {
		return nil, fmt.Errorf(
			"the password of %s does not belong into the URL, which others can see: put it into $%s, or "+
				"into a file that $%s names", u.Redacted(), PasswordVariable, PasswordFileVariable)
	}
	if c.database == "" {
		c.database = "default"
	}
	if strings.Contains(c.database, "/") || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%s: want no more than clickhouse://user@host:8443/database", u.Redacted())
	}
	scheme, port := "https", "8443"
	if u.Scheme == "clickhouse+http" {
		scheme, port = "http", "8123"
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), port)
	}
	c.address = scheme + "://" + host + "/"
	c.name = u.Scheme + "://" + host + "/" + c.database
	if c.password, err = password(getenv); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if transport.TLSClientConfig, err = tlsConfig(getenv(CAVariable)); err != nil {
		return nil, err
	}
	transport.ResponseHeaderTimeout = patience
	transport.DisableCompression = true // nobody asks for it, and a small answer stays small
	c.http = &http.Client{
		Transport: transport,
		// Never send rows and the password to a server that the user did not name.
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			return fmt.Errorf("it redirects to %s://%s, which is not followed", r.URL.Scheme, r.URL.Host)
		},
	}
	return c, nil
}

// patience is how long a server may take to begin its answer. Servers with a node that
// hangs wait for minutes.
const patience = 10 * time.Minute

// String returns the URL of the server without user and password.
func (c *Client) String() string { return c.name }

func withoutPassword(name string) string {
	return regexp.MustCompile(`//[^/@]*@`).ReplaceAllString(name, "//…@")
}

func password(getenv func(string) string) (string, error) {
	if path := getenv(PasswordFileVariable); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the password of ClickHouse: %w", err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		return strings.TrimRight(line, "\r"), nil
	}
	return getenv(PasswordVariable), nil
}

func tlsConfig(ca string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca == "" {
		return config, nil
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("read the certificates for ClickHouse: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the certificates for ClickHouse: %s has none in PEM", ca)
	}
	return config, nil
}

// Exec runs a statement.
func (c *Client) Exec(ctx context.Context, query string) error {
	answer, err := c.post(ctx, nil, strings.NewReader(query), false)
	if err != nil {
		return err
	}
	return finish(answer)
}

// finish reads the rest of an answer that has no rows.
func finish(answer io.ReadCloser) error {
	defer answer.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(answer, maxRest))
	if err == nil && n == maxRest {
		err = errors.New("the answer to a statement has no end: is this a ClickHouse server?")
	}
	return err
}

// maxRest is far more than the answer to a statement without rows takes: a line for each
// host of a cluster.
const maxRest = 1 << 20

// Insert sends a statement followed by rows in RowBinary.
func (c *Client) Insert(ctx context.Context, statement string, rows []byte) error {
	var body bytes.Buffer
	z, _ := gzip.NewWriterLevel(&body, gzip.BestSpeed)
	if _, err := z.Write(rows); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	// With a cluster, the server answers after the rows have reached their shards.
	answer, err := c.post(ctx, url.Values{
		"query":                   {statement},
		"insert_distributed_sync": {"1"},
	}, &body, true)
	if err != nil {
		return err
	}
	return finish(answer)
}

// Query returns the answer to a query. The server completes the answer before it sends the
// first byte, so that no error can be in its middle. Users who may only read can use this
// request, and no server is too old for it.
func (c *Client) Query(ctx context.Context, query string) (io.ReadCloser, error) {
	return c.post(ctx, url.Values{"wait_end_of_query": {"1"}}, strings.NewReader(query), false)
}

// Stream is Query for answers that are large, which the server sends as it makes them. If it
// fails midway, its message is in the answer.
func (c *Client) Stream(ctx context.Context, query string) (io.ReadCloser, error) {
	return c.post(ctx, nil, strings.NewReader(query), false)
}

func (c *Client) post(ctx context.Context, values url.Values, body io.Reader,
	zipped bool) (io.ReadCloser, error) {
	if values == nil {
		values = url.Values{}
	}
	values.Set("database", c.database)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address+"?"+values.Encode(), body)
	if err != nil {
		return nil, c.explain(err)
	}
	if zipped {
		request.Header.Set("Content-Encoding", "gzip")
	}
	if c.user != "" {
		request.Header.Set("X-ClickHouse-User", c.user)
		request.Header.Set("X-ClickHouse-Key", c.password)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.explain(err)
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 2000))
		return nil, c.explain(complaint(answer.Status, string(text)))
	}
	return &reply{answer.Body, c}, nil
}

// reply is an answer whose errors name the server.
type reply struct {
	io.ReadCloser
	c *Client
}

func (b *reply) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.c.explain(err)
	}
	return n, err
}

// Error is an error that a server reports.
type Error struct {
	Code int // 0 unknown
	Text string
}

func (e *Error) Error() string { return e.Text }

var codePattern = regexp.MustCompile(`^Code: (\d+)`)

func complaint(status, text string) error {
	e := &Error{Text: strings.TrimSpace(text)}
	if m := codePattern.FindStringSubmatch(e.Text); m != nil {
		fmt.Sscan(m[1], &e.Code)
	}
	if e.Text == "" {
		e.Text = status
	}
	line, _, _ := strings.Cut(e.Text, "\n")
	e.Text = strings.TrimSpace(line)
	return e
}

func (c *Client) explain(err error) error {
	hint := ""
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the URL contains the statement
	}
	var e *Error
	if errors.As(err, &e) {
		switch e.Code {
		case 60, 81:
			hint = ": `mailfail db init --to …` makes the database and its tables"
		case 192, 193, 194, 516:
			hint = fmt.Sprintf(": the password comes from $%s, or from a file that $%s names",
				PasswordVariable,
				PasswordFileVariable)
		}
	}
	return fmt.Errorf("ClickHouse at %s: %w%s", c.name, err, hint)
}

// quote returns s as an SQL string literal.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`, "\n", `\n`, "\r", `\r`, "\t",
		`\t`).Replace(s) + "'"
}

// quoteName returns the name of a table or a cluster as an SQL identifier.
func quoteName(s string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(s) + "`"
}
