package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/report"
	"mailfail/store"
)

// query selects the content of a page. All of it is in the URL, so that users can send
// a page to others.
type query struct {
	values url.Values // the parameters of the URL that are known
	window store.Window
	filter store.Filter
	by     []store.Dimension
}

// defaultSince is the time that a page covers when the URL does not name one.
const defaultSince = "24h"

// filterKeys are the parameters for filters, by dimension.
var filterKeys = []string{"provider", "domain", "sender", "host", "reason", "code", "mta"}

// list returns the list of a filter for a parameter.
func list(f *store.Filter, key string) *[]string {
	switch key {
	case "provider":
		return &f.Providers
	case "domain":
		return &f.Domains
	case "sender":
		return &f.Senders
	case "host":
		return &f.Hosts
	case "reason":
		return &f.Reasons
	case "code":
		return &f.Codes
	}
	return &f.MTAs
}

// parse reads the parameters of a URL.
//
// Parameters that are not printable are refused: the page repeats them in places
// where they cannot be made harmless.
func parse(asked url.Values, now time.Time, loc *time.Location) (q query, err error) {
	q.values = url.Values{}
	for _, values := range asked {
		for _, value := range values {
			if err := printable(value); err != nil {
				return q, err
			}
		}
	}
	for _, key := range filterKeys {
		for _, value := range asked[key] {
			if value != "" {
				q.values.Add(key, value)
				*list(&q.filter, key) = append(*list(&q.filter, key), value)
			}
		}
	}
	// The form of the page adds a filter as two parameters.
	if key, value := asked.Get("filter"), strings.TrimSpace(asked.Get("value")); value != "" &&
		slices.Contains(filterKeys, key) {
		if err := printable(value); err != nil { // a mark may have stood on the blank before it
			return q, err
		}
		q.values.Add(key, value)
		*list(&q.filter, key) = append(*list(&q.filter, key), value)
	}
	for _, code := range q.filter.Codes {
		if err := store.CheckCode(code); err != nil {
			return q, requestError{err}
		}
	}
	for _, name := range q.filter.Reasons {
		if err := known("reason", strings.ToLower(name), registry.ReasonNames()); err != nil {
			return q, err
		}
	}
	if by := asked.Get("by"); by != "" {
		q.values.Set("by", by)
		var dimensions []string
		for _, d := range store.Dimensions {
			dimensions = append(dimensions, string(d))
		}
		for _, name := range strings.Split(by, ",") {
			if err := known("by", name, dimensions); err != nil {
				return q, err
			}
			if d := store.Dimension(name); !slices.Contains(q.by, d) {
				q.by = append(q.by, d)
			}
		}
	}
	return q, q.parseWindow(asked, now, loc)
}

func printable(value string) error {
	if registry.Foreign(value).String() != value {
		return requestError{errorString("a parameter holds characters that cannot be shown")}
	}
	return nil
}

// checkNames refuses unknown parameters: without that, a mistyped filter would give the
// numbers of all mail.
func checkNames(asked url.Values) error {
	names := append([]string{"by", "day", "since", "until", "top"}, filterKeys...)
	for name := range asked {
		if err := known("parameter", name, names); err != nil {
			return err
		}
	}
	return nil
}

// known returns an error for a value that is not in a list.
func known(what, value string, names []string) error {
	if slices.Contains(names, value) {
		return nil
	}
	return requestError{report.Unknown(what, value, names)}
}

// parseWindow reads day, or since and until.
func (q *query) parseWindow(asked url.Values, now time.Time, loc *time.Location) (err error) {
	if day := asked.Get("day"); day != "" {
		q.values.Set("day", day)
		if q.window, err = report.ParseDay(day, now, loc); err != nil {
			return requestError{err}
		}
		return nil
	}
	since := asked.Get("since")
	if since == "" {
		since = defaultSince
	} else {
		q.values.Set("since", since)
	}
	if q.window.Since, err = report.ParseTime(since, now, loc); err != nil {
		return requestError{err}
	}
	q.window.Until = now
	if until := asked.Get("until"); until != "" {
		q.values.Set("until", until)
		if q.window.Until, err = report.ParseTime(until, now, loc); err != nil {
			return requestError{err}
		}
	}
	if !q.window.Since.Before(q.window.Until) {
		return requestError{errorString("since is not before until")}
	}
	return nil
}

type errorString string

func (e errorString) Error() string { return string(e) }

// with returns the address of a page with some parameters changed: pairs of a
// key and a value, "" for none.
func (q *query) with(path string, pairs ...string) string {
	values := url.Values{}
	for key, list := range q.values {
		values[key] = list
	}
	for i := 0; i < len(pairs); i += 2 {
		values.Del(pairs[i])
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}

// without returns the address of the page without one value of a filter.
func (q *query) without(key, value string) string {
	rest := query{values: url.Values{}}
	for k, list := range q.values {
		for _, v := range list {
			if k != key || v != value {
				rest.values.Add(k, v)
			}
		}
	}
	return rest.with("/")
}

// choice is a link that may be the chosen one.
type choice struct {
	Name, URL string
	Chosen    bool
}

// spans returns links to the usual windows.
func (q *query) spans() (links []choice) {
	chosen := q.values.Get("day")
	if chosen == "" {
		chosen = q.values.Get("since")
	}
	if chosen == "" {
		chosen = defaultSince
	}
	for _, span := range []string{"1h", "24h", "today", "yesterday", "7d", "30d"} {
		key := "since"
		if span == "today" || span == "yesterday" {
			key = "day"
		}
		url := q.with("/", "since", "", "until", "", "day", "", key, span)
		links = append(links, choice{span, url, span == chosen})
	}
	return links
}

// dimensions returns links to tables by other dimensions.
func (q *query) dimensions() (links []choice) {
	by := q.values.Get("by")
	for _, d := range []store.Dimension{store.ByProvider, store.ByDomain, store.ByReason, store.BySender,
		store.ByHost, store.ByCode} {
		links = append(links, choice{string(d), q.with("/", "by", string(d)), string(d) == by || by == "" &&
			d == store.ByProvider})
	}
	return links
}

// filters returns the active filters, with links that remove them.
func (q *query) filters() (links []choice) {
	for _, key := range filterKeys {
		for _, value := range q.values[key] {
			links = append(links,
				choice{key + ": " + registry.Foreign(value).String(), q.without(key, value), true})
		}
	}
	return links
}

// rows reads the wanted number of rows.
func rows(asked url.Values, usual, most int) int {
	n, err := strconv.Atoi(asked.Get("top"))
	if err != nil || n < 1 {
		return usual
	}
	return min(n, most)
}
