// Package web serves reports to browsers: a dashboard over the same view as the reports
// of the command line, the JSON report, and metrics for Prometheus. It only reads.
// Pages work without scripts and do not refer to other servers.
package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mailfail/registry"
	"mailfail/report/explain"
	"mailfail/store"
	"mailfail/templates"
)

// Options are the input of New.
type Options struct {
	DB       store.Database
	Rules    *registry.Rules
	Location *time.Location // of the times shown; nil is local time
	Now      func() time.Time
	Users    Users         // nil: anybody
	Hosts    []string      // names that requests may use; nil: any
	Warn     func(error)   // gets errors behind a page; nil: they are dropped
	Interval time.Duration // between looks for new lines, and between counts for metrics
}

// maxRequests is how many requests read the database at the same time.
const maxRequests = 4

// server serves the pages. A request takes a place in turns while it reads the database.
type server struct {
	Options
	pages   *template.Template
	explain explain.Explainer
	turns   chan struct{}
	live    chan struct{} // a place for each page that gets updates
}

// New returns the pages as a handler.
func New(opt Options) (http.Handler, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Location == nil {
		opt.Location = time.Local
	}
	if opt.Warn == nil {
		opt.Warn = func(error) {}
	}
	if opt.Interval == 0 {
		opt.Interval = 5 * time.Second
	}
	s := &server{
		Options: opt,
		explain: explain.Explainer{Rules: opt.Rules},
		turns:   make(chan struct{}, maxRequests),
		live:    make(chan struct{}, maxLive),
	}
	var err error
	if s.pages, err = template.New("").Funcs(pageFuncs).ParseFS(templates.Web, "web/*.html"); err != nil {
		return nil, fmt.Errorf("templates of the pages: %w", err)
	}
	return s.routes()
}

func (s *server) routes() (http.Handler, error) {
	files, err := fs.Sub(templates.Web, "web")
	if err != nil {
		return nil, err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(newCollector(s.DB, s.Now, s.Interval, s.Warn))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page(s.dashboard))
	mux.HandleFunc("GET /events", s.page(s.events))
	mux.HandleFunc("GET /message", s.page(s.message))
	mux.HandleFunc("GET /explain", s.page(s.explanation))
	mux.HandleFunc("GET /live", s.stream)
	mux.HandleFunc("GET /api/report", s.page(s.api))
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	static := http.StripPrefix("/static/", http.FileServerFS(files))
	mux.Handle("GET /static/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		static.ServeHTTP(w, r)
	}))
	return s.guard(mux), nil
}

// policy lets a page use files of this server, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src " +
	"'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard sets the headers of every answer, and refuses requests without permission.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !s.knows(r.Host) {
			http.Error(w, "this server is not known by that name", http.StatusMisdirectedRequest)
			return
		}
		if s.Users != nil && !s.Users.admit(r) {
			h.Set("WWW-Authenticate", `Basic realm="mailfail", charset="UTF-8"`)
			http.Error(w, "a user and a password are needed", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// requestError is an error in the request itself.
type requestError struct{ error }

// answer holds a page until its turn is over: clients that read slowly must not keep others
// waiting.
type answer struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// page wraps a function that makes a page or a document. It waits for its turn, and
// shows errors without details that strangers do not need.
func (s *server) page(make func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	inTurn := func(w http.ResponseWriter, r *http.Request) error {
		select {
		case s.turns <- struct{}{}:
			defer func() { <-s.turns }()
		case <-r.Context().Done():
			return r.Context().Err()
		}
		return make(w, r)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w}
		err := inTurn(a, r)
		var bad requestError
		switch {
		case err == nil:
			_, _ = a.body.WriteTo(w) // the browser may have closed the connection
		case r.Context().Err() != nil || errors.Is(err, context.Canceled):
		case errors.As(err, &bad):
			http.Error(w, templates.Printable(bad.Error()), http.StatusBadRequest)
		default:
			s.Warn(fmt.Errorf("serve %s: %w", r.URL.Path, err))
			http.Error(w, "the database cannot be read now; the log of mailfail serve has the reason",
				http.StatusServiceUnavailable)
		}
	}
}

// health reports whether the database can be read, and the time of its last line.
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	_, last, err := s.DB.Covered(r.Context())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch {
	case err != nil:
		s.Warn(fmt.Errorf("serve %s: %w", r.URL.Path, err))
		http.Error(w, "the database cannot be read", http.StatusServiceUnavailable)
	case last.IsZero():
		fmt.Fprintln(w, "ok: the database holds no lines yet")
	default:
		fmt.Fprintf(w, "ok: read until %s\n", last.UTC().Format(time.RFC3339))
	}
}
