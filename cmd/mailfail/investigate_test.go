package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/parsers/parserstest/sites"
)

// From the logs alone the first five lines name the place of an incident, and
// JSON its dimensions.
func TestInvestigateFiles(t *testing.T) {
	takesLong(t)
	for _, tt := range []struct {
		mta, kind string
		seed      uint64
	}{{"postfix", "dmarc", 7}, {"exim", "content", 4}, {"exchange", "provider-block", 2}} {
		t.Run(tt.mta, func(t *testing.T) {
			s := sites.Make(sites.Options{Seed: tt.seed, Kind: tt.kind, Messages: 700, Hosts: 1, Days: 4})
			path := filepath.Join(t.TempDir(), "mail.log")
			writeSite(t, s, path, tt.mta, s.End)
			args := []string{"investigate", "--tz", "UTC", "--log-host", s.Hosts[0], "--day", s.Last.Format(time.DateOnly), path}

			lines := strings.Split(investigateOutput(t, args...), "\n")
			answer := strings.Join(lines[:5], " ")
			for key, value := range s.Truth.Where[0] {
				if !strings.Contains(answer, value) {
					t.Errorf("the first five lines do not name the %s %q:\n%s", key, value, answer)
				}
			}
			var got struct {
				Schema string
				Causes []struct {
					Kind   string
					Where  map[string]string
					Reason string
					Began  time.Time
					Next   []string
				}
			}
			if err := json.Unmarshal([]byte(investigateOutput(t, append(args, "--format", "json")...)), &got); err != nil {
				t.Fatal(err)
			}
			if got.Schema != "mailfail/investigate/1" || len(got.Causes) == 0 {
				t.Fatalf("%+v", got)
			}
			first := got.Causes[0]
			for key, value := range s.Truth.Where[0] {
				if first.Where[key] != value {
					t.Errorf("%s is %q, want %q", key, first.Where[key], value)
				}
			}
			if d := first.Began.Sub(s.Truth.Begin); d < -10*time.Minute || d > 30*time.Minute {
				t.Errorf("began %s, want %s", first.Began, s.Truth.Begin)
			}
			if len(first.Next) == 0 || !strings.HasPrefix(first.Next[0], "mailfail events --since ") {
				t.Errorf("next: %q", first.Next)
			}
		})
	}
}

// A quiet day has no cause, and --exit-code tells the days apart.
func TestInvestigateExitCode(t *testing.T) {
	takesLong(t)
	for kind, want := range map[string]int{"working-day": 0, "dmarc": 1} {
		s := sites.Make(sites.Options{Seed: 7, Kind: kind, Messages: 500, Hosts: 1, Days: 4})
		path := filepath.Join(t.TempDir(), "mail.log")
		writeSite(t, s, path, "postfix", s.End)
		var out, errs bytes.Buffer
		code := run([]string{"investigate", "--tz", "UTC", "--exit-code", path}, strings.NewReader(""), &out, &errs)
		if code != want || errs.Len() > 0 {
			t.Errorf("%s: exit code %d, want %d\n%s%s", kind, code, want, out.String(), errs.String())
		}
	}
}

func writeSite(t *testing.T, s *sites.Site, path, mta string, until time.Time) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.WriteLog(f, mta, s.Hosts[0], until); err != nil {
		t.Fatal(err)
	}
}

func investigateOutput(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(args, strings.NewReader(""), &out, &errs); code != 0 || errs.Len() > 0 {
		t.Fatalf("mailfail %q: exit code %d\n%s", args, code, errs.String())
	}
	return out.String()
}
