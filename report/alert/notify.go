package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"mailfail/registry"
)

const (
	queued      = 32 // alerts that wait for one receiver
	tries       = 4
	firstPause  = 2 * time.Second // before the second try; doubled before each further one
	longestWait = time.Minute     // at most, whatever a server asks for
	webTimeout  = 10 * time.Second
	maxHeaders  = 64 << 10 // bytes of an answer
	execTimeout = time.Minute
	maxOutput   = 4096 // bytes of a program's output that are kept
)

// A Receiver is sent every alert.
type Receiver interface {
	// Receive gets the JSON of one alert.
	Receive(ctx context.Context, body []byte) error
	String() string
}

// Sender passes alerts on to receivers, to each in order and independently, so that a
// slow receiver delays neither the others nor the caller.
type Sender struct {
	warn   func(error)
	queues []chan []byte
	done   sync.WaitGroup
}

// NewSender returns a Sender, which works until Close. The end of ctx interrupts
// deliveries that are under way. warn gets the errors.
func NewSender(ctx context.Context, receivers []Receiver, warn func(error)) *Sender {
	s := &Sender{warn: warn}
	for _, r := range receivers {
		q := make(chan []byte, queued)
		s.queues = append(s.queues, q)
		s.done.Go(func() {
			for body := range q {
				if err := r.Receive(ctx, body); err != nil {
					warn(fmt.Errorf("pass an alert on to %s: %w", r, err))
				}
			}
		})
	}
	return s
}

// Send queues an alert for every receiver, without waiting. When a queue is full, it
// calls warn and drops the alert for that receiver.
func (s *Sender) Send(a Alert) {
	body, err := json.Marshal(a)
	if err != nil {
		s.warn(err)
		return
	}
	body = registry.EscapeJSON(body) // programs write it to logs and terminals
	for _, q := range s.queues {
		select {
		case q <- body:
		default:
			s.warn(fmt.Errorf("cannot pass an alert on: %d alerts already wait for this receiver", queued))
		}
	}
}

// Close waits until all alerts that were sent have been passed on.
func (s *Sender) Close() {
	for _, q := range s.queues {
		close(q)
	}
	s.done.Wait()
}

// program is a Receiver that runs a program for each alert.
type program struct{ path string }

// Program returns a Receiver that runs a program without arguments and without
// a shell, with the JSON on its standard input. Nothing from a log becomes part
// of a command line or of the environment.
func Program(path string) (Receiver, error) {
	found, err := exec.LookPath(path)
	if err != nil {
		return nil, fmt.Errorf("find the program for alerts: %w", err)
	}
	return program{found}, nil
}

func (p program) String() string { return p.path }

func (p program) Receive(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path)
	cmd.Stdin = bytes.NewReader(body)
	output := &head{max: maxOutput}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = time.Second // a grandchild may keep the pipes open
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("the program ran longer than %v and was killed", execTimeout)
	}
	if said := strings.TrimSpace(output.String()); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// head keeps the beginning of what is written to it.
type head struct {
	bytes.Buffer
	max int
}

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), max(0, h.max-h.Len()))])
	return len(p), nil
}

type webhook struct {
	url    *url.URL
	client *http.Client
	pause  func(ctx context.Context, d time.Duration) error
}

// Webhook returns a Receiver that posts the JSON to a URL. A server that does
// not answer, or answers 429 or 5xx, is tried again a few times.
func Webhook(address string) (Receiver, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New(
			"cannot read the address as an http or https URL (try https://host/path)")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = maxHeaders
	client := &http.Client{
		Transport: transport,
		Timeout:   webTimeout,
		// Never send the alert to a server that the user did not name.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &webhook{u, client, pause}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// String names the server only: the path of a webhook is often a secret.
func (w *webhook) String() string { return w.url.Host }

func (w *webhook) Receive(ctx context.Context, body []byte) error {
	wait := firstPause
	for try := 1; ; try++ {
		again, asked, err := w.post(ctx, body)
		if err == nil || !again || try == tries {
			return err
		}
		if err := w.pause(ctx, max(wait, min(asked, longestWait))); err != nil {
			return err
		}
		wait *= 2
	}
}

// post sends the JSON once. It reports whether to send it again, and how long the
// server asks to wait for that.
func (w *webhook) post(ctx context.Context, body []byte) (again bool, wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(body))
	if err != nil {
		return false, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "mailfail")
	resp, err := w.client.Do(req)
	if err != nil {
		var withURL *url.Error
		if errors.As(err, &withURL) {
			err = withURL.Err
		}
		return ctx.Err() == nil, 0, err
	}
	defer resp.Body.Close()
	// The connection can be used again only after the body was read. An error in the
	// body changes nothing.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	if resp.StatusCode/100 == 2 {
		return false, 0, nil
	}
	again = resp.StatusCode/100 == 5 || resp.StatusCode == http.StatusTooManyRequests
	return again, retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		fmt.Errorf("the server answered %s", resp.Status)
}

// retryAfter reads the header Retry-After: seconds, or a date. It returns 0 for a value
// that it cannot read.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return at.Sub(now)
	}
	return 0
}
