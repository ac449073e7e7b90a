// Chdb answers HTTP requests as a ClickHouse server does, with the library of a current
// version (libchdb), so that the tests can put the same questions to a current and an
// old server. It does not support users, TLS or a cluster.
//
//	go run ./.ci/chdb LIBRARY ADDRESS DIRECTORY
package main

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

typedef void *(*connect_f)(int, char **);
typedef void *(*query_f)(void *, const char *, size_t, const char *, size_t);
typedef char *(*text_f)(void *);
typedef size_t (*length_f)(void *);
typedef void (*destroy_f)(void *);

static void *call_connect(void *f, int n, char **args) { return ((connect_f)f)(n, args); }
static void *call_query(void *f, void *conn, const char *q, size_t n, const char *format, size_t m) { return ((query_f)f)(*(void **)conn, q, n, format, m); }
static char *call_text(void *f, void *result) { return ((text_f)f)(result); }
static size_t call_length(void *f, void *result) { return ((length_f)f)(result); }
static void call_destroy(void *f, void *result) { ((destroy_f)f)(result); }
*/
import "C"

import (
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"unsafe"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: chdb LIBRARY ADDRESS DIRECTORY")
	}
	s, err := open(os.Args[1], os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(os.Args[2], s))
}

// server runs one query at a time, because the library has one session.
type server struct {
	mu                                    sync.Mutex
	conn                                  unsafe.Pointer
	query, buffer, length, error, destroy unsafe.Pointer
	dir                                   string
}

func open(library, dir string) (*server, error) {
	name := C.CString(library)
	defer C.free(unsafe.Pointer(name))
	lib := C.dlopen(name, C.RTLD_NOW)
	if lib == nil {
		return nil, fmt.Errorf("open the library: %s", C.GoString(C.dlerror()))
	}
	s := &server{dir: dir}
	var connect unsafe.Pointer
	for name, f := range map[string]*unsafe.Pointer{
		"chdb_connect": &connect, "chdb_query_n": &s.query, "chdb_result_buffer": &s.buffer,
		"chdb_result_length": &s.length, "chdb_result_error": &s.error,
		"chdb_destroy_query_result": &s.destroy,
	} {
		symbol := C.CString(name)
		*f = C.dlsym(lib, symbol)
		C.free(unsafe.Pointer(symbol))
		if *f == nil {
			return nil, fmt.Errorf("the library has no %s", name)
		}
	}
	// kept by the library
	args := []*C.char{C.CString("clickhouse"), C.CString("--path=" + filepath.Join(dir, "data"))}
	if s.conn = C.call_connect(connect, C.int(len(args)), &args[0]); s.conn == nil {
		return nil, fmt.Errorf("cannot open a database in %s", dir)
	}
	return s, nil
}

// run runs a query and returns the answer.
func (s *server) run(query string) (answer []byte, complaint string) {
	q, format := C.CString(query), C.CString("TabSeparated")
	defer C.free(unsafe.Pointer(q))
	defer C.free(unsafe.Pointer(format))
	result := C.call_query(s.query, s.conn, q, C.size_t(len(query)), format, C.size_t(len("TabSeparated")))
	defer C.call_destroy(s.destroy, result)
	if e := C.call_text(s.error, result); e != nil {
		return nil, C.GoString(e)
	}
	n := C.call_length(s.length, result)
	return C.GoBytes(unsafe.Pointer(C.call_text(s.buffer, result)), C.int(n)), ""
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	data, err := io.ReadAll(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, complaint := s.answer(r.URL.Query().Get("query"), data)
	if complaint != "" {
		// The message of a server begins with the code.
		if i := strings.Index(complaint, "Code: "); i > 0 {
			complaint = complaint[i:]
		}
		http.Error(w, complaint, http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer)
}

// answer runs a query, or inserts rows. It returns before the answer is sent: a client may
// read the answers to several questions in another order than the library gives them.
func (s *server) answer(insert string, data []byte) (answer []byte, complaint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := string(data)
	if insert != "" {
		var err error
		if query, err = s.fromFile(insert, data); err != nil {
			return nil, err.Error()
		}
	}
	return s.run(query)
}

var ofFormat = regexp.MustCompile(` FORMAT RowBinary$`)

// fromFile puts the rows of an INSERT into a file, from which the library reads them.
func (s *server) fromFile(insert string, rows []byte) (string, error) {
	path := filepath.Join(s.dir, "rows")
	if err := os.WriteFile(path, rows, 0o600); err != nil {
		return "", err
	}
	if !ofFormat.MatchString(insert) {
		return "", fmt.Errorf("not understood here: %s", insert)
	}
	return ofFormat.ReplaceAllString(insert, fmt.Sprintf(" FROM INFILE '%s' FORMAT RowBinary", path)), nil
}
