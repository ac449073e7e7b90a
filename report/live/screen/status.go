package screen

import (
	"sync"
	"time"

	"mailfail/store"
)

// Status is what the loop that reads the logs passes to the screen. No method waits for
// the terminal.
type Status struct {
	mu       sync.Mutex
	lines    store.Lines
	warnings uint64
	warning  string // the newest
	warned   time.Time
	alerts   []string // alerts that are on
	changes  []string // problems that an investigation found to go on
	ended    bool
}

// Lines adds the lines that were committed.
func (s *Status) Lines(n store.Lines) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines.Add(n)
}

// Warn shows a warning for a while.
func (s *Status) Warn(text string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warnings++
	s.warning, s.warned = text, now
}

// Alerts shows the alerts that are on.
func (s *Status) Alerts(on []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alerts = on
}

// Changes shows the problems that an investigation found to go on.
func (s *Status) Changes(found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = found
}

// Ended notes that there is nothing more to read.
func (s *Status) Ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

// status is a copy of Status for one frame.
type status struct {
	lines   store.Lines
	warning string
	warned  time.Time
	alerts  []string
	changes []string
	ended   bool
}

func (s *Status) get() status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return status{s.lines, s.warning, s.warned, s.alerts, s.changes, s.ended}
}
