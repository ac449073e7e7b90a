package ingest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"mailfail/store"
)

// volumes are those of a log, added up over its hours.
type volumes struct {
	accepted, delivered store.Volume
	delays              [10]int64
	senders             map[string]int64 // bytes by domain
}

var (
	queued    = regexp.MustCompile(`: (\w+): from=<([^>]*)>, size=(\d+), nrcpt=\d+ \(queue active\)`)
	sent      = regexp.MustCompile(`: (\w+): to=<.*, delay=([\d.]+), .*status=sent`)
	notice    = regexp.MustCompile(`: sender [a-z-]+ notification: (\w+)$`)
	named     = regexp.MustCompile(`: (\w+): message-id=(<[^>]*>)`)
	removed   = regexp.MustCompile(`: (\w+): removed$`)
	eximName  = regexp.MustCompile(` id=(\S+)`)
	eximIn    = regexp.MustCompile(`^(\S+ \S+) (\S+) <= (\S+) .*\bS=(\d+)`)
	eximOut   = regexp.MustCompile(`^(\S+ \S+) (\S+) [=-]> .* T=(\S+)`)
	eximOwn   = regexp.MustCompile(` <= <> .*R=`)
	eximStamp = "2006-01-02 15:04:05"
)

// again are messages that came from this host with the Message-ID of another one that is
// in the queue: that one, which a content filter handed back. The clients of these runs
// are on the host, and some of them use an id twice.
type again struct {
	open  map[string]string // Message-ID to queue id
	found map[string]bool
}

func (a *again) came(id, messageID string) {
	if _, there := a.open[messageID]; there {
		a.found[id] = true
	} else {
		a.open[messageID] = id
	}
}

func (a *again) left(id string) {
	for messageID, of := range a.open {
		if of == id {
			delete(a.open, messageID)
		}
	}
}

// postfixVolumes reads lines of Postfix with nothing but regular expressions.
func postfixVolumes(lines []string) volumes {
	v := volumes{senders: map[string]int64{}}
	own, size := map[string]bool{}, map[string]int64{}
	for _, l := range lines {
		if m := notice.FindStringSubmatch(l); m != nil {
			own[m[1]] = true
		}
	}
	filtered := again{map[string]string{}, map[string]bool{}}
	for _, l := range lines {
		if m := named.FindStringSubmatch(l); m != nil {
			filtered.came(m[1], m[2])
		}
		if m := removed.FindStringSubmatch(l); m != nil {
			filtered.left(m[1])
		}
		if m := queued.FindStringSubmatch(l); m != nil && !own[m[1]] {
			_, before := size[m[1]]
			size[m[1]], _ = strconv.ParseInt(m[3], 10, 64)
			if !before && !filtered.found[m[1]] {
				v.accepted.Add(&store.Volume{N: 1, Bytes: size[m[1]]})
				v.senders[m[2][strings.LastIndexByte(m[2], '@')+1:]] += size[m[1]]
			}
		}
		if m := sent.FindStringSubmatch(l); m != nil && !own[m[1]] {
			seconds, _ := strconv.ParseFloat(m[2], 64)
			v.delivered.Add(&store.Volume{N: 1, Bytes: size[m[1]], Millis: int64(seconds*1000 + 0.5)})
			v.delays[store.DelayValue(time.Duration(seconds*float64(time.Second)))]++
		}
	}
	return v
}

// eximVolumes does so with lines of Exim.
func eximVolumes(lines []string) volumes {
	v := volumes{senders: map[string]int64{}}
	size, since := map[string]int64{}, map[string]time.Time{}
	filtered := again{map[string]string{}, map[string]bool{}}
	for _, l := range lines {
		if m := eximIn.FindStringSubmatch(l); m != nil && !eximOwn.MatchString(l) {
			size[m[2]], _ = strconv.ParseInt(m[4], 10, 64)
			since[m[2]], _ = time.Parse(eximStamp, m[1])
			if n := eximName.FindStringSubmatch(l); n != nil {
				filtered.came(m[2], n[1])
			}
			if !filtered.found[m[2]] {
				v.accepted.Add(&store.Volume{N: 1, Bytes: size[m[2]]})
				v.senders[m[3][strings.LastIndexByte(m[3], '@')+1:]] += size[m[2]]
			}
		}
		if f := strings.Fields(l); len(f) == 4 && f[3] == "Completed" {
			filtered.left(f[2])
		}
		if m := eximOut.FindStringSubmatch(l); m != nil && size[m[2]] > 0 && !strings.HasPrefix(m[3], "**") {
			at, _ := time.Parse(eximStamp, m[1])
			v.delivered.Add(&store.Volume{N: 1, Bytes: size[m[2]], Millis: at.Sub(since[m[2]]).Milliseconds()})
			v.delays[store.DelayValue(at.Sub(since[m[2]]))]++
		}
	}
	return v
}

// TestVolumesTruth compares bytes, delays and senders of real logs with what their
// lines say, word by word.
func TestVolumesTruth(t *testing.T) {
	logs := map[string]func([]string) volumes{
		"../testdata/postfix/plain/mail.log": postfixVolumes, "../testdata/postfix/inbound/mail.log": postfixVolumes,
		"../testdata/exim/outbound/mainlog": eximVolumes, "../testdata/exim/inbound/mainlog": eximVolumes,
	}
	if !testing.Short() {
		for pattern, of := range map[string]func([]string) volumes{"postfix*/*.classic.log": postfixVolumes, "postfix*/postfix.log": postfixVolumes, "exim*default/mainlog": eximVolumes} {
			found, _ := filepath.Glob("../../shared/corpus-real/" + pattern)
			for _, path := range found {
				logs[path] = of
			}
		}
	}
	for path, of := range logs {
		t.Run(path, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, got := of(strings.Split(string(text), "\n")), volumes{senders: map[string]int64{}}
			db := openStore(t)
			read(t, db, path)
			rows, err := db.Volumes(t.Context(), store.Window{}, store.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range rows {
				switch v := &rows[i].Volume; v.Measure {
				case store.AcceptedMail:
					got.accepted.Add(v)
				case store.DeliveredOut, store.DeliveredLocal:
					got.delivered.Add(v)
					got.delays[v.Value] += v.N
				}
			}
			submissions, err := db.Submissions(t.Context(), store.Window{}, store.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range submissions {
				got.senders[strings.TrimSuffix(string(s.Sender), "<>")] += s.Bytes
			}
			if got.accepted != want.accepted || got.delivered != want.delivered || got.delays != want.delays {
				t.Errorf("accepted %+v, delivered %+v, delays %v\nwant     %+v, delivered %+v, delays %v",
					got.accepted, got.delivered, got.delays, want.accepted, want.delivered, want.delays)
			}
			for domain, bytes := range want.senders {
				if got.senders[strings.ToLower(strings.Trim(domain, "<>"))] != bytes {
					t.Errorf("%q: %d bytes, want %d of %v", domain, got.senders[domain], bytes, got.senders)
				}
			}
		})
	}
}
