package ingest_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailfail/store/sqlite/sqlitetest"
)

// TestExchangeOrders reads a set of five logs of Exchange in each of the 120
// orders of its files: the counts are the same. Each file has a run of its own, for one
// run would put them in order.
func TestExchangeOrders(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 120 orders of five files: left to the tests without -short")
	}
	files := fiveLogs(t)
	var want sqlitetest.Totals
	for i, order := range orders(files) {
		db := openStore(t)
		for _, file := range order {
			read(t, db, file)
		}
		got := sqlitetest.Sum(t, db)
		db.Close()
		if i == 0 {
			want = got
			if want.Recipients == 0 || want.Deferred == 0 {
				t.Fatalf("the set says too little: %+v", want)
			}
		}
		if got != want {
			t.Fatalf("%s\ngot  %+v\nwant %+v", strings.Join(order, " "), got, want)
		}
	}
}

// orders returns all orders of list.
func orders(list []string) (all [][]string) {
	if len(list) == 0 {
		return [][]string{nil}
	}
	for i, first := range list {
		rest := append(append([]string(nil), list[:i]...), list[i+1:]...)
		for _, order := range orders(rest) {
			all = append(all, append([]string{first}, order...))
		}
	}
	return all
}

// fiveLogs writes a set of tracking logs: of each of three messages every step is in
// another file, on another server.
func fiveLogs(t *testing.T) (files []string) {
	t.Helper()
	steps := []string{
		"10:00:0%,10.0.0.9,app,10.0.0.1,edge,,Default edge,SMTP,RECEIVE",
		"10:00:1%,10.0.0.1,edge,10.0.0.2,hub,,to hub,SMTP,SEND",
		"10:00:2%,10.0.0.1,edge,10.0.0.2,hub,,Default hub,SMTP,RECEIVE",
		"10:00:3%,,hub,,,451 4.4.0 later,,QUEUE,DEFER",
		"10:05:0%,10.0.0.2,hub,198.51.100.9,mx.far.example,,out,SMTP,",
	}
	ends := []string{"SEND", "FAIL", ""} // the last one waits
	dir := t.TempDir()
	for n, step := range steps {
		name := filepath.Join(dir, "MSGTRK20261119-"+string(rune('1'+n))+".LOG")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w := bufio.NewWriter(f)
		w.WriteString("#Software: Microsoft Exchange Server\r\n#Version: 15.00.0000.000\r\n#Log-type: Message Tracking Log\r\n#Date: 2026-11-19T10:00:00.000Z\r\n" +
			"#Fields: date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info,directionality,tenant-id,original-client-ip,original-server-ip,custom-data\r\n")
		for i, end := range ends {
			row := strings.Replace(step, "%", string(rune('0'+i)), 1)
			status := "250 2.1.5 ok"
			if strings.HasSuffix(row, ",DEFER") {
				status = "451 4.4.0 later"
			}
			if n == len(steps)-1 {
				if end == "" {
					continue
				}
				row += end
				if end == "FAIL" {
					status = "550 5.1.1 unknown"
				}
			}
			id := string(rune('a' + i))
			w.WriteString("2026-11-19T" + strings.Replace(row, ",", ".000Z,", 1) + "," + id + "1,<" + id + "@app.example>,ann" + id + "@far.example," + status + ",1000,1,,,hi,app@app.example,app@app.example,,Originating,,,,\r\n")
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		f.Close()
		files = append(files, name)
	}
	return files
}
