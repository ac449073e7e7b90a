// Measure reports how often an investigation is right on sites with known incidents,
// and how often it raises false alarms on quiet days. The table of docs/investigate.md
// is its output.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailfail/parsers/parserstest/sites"
	"mailfail/registry"
	"mailfail/report/investigate"
)

func main() {
	seeds := flag.String("seeds", "1-20", "seeds, one site of each kind")
	kinds := flag.String("kinds", "", "only these kinds")
	messages := flag.Int("messages", 0, "messages a day; 0: drawn from 400 to -most")
	most := flag.Int("most", 50_000, "the most messages a day that are drawn")
	mta := flag.String("logs", "",
		"write logs of this server (postfix, exim, exchange) and investigate them; else the site itself")
	write := flag.String("write", "", "only write the logs of the first seed and kind into this folder")
	verbose := flag.Bool("v", false, "print what went wrong")
	without := flag.String("without", "",
		"leave out these parts of the method; all: each in turn, a row of a table each")
	flag.Parse()
	from, to := seedRange(*seeds)
	list := slices.Concat(sites.Incidents, sites.QuietDays)
	if *kinds != "" {
		list = strings.Split(*kinds, ",")
	}
	if *write != "" {
		s := sites.Make(sites.Options{Seed: from, Kind: list[0], Messages: *messages, Most: *most})
		if err := writeLogs(s, *write, cmp.Or(*mta, "postfix"), untilOf(s, from)); err != nil {
			fatal(err)
		}
		fmt.Printf("%+v\n", s.Truth.Where)
		return
	}
	if *without == "all" {
		ablate(from, to, list, *messages, *most)
		return
	}
	var left []investigate.Part
	for name := range strings.FieldsFuncSeq(*without, func(r rune) bool { return r == ',' }) {
		if !slices.Contains(investigate.Parts, investigate.Part(name)) {
			fatal(fmt.Errorf("unknown part %q; want all or some of %v", name, investigate.Parts))
		}
		left = append(left, investigate.Part(name))
	}
	t := &table{}
	for seed := from; seed <= to; seed++ {
		for _, kind := range list {
			t.add(measure(sites.Options{
				Seed:     seed,
				Kind:     kind,
				Messages: *messages,
				Most:     *most,
			}, *mta, *verbose, left))
		}
	}
	t.print()
}

func seedRange(s string) (from, to uint64) {
	a, b, ok := strings.Cut(s, "-")
	from, _ = strconv.ParseUint(a, 10, 64)
	to, _ = strconv.ParseUint(b, 10, 64)
	if !ok {
		to = from
	}
	return from, to
}

// outcome is the judgement about one site. hit1 and hit3 report that the first problem,
// or one of up to three, is the incident, and level that the first one names the right
// dimensions. error is how many minutes the named begin is late.
type outcome struct {
	kind              string
	messages          int
	incident, floor   bool // it is an incident; it is large enough to be seen
	hit1, level, hit3 bool
	abrupt, missing   bool
	began             bool // within ten minutes
	dense             bool // the incident affected ten recipients or more in its first hour
	error             float64
	knowable          float64 // the probability that the best estimate lies within ten minutes of the begin
	covered           bool    // the begin lies in the interval
	counted           bool    // the number of recipients is right within a tenth
	alarms            int
	superfluous       int
	took              time.Duration
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "measure:", err)
	os.Exit(1)
}

// untilOf draws the time until which the site is investigated: the end of the day, or
// earlier.
func untilOf(s *sites.Site, seed uint64) time.Time {
	r := rand.New(rand.NewPCG(seed, 99))
	until := s.End
	if t := &s.Truth; t.Soon {
		until = t.Begin.Add(time.Duration((17 + 20*r.Float64()) * float64(time.Minute))).Truncate(
			time.Minute)
	} else if t.Incident && r.IntN(2) == 0 { // in the middle of it
		until = t.Begin.Add(time.Duration((1 + 3*r.Float64()) * float64(time.Hour))).Truncate(time.Minute)
		if until.After(s.End) {
			until = s.End
		}
	} else if !t.Incident && r.IntN(2) == 0 {
		until = s.Last.Add(time.Duration((8 + 15*r.Float64()) * float64(time.Hour))).Truncate(time.Minute)
	}
	return until
}

// sinceOf draws the begin of the investigated window: that of the last day, or 24 hours
// ago.
func sinceOf(s *sites.Site, seed uint64, until time.Time) time.Time {
	if rand.New(rand.NewPCG(seed, 98)).IntN(2) == 0 {
		return s.Last
	}
	const quarter = 15 * time.Minute // a window begins on one
	return until.AddDate(0, 0, -1).Add(quarter - 1).Truncate(quarter)
}

func measure(opt sites.Options, mta string, verbose bool, without []investigate.Part) outcome {
	s := sites.Make(opt)
	until := untilOf(s, opt.Seed)
	since := sinceOf(s, opt.Seed, until)
	var result *investigate.Result
	var start time.Time
	if mta != "" {
		var err error
		start = time.Now()
		if result, err = fromLogs(s, mta, since, until); err != nil {
			fatal(err)
		}
	} else {
		data := newData(s, since, until)
		data.Without = without
		start = time.Now()
		result = investigate.Analyze(data)
	}
	o := judge(s, result, until)
	o.took = time.Since(start)
	if bad := o.incident && o.floor && (!o.hit1 || !o.level || o.superfluous > 0 ||
		o.abrupt && (!o.began || !o.covered)) || !o.incident && o.alarms > 0; verbose && bad {
		fmt.Printf("%s seed %d, %d messages a day, %d hosts, until %s: hit1 %v level %v hit3 %v began %v "+
			"(%.0f min, %.0f %% at best)\n  truth %v %v since %s until %s, %d met\n", opt.Kind, opt.Seed,
			o.messages, len(s.Hosts), until.Format("15:04"), o.hit1, o.level, o.hit3, o.began, o.error,
			100*o.knowable, s.Truth.Where, s.Truth.Reasons, s.Truth.Begin.Format("15:04"),
			s.Truth.End.Format("15:04"), len(s.Truth.Met))
		if s.Truth.Second != nil {
			fmt.Printf("  and   %v %v since %s, %d met\n", s.Truth.Second.Where, s.Truth.Second.Reasons,
				s.Truth.Second.Begin.Format("15:04"), len(s.Truth.Second.Met))
		}
		for _, p := range result.Problems {
			fmt.Printf("  found %s %v %s since %s (%s-%s) ended %s: %d of %d, expected %.1f, score "+
				"%.0f %s\n", p.Kind, where(&p), p.Reason, p.Began.Format("15:04"),
				p.BeganEarliest.Format("15:04"), p.BeganLatest.Format("15:04"), clock(p.Ended), p.Recipients,
				p.Tried, p.Expected, p.Score, p.Severity)
		}
		if g := result.Strongest; g != nil {
			fmt.Printf("  strongest %v %s: %d, expected %.1f, score %.0f\n", g.Where, g.Reason, g.Recipients,
				g.Expected, g.Score)
		}
	}
	return o
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("15:04")
}

// where returns the dimensions that the truth uses.
func where(p *investigate.Problem) map[string]string {
	m := map[string]string{}
	for _, kv := range [][2]registry.Foreign{{"provider", p.Where.Provider}, {"platform", p.Where.Platform},
		{"domain", p.Where.Domain}, {"sender_domain", p.Where.SenderDomain},
		{"host", p.Where.Host}, {"direction", registry.Foreign(p.Where.Direction)}, {"relay", p.Where.Relay}, {"account", p.Where.Account}, {"client", p.Where.Client}} {
		if kv[1] != "" {
			m[kv[0].Raw()] = kv[1].Raw()
		}
	}
	return m
}

// sameWhere compares the dimensions that the truth names.
func sameWhere(got map[string]string, want []map[string]string) bool {
	for _, w := range want {
		same := true
		for _, k := range []string{"provider", "platform", "domain", "sender_domain", "host", "relay",
			"direction"} {
			g := got[k]
			if k == "relay" && w["relay"] == "" {
				continue
			}
			if g != w[k] {
				same = false
			}
		}
		if same {
			return true
		}
	}
	return false
}

// right reports whether a problem is the incident, at any level: it shares a dimension,
// or is above or below it, at the same time.
func right(p *investigate.Problem, s *sites.Site, t *sites.Truth) bool {
	if !p.Ended.IsZero() && p.Ended.Before(t.Begin) || p.BeganEarliest.After(t.End) && !t.End.IsZero() {
		return false
	}
	if t.Missing != (p.Kind != investigate.Failures) || t.Untried && p.Kind == investigate.MissingMail {
		return false
	}
	if !t.Missing && len(t.Reasons) > 0 && !slices.Contains(t.Reasons, p.Reason) {
		return false
	}
	got := where(p)
	for k, v := range s.Operator(got["domain"]) {
		got[k] = v
	}
	for _, w := range t.Where {
		clash, shared := false, len(w) == 0 || len(got) == 0
		for k, v := range w {
			if g, ok := got[k]; ok && g == v {
				shared = true
			} else if ok {
				clash = true
			}
		}
		if !clash && shared {
			return true
		}
	}
	return false
}

func judge(s *sites.Site, r *investigate.Result, until time.Time) outcome {
	t := &s.Truth
	o := outcome{
		kind:     t.Kind,
		messages: len(s.Messages) / 9,
		incident: t.Incident,
		abrupt:   t.Abrupt,
		missing:  t.Missing,
	}
	var alarms []investigate.Problem
	for _, p := range r.Problems {
		if (p.Severity != investigate.Remark || t.Incident) && !isEarlier(&p, s, r) {
			alarms = append(alarms, p)
		}
	}
	o.alarms = len(alarms)
	if !t.Incident {
		return o
	}
	met := metBefore(t, until)
	floor := r.NoiseFloor
	if t.Missing && !t.Untried {
		floor = r.MissingFloor
	}
	o.floor = met >= floor && (t.Soon || until.Sub(t.Begin) >= 30*time.Minute)
	truths := []*sites.Truth{t}
	if t.Second != nil {
		truths = append(truths, t.Second)
		if metBefore(t.Second, until) > met {
			truths[0], truths[1] = truths[1], truths[0]
			o.floor = metBefore(t.Second, until) >= r.NoiseFloor
		}
	}
	named := make([]bool, len(truths)) // a second problem of one cause is superfluous
	for i := range alarms {
		p := &alarms[i]
		ok := false
		for j, truth := range truths {
			if !right(p, s, truth) {
				continue
			}
			ok = ok || !named[j]
			named[j] = true
			if i == 0 {
				o.hit1 = true
				o.level = sameWhere(where(p), truth.Where)
				o.error = p.Began.Sub(truth.Begin).Minutes()
				o.began = math.Abs(o.error) <= 10
				o.dense = metBefore(truth, truth.Begin.Add(time.Hour)) >= 10
				o.knowable = knowable(truth)
				o.counted = nearly(p.Recipients, metBefore(truth, until))
				o.covered = !truth.Begin.Before(p.BeganEarliest) && !truth.Begin.After(p.BeganLatest)
			}
			if j == 0 || i == 0 {
				o.hit3 = true
			}
		}
		if !ok {
			o.superfluous++
		}
	}
	return o
}

// isEarlier reports whether a problem is an incident of the day before, reported as
// over, that affected enough recipients in the window. It is not a false alarm, because
// the last 24 hours contain the incident; its retries alone would be one.
func isEarlier(p *investigate.Problem, s *sites.Site, r *investigate.Result) bool {
	t := s.Truth.Earlier
	if t == nil || p.Ended.IsZero() || p.Ended.After(t.End.Add(30*time.Minute)) || !right(p, s, t) {
		return false
	}
	met := 0
	for _, at := range t.Met {
		met += one(!at.Before(r.Since))
	}
	return met >= r.NoiseFloor
}

// knowable returns the probability that the best possible estimate of a begin lies
// within ten minutes of it. From a log only the last recipient before the incident and
// the first affected one are known; a gap of more than twenty minutes between them
// leaves a choice. For missing mail only the last mail that came is known. When the
// next mail is expected after a time of T, the begin lies within 20 minutes after the
// last with a probability of 1 − exp(−20/T).
func knowable(t *sites.Truth) float64 {
	if t.Missing {
		perMinute := float64(metBefore(t, t.Begin.Add(time.Hour))) / 60
		return -math.Expm1(-20 * perMinute)
	}
	if t.Fine.IsZero() || len(t.Met) == 0 || t.Soon { // their begin is drawn near the mail
		return 1
	}
	first := slices.MinFunc(t.Met, time.Time.Compare)
	return min(1, 20/max(1, first.Sub(t.Fine).Minutes()))
}

// metBefore returns how many recipients an incident affected until a time.
func metBefore(t *sites.Truth, until time.Time) int {
	n := 0
	for _, at := range t.Met {
		if at.Before(until) {
			n++
		}
	}
	return n
}

// nearly reports whether a is within a tenth of b.
func nearly(a, b int) bool { return 10*max(a-b, b-a) <= b }

type table struct{ all []outcome }

func (t *table) add(o outcome) { t.all = append(t.all, o) }

func (t *table) print() {
	fmt.Println("| incidents | sites | above the floor | first cause right | and its level | among three " +
		"| begin within 10 min | at best | of those that ten met in the first hour | begin in its " +
		"interval | causes too many |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, kind := range sites.Incidents {
		t.incidents(kind, func(o *outcome) bool { return o.kind == kind })
	}
	for _, size := range [][2]int{{0, 1500}, {1500, 8000}, {8000, 100_000}, {100_000, 1 << 30}} {
		t.incidents(fmt.Sprintf("%d messages a day or more", size[0]), func(o *outcome) bool {
			return o.messages >= size[0] && o.messages < size[1]
		})
	}
	t.incidents("missing mail", func(o *outcome) bool { return o.missing })
	t.incidents("failures", func(o *outcome) bool { return !o.missing })
	t.incidents("all", func(*outcome) bool { return true })
	fmt.Println()
	fmt.Println("| quiet days | days | with an alarm |")
	fmt.Println("| --- | --- | --- |")
	for _, kind := range append(slices.Clone(sites.QuietDays), "all") {
		n, alarms := 0, 0
		for i := range t.all {
			if o := &t.all[i]; !o.incident && (kind == "all" || o.kind == kind) {
				n++
				if o.alarms > 0 {
					alarms++
				}
			}
		}
		if n > 0 {
			fmt.Printf("| %s | %d | %s |\n", kind, n, share(alarms, n))
		}
	}
	var took time.Duration
	for i := range t.all {
		took = max(took, t.all[i].took)
	}
	fmt.Fprintf(os.Stderr, "the longest analysis took %v\n", took.Round(time.Millisecond))
}

func (t *table) incidents(name string, want func(*outcome) bool) {
	var n, seen, hit1, level, hit3, abrupt, began, dense, denseBegan, covered, many int
	knowable := 0.0
	for i := range t.all {
		o := &t.all[i]
		if !o.incident || !want(o) {
			continue
		}
		n++
		if !o.floor {
			continue
		}
		seen++
		hit1 += one(o.hit1)
		level += one(o.hit1 && o.level)
		hit3 += one(o.hit3)
		if o.abrupt && o.hit1 {
			abrupt++
			began += one(o.began)
			knowable += o.knowable
			dense += one(o.dense)
			denseBegan += one(o.dense && o.began)
			covered += one(o.covered)
		}
		many += one(o.superfluous > 0)
	}
	if n > 0 {
		fmt.Printf("| %s | %d | %d | %s | %s | %s | %s | %s | %s | %s | %s |\n", name, n, seen,
			share(hit1, seen), share(level, seen), share(hit3, seen), share(began, abrupt),
			atBest(knowable, abrupt), share(denseBegan, dense), share(covered, abrupt), share(many, seen))
	}
}

func atBest(sum float64, n int) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*sum/float64(n))
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// share formats a proportion with its 95 % interval (Wilson).
func share(k, n int) string {
	if n == 0 {
		return "–"
	}
	const z = 1.96
	p, m := float64(k)/float64(n), float64(n)
	mid := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return fmt.Sprintf("%d/%d (%.0f–%.0f %%)", k, n, 100*max(0, mid-half), 100*min(1, mid+half))
}
