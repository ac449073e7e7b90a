package registry

import "testing"

// Databases hold these numbers: a change here makes every older database mean
// something else.
func TestStoredNumbers(t *testing.T) {
	outcomes := []string{"", "delivered", "deferred", "failed", "rejected"}
	for i, name := range outcomes {
		if got := Outcome(i).String(); got != name {
			t.Errorf("outcome %d is %q, want %q", i, got, name)
		}
	}
	states := []string{"pending", "delivered", "bounced", "expired", "removed", "handed over", "replaced"}
	for i, name := range states {
		if got := State(i).String(); got != name {
			t.Errorf("state %d is %q, want %q", i, got, name)
		}
	}
	stages := []string{
		"", "connect", "banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data",
		"end-of-data", "quit", "local", "dns", "route",
	}
	for i, name := range stages {
		if got := Stage(i).String(); got != name {
			t.Errorf("stage %d is %q, want %q", i, got, name)
		}
	}
	sources := []string{"", "remote", "local", "network", "dns", "tls"}
	for i, name := range sources {
		if got := Source(i).String(); got != name {
			t.Errorf("source %d is %q, want %q", i, got, name)
		}
	}
	if len(outcomes) != len(outcomeNames) || len(states) != len(stateNames) ||
		len(stages) != len(stageNames) || len(sources) != len(sourceNames) {
		t.Error("a word was added: add it here too")
	}
}
