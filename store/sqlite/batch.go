package sqlite

/*
#include <stdint.h>
#include <string.h>

// SQLite is part of the driver. Its functions are weak here, so that this package can be
// linked by itself, as cgo does to look at it.
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
#define OF_SQLITE extern __attribute__((weak))
OF_SQLITE int sqlite3_config(int, ...);
OF_SQLITE int sqlite3_db_config(sqlite3 *, int, ...);
OF_SQLITE int sqlite3_prepare_v3(sqlite3 *, const char *, int, unsigned, sqlite3_stmt **, const char **);
OF_SQLITE int sqlite3_bind_null(sqlite3_stmt *, int);
OF_SQLITE int sqlite3_bind_int64(sqlite3_stmt *, int, long long);
OF_SQLITE int sqlite3_bind_text(sqlite3_stmt *, int, const char *, int, void (*)(void *));
OF_SQLITE int sqlite3_bind_blob(sqlite3_stmt *, int, const void *, int, void (*)(void *));
OF_SQLITE int sqlite3_clear_bindings(sqlite3_stmt *);
OF_SQLITE int sqlite3_step(sqlite3_stmt *);
OF_SQLITE int sqlite3_reset(sqlite3_stmt *);
OF_SQLITE int sqlite3_finalize(sqlite3_stmt *);
OF_SQLITE int sqlite3_stmt_status(sqlite3_stmt *, int, int);
OF_SQLITE int sqlite3_column_count(sqlite3_stmt *);
OF_SQLITE long long sqlite3_column_int64(sqlite3_stmt *, int);
OF_SQLITE int sqlite3_errcode(sqlite3 *);
OF_SQLITE int sqlite3_extended_errcode(sqlite3 *);
OF_SQLITE int sqlite3_system_errno(sqlite3 *);
OF_SQLITE const char *sqlite3_errmsg(sqlite3 *);

enum { ok = 0, row = 100, done = 101, persistent = 1 };
enum { config_memstatus = 9, stable_plans = 1007, reprepared = 5 };

// no_statistics lets SQLite not count what it allocates, which takes a lock each time.
static void no_statistics(void) {
	sqlite3_config(config_memstatus, 0);
}

// keep_plans keeps the plan of a statement whatever its values are. Without it, SQLite
// prepares some statements anew each time.
static void keep_plans(uintptr_t db) { sqlite3_db_config((sqlite3 *)db, stable_plans, 1, 0); }

static uintptr_t prepare(uintptr_t db, const unsigned char *query, int n) {
	sqlite3_stmt *stmt = 0;
	if (sqlite3_prepare_v3((sqlite3 *)db, (const char *)query, n, persistent, &stmt, 0) != ok)
		return 0;
	return (uintptr_t)stmt;
}

static int bind(sqlite3_stmt *stmt, int i, unsigned char kind, const unsigned char *value, int n) {
	switch (kind) {
	case 1:
		return sqlite3_bind_text(stmt, i, (const char *)value, n, 0);
	case 2:
		return sqlite3_bind_blob(stmt, i, value, n, 0);
	}
	return sqlite3_bind_null(stmt, i);
}

// run runs statements that are packed as bundle.add does it, up to the first that fails
// or was not prepared, and returns where that begins.
static int run(const uintptr_t *stmts, const unsigned char *packed, int size) {
	const unsigned char *p = packed, *end = p + size;
	while (p < end) {
		const unsigned char *start = p;
		sqlite3_stmt *stmt = (sqlite3_stmt *)stmts[p[0] | p[1] << 8];
		int i, args = p[2], rc = ok, bound = 0;
		if (!stmt)
			return (int)(start - packed);
		p += 3;
		for (i = 1; i <= args && rc == ok; i++) {
			unsigned char kind = *p++;
			if (kind == 0) {
				int64_t v;
				memcpy(&v, p, sizeof v);
				p += sizeof v;
				rc = sqlite3_bind_int64(stmt, i, v);
			} else {
				uint32_t n;
				memcpy(&n, p, sizeof n);
				p += sizeof n;
				rc = bind(stmt, i, kind, p, (int)n);
				p += n;
				bound = 1;
			}
		}
		if (rc == ok)
			rc = sqlite3_step(stmt);
		if (rc != done && rc != row)
			return (int)(start - packed);
		sqlite3_reset(stmt);
		if (bound)
			sqlite3_clear_bindings(stmt);
	}
	return size;
}

// integers reads the next rows of a statement, as many as there is room for, and returns
// what ended it: row, done or an error.
static int integers(uintptr_t handle, int64_t *to, int rows, int *n) {
	sqlite3_stmt *stmt = (sqlite3_stmt *)handle;
	int i, rc = row, columns = sqlite3_column_count(stmt);
	for (*n = 0; *n < rows && (rc = sqlite3_step(stmt)) == row; ++*n)
		for (i = 0; i < columns; i++)
			*to++ = sqlite3_column_int64(stmt, i);
	return rc;
}

static int columns(uintptr_t stmt) { return sqlite3_column_count((sqlite3_stmt *)stmt); }
static int bind_int(uintptr_t stmt, int i, int64_t v) { return sqlite3_bind_int64((sqlite3_stmt *)stmt, i, v); }
static int errcode(uintptr_t db) { return sqlite3_errcode((sqlite3 *)db); }
static int extended(uintptr_t db) { return sqlite3_extended_errcode((sqlite3 *)db); }
static int system_errno(uintptr_t db) { return sqlite3_system_errno((sqlite3 *)db); }
static const char *errmsg(uintptr_t db) { return sqlite3_errmsg((sqlite3 *)db); }
static int prepared_again(uintptr_t stmt) {
	return sqlite3_stmt_status((sqlite3_stmt *)stmt, reprepared, 0);
}
static void reset(uintptr_t stmt) { sqlite3_reset((sqlite3_stmt *)stmt); }
static void finalize(uintptr_t stmt) { sqlite3_finalize((sqlite3_stmt *)stmt); }
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"syscall"

	"github.com/mattn/go-sqlite3"

	"mailfail/registry"
)

func init() { C.no_statistics() }

// A bundle holds statements with their values, packed so that C runs all of them in one
// call: a cgo call for each statement would take as long as SQLite itself. sink.wait sets
// reply, and receives the first error from it.
type bundle struct {
	queries []string // new ones, which no earlier bundle has
	packed  []byte
	ops     int
	reply   chan error
}

// The kinds of packed values.
const (
	packedInt  = iota // followed by eight bytes
	packedText        // followed by its length, in four bytes, and its bytes
	packedBlob        // likewise
	packedNull        // followed by four zeros
)

// add adds the statement that has a number, with its packed values. args is how many
// values there are. add panics when args is above 255 or the number above 65,535: only
// the constant statements of this package come here, no input does.
func (b *bundle) add(number, args int, values []byte) {
	if args > math.MaxUint8 || number > math.MaxUint16 {
		panic("a statement with more values than its packed form can say")
	}
	b.packed = append(append(binary.LittleEndian.AppendUint16(b.packed, uint16(number)), byte(args)),
		values...)
	b.ops++
}

// appendValues appends the packed form of args to p. It panics on a type that is not
// stored, which the first test that writes a row of it shows.
func appendValues(p []byte, args []any) []byte {
	for _, a := range args {
		switch v := a.(type) {
		case nil:
			p = append(p, packedNull, 0, 0, 0, 0)
		case int64:
			p = appendInt(p, v)
		case string:
			p = append(appendLength(p, packedText, len(v)), v...)
		case []byte:
			if v == nil {
				p = append(p, packedNull, 0, 0, 0, 0)
			} else {
				p = append(appendLength(p, packedBlob, len(v)), v...)
			}
		case int:
			p = appendInt(p, int64(v))
		case int32:
			p = appendInt(p, int64(v))
		case uint16:
			p = appendInt(p, int64(v))
		case uint8:
			p = appendInt(p, int64(v))
		case bool:
			p = appendInt(p, 0)
			if v {
				p[len(p)-8] = 1
			}
		case address:
			if v.text != "" {
				p = append(appendLength(p, packedText, len(v.text)), v.text...)
			} else {
				p = appendInt(p, v.id)
			}
		case registry.State:
			p = appendInt(p, int64(v))
		case registry.Stage:
			p = appendInt(p, int64(v))
		case registry.Source:
			p = appendInt(p, int64(v))
		default:
			panic("a value of a type that is not stored")
		}
	}
	return p
}

func appendInt(p []byte, v int64) []byte {
	return binary.NativeEndian.AppendUint64(append(p, packedInt), uint64(v))
}

func appendLength(p []byte, kind byte, n int) []byte {
	return binary.NativeEndian.AppendUint32(append(p, kind), uint32(n))
}

// A runner runs bundles on a connection, which no other code may use in the meantime.
type runner struct {
	db      C.uintptr_t
	queries []string      // by number
	stmts   []C.uintptr_t // by number; 0: not prepared yet
}

// newRunner returns a runner for a connection of the driver go-sqlite3, and an error for
// any other. The driver keeps SQLite's handle in its field db, which it does not export.
func newRunner(conn any) (*runner, error) {
	c, ok := conn.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, errors.New("a connection of another driver")
	}
	r := &runner{db: C.uintptr_t(reflect.ValueOf(c).Elem().FieldByName("db").Pointer())}
	C.keep_plans(r.db)
	return r, nil
}

// run runs the statements of a bundle up to the first that fails, and returns its error.
// It prepares a statement only when the statement is due, because earlier ones may create
// the tables that it uses.
func (r *runner) run(b *bundle) error {
	if len(b.packed) > math.MaxInt32 {
		return sqlite3.Error{Code: sqlite3.ErrTooBig}
	}
	for packed := b.packed; len(packed) > 0; {
		if n := C.run(&r.stmts[0], (*C.uchar)(&packed[0]), C.int(len(packed))); int(n) == len(packed) {
			break
		} else {
			packed = packed[n:]
		}
		number := binary.LittleEndian.Uint16(packed)
		if stmt := r.stmts[number]; stmt != 0 {
			err := r.err()
			C.reset(stmt)
			return err
		}
		query := []byte(r.queries[number])
		if r.stmts[number] = C.prepare(r.db, (*C.uchar)(&query[0]),
			C.int(len(query))); r.stmts[number] == 0 {
			return r.err()
		}
	}
	return nil
}

// add adds queries, which get the next numbers.
func (r *runner) add(queries []string) {
	r.queries = append(r.queries, queries...)
	r.stmts = append(r.stmts, make([]C.uintptr_t, len(queries))...)
}

// integers reads the rows of a query, whose columns are all integers, into a block.
// expected is about how many rows there are; it sizes the block. No other statement may
// run on the connection in the meantime.
func (r *runner) integers(expected int64, query string, args ...int64) (*block, error) {
	text := []byte(query)
	stmt := C.prepare(r.db, (*C.uchar)(&text[0]), C.int(len(text)))
	if stmt == 0 {
		return nil, r.err()
	}
	defer C.finalize(stmt)
	for i, v := range args {
		C.bind_int(stmt, C.int(i+1), C.int64_t(v))
	}
	const rows = 256
	b := &block{cols: make([][]int64, C.columns(stmt))}
	for i := range b.cols {
		b.cols[i] = make([]int64, 0, expected)
	}
	for read := make([]int64, rows*len(b.cols)); ; {
		var n C.int
		end := C.integers(stmt, (*C.int64_t)(&read[0]), rows, &n)
		for i := range b.cols {
			for row := range int(n) {
				b.cols[i] = append(b.cols[i], read[row*len(b.cols)+i])
			}
		}
		b.rows += int(n)
		switch end {
		case C.row:
		case C.done:
			return b, nil
		default:
			return nil, r.err()
		}
	}
}

// preparedAgain returns how often SQLite had to prepare a statement again; see
// TestStatementsArePreparedOnce.
func (r *runner) preparedAgain() (n int) {
	for _, s := range r.stmts {
		if s != 0 {
			n += int(C.prepared_again(s))
		}
	}
	return n
}

func (r *runner) close() {
	for _, s := range r.stmts {
		C.finalize(s) // does nothing for 0
	}
}

// err returns the error of the last call of SQLite.
func (r *runner) err() error {
	e := sqlite3.Error{
		Code:         sqlite3.ErrNo(C.errcode(r.db) & 0xff),
		ExtendedCode: sqlite3.ErrNoExtended(C.extended(r.db)),
	}
	if e.Code == sqlite3.ErrCantOpen || e.Code == sqlite3.ErrIoErr &&
		e.ExtendedCode != sqlite3.ErrIoErrNoMem {
		e.SystemErrno = syscall.Errno(C.system_errno(r.db))
	}
	return &runError{e, C.GoString(C.errmsg(r.db))}
}

// runError is an error of SQLite with its message.
type runError struct {
	err  sqlite3.Error
	text string
}

func (e *runError) Error() string {
	if e.err.SystemErrno != 0 {
		return e.text + ": " + e.err.SystemErrno.Error()
	}
	return e.text
}

func (e *runError) Unwrap() error { return e.err }
