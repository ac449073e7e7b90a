package report

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/templates"
)

// ByAccount groups by the account that submitted the mail: a SASL login or a local
// user. It cannot be combined with other dimensions: the store does not count
// deliveries by account.
const ByAccount store.Dimension = "account"

// Submitter is an account and the mail that it submitted.
type Submitter struct {
	Account              registry.Foreign
	Messages, Recipients int64
	Bytes                int64
	Before               int64 // messages in the time before the window
	Failed, Waiting      int64 // recipients in trouble; 0 unless accountsAsked
}

// mostAccounted is how many recipients in trouble are looked up by account.
const mostAccounted = 100_000

// submitters counts what accounts submitted in the window and before.
func (r *Report) submitters(ctx context.Context, q store.Reader) error {
	w := store.Window{Since: r.Window.Since, Until: r.end()}
	short := !w.Since.IsZero() && w.Until.Sub(w.Since) <= longestCompared
	asked := r.accountsAsked()
	if len(r.Filter.Codes)+len(r.Filter.Reasons) > 0 || !short && !asked && !r.FromFiles {
		return nil
	}
	accounts := map[registry.Foreign]*Submitter{}
	count := func(w store.Window, of func(*Submitter, *store.SubmissionRow)) error {
		rows, err := q.Submissions(ctx, w, r.Filter)
		for i := range rows {
			if !store.MatchName(r.Filter.Accounts, rows[i].Account) {
				continue
			}
			if s := accountOf(accounts, registry.Foreign(rows[i].Account)); s != nil {
				of(s, &rows[i])
			}
		}
		return err
	}
	err := count(w, func(s *Submitter, row *store.SubmissionRow) {
		s.Messages, s.Recipients, s.Bytes = s.Messages+row.Messages, s.Recipients+row.Recipients,
			s.Bytes+row.Bytes
	})
	if err == nil && short && len(accounts) > 0 {
		days, _ := r.stepBack()
		before := store.Window{
			Since: w.Since.In(r.location).AddDate(0, 0, -days),
			Until: w.Until.In(r.location).AddDate(0, 0, -days),
		}
		err = count(before, func(s *Submitter, row *store.SubmissionRow) { s.Before += row.Messages })
	}
	if err == nil && asked {
		err = r.accountsInTrouble(ctx, q, accounts)
	}
	for _, s := range accounts {
		if s.Messages+s.Failed+s.Waiting > 0 {
			r.Submitters = append(r.Submitters, *s)
		}
	}
	slices.SortFunc(r.Submitters, func(a, b Submitter) int {
		return cmp.Or(cmp.Compare(b.Failed+b.Waiting, a.Failed+a.Waiting),
			cmp.Compare(b.Messages-b.Before, a.Messages-a.Before),
			cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Account, b.Account))
	})
	return err
}

// accountsAsked reports whether the report counts the recipients in trouble by account:
// only when the user asked for accounts, since every such recipient has to be looked
// up.
func (r *Report) accountsAsked() bool { return len(r.Filter.Accounts) > 0 || r.isBy(ByAccount) }

// accountOf returns the submitter with a name, nil when the name is not an account:
// some logs contain the address of the client in its place.
func accountOf(accounts map[registry.Foreign]*Submitter, name registry.Foreign) *Submitter {
	if _, err := netip.ParseAddr(name.Raw()); name == "" || err == nil {
		return nil
	}
	if accounts[name] == nil {
		accounts[name] = &Submitter{Account: name}
	}
	return accounts[name]
}

// accountsInTrouble counts the recipients in trouble by account.
func (r *Report) accountsInTrouble(ctx context.Context, q store.Reader,
	accounts map[registry.Foreign]*Submitter) error {
	failed, end := map[int64]bool{}, r.end()
	var ids []int64
	err := q.Affected(ctx, r.Window, r.Filter, func(a *store.Affected) error {
		if inTrouble(a, end) {
			ids = append(ids, a.ID)
			failed[a.ID] = a.State != registry.StatePending
		}
		return nil
	})
	slices.Sort(ids)
	if len(ids) >= mostAccounted {
		ids = ids[:mostAccounted]
		r.Notes = append(r.Notes,
			fmt.Sprintf("Only the first %s recipients in trouble were looked up by account.",
				templates.Count(mostAccounted)))
	}
	for chunk := range slices.Chunk(ids, 1000) {
		if err != nil {
			return err
		}
		var persons []store.Person
		persons, err = q.Persons(ctx, chunk, time.Time{})
		for i := range persons {
			s := accountOf(accounts, persons[i].Account)
			switch {
			case s == nil:
			case failed[persons[i].ID]:
				s.Failed++
			default:
				s.Waiting++
			}
		}
	}
	return err
}

func (r *Report) csvAccounts(c *csvWriter, n int) {
	c.row("account", "messages", "recipients", "messages_before", "failed", "waiting", "bytes")
	for _, a := range top(r.Submitters, n) {
		row := []string{templates.CSV(a.Account)}
		for _, n := range []int64{a.Messages, a.Recipients, a.Before, a.Failed, a.Waiting, a.Bytes} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		c.row(row...)
	}
}

// jsonAccount is a Submitter in the JSON report.
type jsonAccount struct {
	Account    registry.Foreign `json:"account"`
	Messages   int64            `json:"messages"`
	Recipients int64            `json:"recipients"`
	Before     int64            `json:"messages_before"`
	Failed     *int64           `json:"failed"` // recipients; null unless the user asked for accounts
	Waiting    *int64           `json:"waiting"`
	Bytes      int64            `json:"bytes"`
}

func (r *Report) jsonAccounts(n int) (list []jsonAccount) {
	for _, a := range top(r.Submitters, n) {
		j := jsonAccount{
			Account:    a.Account,
			Messages:   a.Messages,
			Recipients: a.Recipients,
			Before:     a.Before,
			Bytes:      a.Bytes,
		}
		if r.accountsAsked() {
			j.Failed, j.Waiting = &a.Failed, &a.Waiting
		}
		list = append(list, j)
	}
	return list
}

// accounts returns the table of accounts that submitted mail: accounts in trouble
// first, then accounts that send more than before, as they do when a password was
// stolen.
func (c *composer) accounts() Section {
	s := Section{ID: string(ByAccount), Title: "By account"}
	if len(c.Submitters) == 0 || c.By != nil && !c.accountsAsked() {
		return s
	}
	t := &Table{Columns: []Column{{Title: "Account", Name: true}, {Title: "Messages", Number: true},
		{Title: "Recipients", Number: true}}}
	if c.Before != nil {
		t.Columns = append(t.Columns, Column{Title: "Messages " + c.Before.Name, Number: true})
	}
	rows := fewRows
	if c.accountsAsked() {
		rows = DefaultTop
		t.Columns = append(t.Columns, Column{
			Title:  "Failed",
			Number: true,
		}, Column{Title: "Waiting", Number: true},
			Column{Title: "Bytes", Number: true})
	}
	for _, a := range top(c.Submitters, c.rows(rows)) {
		row := Row{Cells: []templates.Text{templates.Name(a.Account), templates.Number(a.Messages),
			templates.Number(a.Recipients)}}
		if c.Before != nil {
			row.Cells = append(row.Cells, templates.Number(a.Before))
		}
		if c.accountsAsked() {
			row.Cells = append(row.Cells, templates.Number(a.Failed), templates.Number(a.Waiting),
				templates.Bytes(a.Bytes))
		}
		t.Rows = append(t.Rows, row)
	}
	s.Table, s.More = t, more(len(c.Submitters)-len(t.Rows), "account")
	return s
}
