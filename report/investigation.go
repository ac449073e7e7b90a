package report

import (
	"strings"
	"time"

	"mailfail/report/investigate"
	"mailfail/templates"
)

// InvestigationView returns the result of an investigation as a page.
func InvestigationView(r *investigate.Result) *View {
	v := &View{Title: investigationTitle(r), Verdict: r.Verdict(), Subject: r.Verdict().String()}
	if len(r.Problems) > 0 {
		problems := Section{ID: "problems", Title: "Problems"}
		for i := range r.Problems {
			problems.Problems = append(problems.Problems, InvestigationProblem(&r.Problems[i]))
		}
		v.Problems = len(problems.Problems)
		v.Sections = append(v.Sections, problems)
	}
	last := Section{ID: "limits", Title: "What else was looked at", Text: r.Limits()}
	if len(r.RuledOut) > 0 {
		ruledOut := strings.Join(r.RuledOut, "; ")
		last.Text = append([]templates.Text{templates.Words(strings.ToUpper(ruledOut[:1]) +
			ruledOut[1:] + ".")},
			last.Text...)
	}
	v.Sections = append(v.Sections, last)
	return v
}

// InvestigationProblem returns a problem as a report shows it.
func InvestigationProblem(p *investigate.Problem) Problem {
	v := Problem{
		Severity: p.Severity,
		Title:    templates.Say("%v.", p.Title()),
		Facts:    p.Facts(),
		Do:       p.Action,
	}
	if p.Meaning != "" {
		v.Facts = append(v.Facts, templates.Words("What it means: "+p.Meaning))
	}
	v.Quote = p.Examples
	if len(p.Next) > 0 {
		v.See = p.Next[0]
	}
	return v
}

func investigationTitle(r *investigate.Result) templates.Text {
	form := "Mon 2006-01-02 15:04"
	title := r.Since.Format(form) + " to " + untilFormat(r.Since, r.Until, form) + " " +
		r.Until.Format("MST")
	if n := int64(r.Baseline.Days); n > 0 {
		title += ", compared with " + templates.Count(n) + " " + templates.Plural(n, "day") + " before"
	}
	return templates.Words(title)
}

func untilFormat(since, until time.Time, form string) string {
	if since.YearDay() == until.YearDay() && since.Year() == until.Year() {
		return until.Format("15:04")
	}
	return until.Format(form)
}
