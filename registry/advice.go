package registry

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed advice.txt
var adviceText string

// Situation is what advice depends on besides the reason. The zero value is a recipient
// on another server that is still retried.
type Situation struct {
	Provider  string // as Provider returns it
	Direction Direction
	State     State     // of the recipient
	DecidedBy DecidedBy // the evidence for the reason
	Scattered bool      // failures at many domains, few at each; other mail was delivered
}

// The keys of advice.txt.
const (
	adviceWaiting    = "waiting"
	adviceEnded      = "ended"
	adviceUnsure     = "unsure"
	adviceLocal      = "local"
	adviceLocalEnded = "local-ended"
	adviceIncoming   = "incoming"
	adviceScattered  = "scattered"
)

// fallbacks returns the keys to look up, in order.
func (s *Situation) fallbacks() []string {
	ended := s.State == StateBounced || s.State == StateExpired || s.State == StateRemoved
	switch {
	case s.Direction == DirectionIncoming:
		return []string{adviceIncoming, adviceEnded}
	case s.Direction == DirectionLocal && ended:
		return []string{adviceLocalEnded, adviceLocal, adviceEnded}
	case s.Direction == DirectionLocal:
		return []string{adviceLocal, adviceWaiting}
	}
	var keys []string
	if s.Scattered {
		keys = append(keys, adviceScattered)
	}
	switch {
	case ended && s.DecidedBy == ByCode:
		return append(keys, adviceUnsure, adviceEnded)
	case ended:
		return append(keys, adviceEnded)
	}
	return append(keys, adviceWaiting)
}

// Advice returns one line that advises on failures of a reason in a situation. It never
// promises a retry for a recipient that has a final state, and never advises to delete an
// address because of a code alone.
func Advice(r Reason, s Situation) string {
	table := advice()
	for _, key := range s.fallbacks() {
		if s.Provider != "" && s.Direction == DirectionOutgoing {
			if line, ok := table[adviceKey{r, s.Provider, key}]; ok {
				return line
			}
		}
		if line, ok := table[adviceKey{r, "", key}]; ok {
			return line
		}
	}
	return r.Info().Brief
}

// adviceKey is the key of a line of advice.
type adviceKey struct {
	reason         Reason
	provider, when string
}

var advice = sync.OnceValue(func() map[adviceKey]string {
	table, err := parseAdvice(adviceText)
	if err != nil {
		panic(err) // a test reads the embedded file
	}
	return table
})

func parseAdvice(text string) (map[adviceKey]string, error) {
	blocks, err := parseBlocks(text)
	if err != nil {
		return nil, fmt.Errorf("advice: %w", err)
	}
	table := map[adviceKey]string{}
	for _, b := range blocks {
		name, provider, _ := strings.Cut(b.name, " of ")
		if _, ok := reasonTable()[Reason(name)]; !ok || b.kind != "advice" {
			return nil, fmt.Errorf("advice: line %d: want \"advice REASON\"", b.line)
		}
		for _, f := range b.fields {
			switch f.key {
			case adviceWaiting, adviceEnded, adviceUnsure, adviceLocal, adviceLocalEnded, adviceIncoming,
				adviceScattered:
			default:
				return nil, fmt.Errorf("advice: line %d: unknown situation %q", f.line, f.key)
			}
			table[adviceKey{Reason(name), provider, f.key}] = f.value
		}
	}
	return table, nil
}
