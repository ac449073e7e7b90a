package investigate

import (
	"io"
	"time"

	"mailfail/registry"
	"mailfail/templates"
)

// jsonResult is the contract of mailfail investigate --format json.
type jsonResult struct {
	Schema     string        `json:"schema"`
	Window     jsonWindow    `json:"window"`
	Baseline   jsonBaseline  `json:"baseline"`
	Verdict    string        `json:"verdict"`
	Causes     []JSONProblem `json:"causes"`
	RuledOut   []string      `json:"ruled_out"`
	NoiseFloor jsonFloor     `json:"noise_floor"`
}

type jsonWindow struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

type jsonBaseline struct {
	Since *time.Time `json:"since"`
	Until *time.Time `json:"until"`
	Days  int        `json:"days"`
}

type jsonFloor struct {
	Recipients int `json:"recipients"`
	Missing    int `json:"missing"`
}

// JSONProblem is a Problem in the JSON of mailfail investigate.
type JSONProblem struct {
	Rank          int                `json:"rank"`
	Kind          string             `json:"kind"`
	Title         string             `json:"title"`
	Where         Where              `json:"where"`
	Common        []Common           `json:"common,omitempty"`
	Reason        string             `json:"reason"`
	Code          string             `json:"code"`
	Stage         string             `json:"stage"`
	Source        string             `json:"source"`
	New           bool               `json:"new"`
	NewCode       bool               `json:"new_code"`
	Began         time.Time          `json:"began"`
	BeganEarliest time.Time          `json:"began_earliest"`
	BeganLatest   time.Time          `json:"began_latest"`
	Ended         *time.Time         `json:"ended"`
	Recipients    int                `json:"recipients"`
	Failed        int                `json:"failed"`
	Waiting       int                `json:"waiting"`
	Expected      float64            `json:"expected"`
	Excess        float64            `json:"excess"`
	Share         float64            `json:"share"`
	RateBefore    float64            `json:"rate_before"`
	RateNow       float64            `json:"rate_now"`
	Score         float64            `json:"score"`
	Severity      string             `json:"severity"`
	Address       registry.Foreign   `json:"our_address,omitempty"`
	List          registry.Foreign   `json:"block_list,omitempty"`
	Examples      []registry.Foreign `json:"examples"`
	Meaning       string             `json:"meaning"`
	Action        string             `json:"action"`
	Next          []string           `json:"next"`
}

// JSON returns the problems in the form for JSON.
func (r *Result) JSON() []JSONProblem {
	list := []JSONProblem{}
	for i := range r.Problems {
		p := &r.Problems[i]
		j := JSONProblem{
			Rank:          i + 1,
			Kind:          p.Kind,
			Title:         p.Title().String(),
			Where:         p.Where,
			Common:        p.Common,
			Reason:        p.Reason,
			Code:          p.Code,
			Stage:         p.Stage,
			Source:        p.Source,
			New:           p.New,
			NewCode:       p.NewCode,
			Began:         p.Began,
			BeganEarliest: p.BeganEarliest,
			BeganLatest:   p.BeganLatest,
			Recipients:    p.Recipients,
			Failed:        p.Failed,
			Waiting:       p.Waiting,
			Expected:      round(p.Expected, 100),
			Excess:        round(p.Excess, 100),
			Share:         round(p.Share, 1e4),
			RateBefore:    round(p.RateBefore, 1e6),
			RateNow:       round(p.RateNow, 1e6),
			Score:         round(p.Score, 10),
			Severity:      p.Severity,
			Address:       p.Address,
			List:          p.List,
			Examples:      []registry.Foreign{},
			Meaning:       p.Meaning,
			Action:        p.Action,
			Next:          p.Next,
		}
		j.Examples = append(j.Examples, p.Examples...)
		if !p.Ended.IsZero() {
			j.Ended = &p.Ended
		}
		list = append(list, j)
	}
	return list
}

func round(x, to float64) float64 { return float64(int64(x*to+0.5)) / to }

// WriteJSON writes the result as JSON, schema mailfail/investigate/1.
func (r *Result) WriteJSON(w io.Writer) error {
	j := jsonResult{
		Schema:     "mailfail/investigate/1",
		Window:     jsonWindow{r.Since, r.Until},
		Baseline:   jsonBaseline{Days: r.Baseline.Days},
		Verdict:    r.Verdict().String(),
		Causes:     r.JSON(),
		RuledOut:   append([]string{}, r.RuledOut...),
		NoiseFloor: jsonFloor{r.NoiseFloor, r.MissingFloor},
	}
	if r.Baseline.Days > 0 {
		j.Baseline.Since, j.Baseline.Until = &r.Baseline.Since, &r.Baseline.Until
	}
	if len(r.Problems) == 0 {
		for _, l := range r.Limits() {
			j.Verdict += " " + l.String()
		}
	}
	return templates.WriteJSON(w, j, "  ")
}
