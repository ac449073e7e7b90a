package registry

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// situations are all that advice may be asked for.
func situations() (list []Situation) {
	for _, d := range []Direction{DirectionOutgoing, DirectionLocal, DirectionIncoming} {
		for _, s := range []State{StatePending, StateDelivered, StateBounced, StateExpired, StateRemoved} {
			for _, by := range []DecidedBy{ByNothing, ByText, ByCode, ByStage, ByProvider} {
				for _, scattered := range []bool{false, true} {
					list = append(list, Situation{Direction: d, State: s, DecidedBy: by, Scattered: scattered})
				}
			}
		}
	}
	return list
}

// TestAdvice checks every line against what it must never say.
func TestAdvice(t *testing.T) {
	retry := regexp.MustCompile(`(?i)wait for the retry|will be accepted|is retried\.|retries go on|tries again`)
	remove := regexp.MustCompile(`(?i)^(remove|correct|drop) `)
	for _, info := range Reasons() {
		for _, provider := range []string{"", "Google", "Microsoft", "T-Online"} {
			for _, s := range situations() {
				s.Provider = provider
				got := Advice(info.Reason, s)
				ended := s.State == StateBounced || s.State == StateExpired
				switch {
				case got == "" || utf8.RuneCountInString(got) > 90 || strings.Contains(got, "\n"):
					t.Errorf("%s %+v: %q is no line", info.Reason, s, got)
				case ended && retry.MatchString(got):
					t.Errorf("%s %+v: promises a retry: %q", info.Reason, s, got)
				case ended && s.Direction == DirectionOutgoing && s.DecidedBy == ByCode && remove.MatchString(got) && info.Reason != "bad-address":
					t.Errorf("%s %+v: deletes an address for a code: %q", info.Reason, s, got)
				}
			}
		}
	}
}

func TestAdviceBySituation(t *testing.T) {
	tests := []struct {
		reason Reason
		s      Situation
		want   string
	}{
		{"mailbox-full", Situation{Direction: DirectionLocal}, "Raise the quota of this mailbox here"},
		{"mailbox-full", Situation{Direction: DirectionLocal, State: StateExpired}, "must send again"},
		{"mailbox-full", Situation{State: StateBounced}, "drop the address"},
		{"greylisted", Situation{}, "Wait: "},
		{"greylisted", Situation{State: StateExpired}, "try for longer"},
		{"system", Situation{State: StateBounced}, "has stopped trying"},
		{"user-unknown", Situation{State: StateBounced, DecidedBy: ByText}, "Remove the address"},
		{"user-unknown", Situation{State: StateBounced, DecidedBy: ByCode}, "Check the address"},
		{"blocklist", Situation{Provider: "Microsoft", State: StateBounced}, "sender.office.com"},
		{"blocklist", Situation{Provider: "Microsoft", Direction: DirectionIncoming}, "Your block list"},
		{"no-such-reason", Situation{}, "Read the reply"},
		{"connection", Situation{Scattered: true}, "mistyped or dead"},
		{"connection", Situation{Scattered: true, State: StateExpired}, "mistyped or dead"},
		{"connection", Situation{Scattered: true, Direction: DirectionLocal}, "Start the service on this host"},
		{"user-unknown", Situation{Scattered: true, State: StateBounced}, "Remove the address"},
	}
	for _, test := range tests {
		if got := Advice(test.reason, test.s); !strings.Contains(got, test.want) {
			t.Errorf("%s %+v: %q, want %q", test.reason, test.s, got, test.want)
		}
	}
	for _, bad := range []string{"advice nonsense\n  ended x\n", "advice dns\n  later x\n", "x\n", "  ended x\n"} {
		if _, err := parseAdvice(bad); err == nil {
			t.Errorf("parseAdvice(%q): no error", bad)
		}
	}
}
