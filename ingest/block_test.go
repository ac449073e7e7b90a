package ingest_test

import (
	"path/filepath"
	"testing"

	"mailfail/ingest"
	"mailfail/store/sqlite/sqlitetest"
)

// Where batches end after some lines, in the middle of logs that are read ahead, the
// same is stored, and nothing is read twice or left out.
func TestBatchesOfFewLines(t *testing.T) {
	log, _ := generated(t, 300)
	want := atOnce(t, log)
	defer ingest.SetSteps(10, few(1500, 500))()
	same(t, atOnce(t, log), want)
	tests := map[string]func(*testing.T){
		"split":         TestSplitAnywhere,
		"rotation":      TestRotation,
		"two runs":      TestTwoRunsAtTheSameTime,
		"another reads": TestResultWhenAnotherReadsOn,
	}
	if !testing.Short() {
		tests["interrupted"] = TestInterrupted
	}
	for name, test := range tests {
		t.Run(name, test)
	}
}

// Lines with more records than a block holds are read whole, ahead and in place.
func TestManyRecordsOfALine(t *testing.T) {
	const attempt = "4ABC1: to=<u@x.example>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.3, status=deferred (Host or domain name not found)"
	path := filepath.Join(t.TempDir(), "mail.log")
	writeFile(t, path, []byte("Nov 22 10:00:00 mx1 postfix/smtp[1]: "+attempt+
		"\nNov 22 10:00:09 mx1 postfix/smtp[1]: message repeated 999 times: [ "+attempt+
		"]\nNov 22 10:00:10 mx1 postfix/qmgr[1]: 4ABC1: removed\n"))
	for _, every := range []int{1, 1024} {
		undo := ingest.SetSteps(every, 1024)
		db := openStore(t)
		res := read(t, db, path)
		if got := sqlitetest.Sum(t, db).Attempts; got != 1000 || res.Lines.Read != 3 {
			t.Errorf("%d attempts in %d lines, want 1000 in 3", got, res.Lines.Read)
		}
		undo()
	}
}
