package main

import (
	"mailfail/store"
)

// watched is a database that also passes each submission to a function.
type watched struct {
	store.Writable
	submitted func(*store.Submission)
}

// watched returns db, and passes submissions to the function of the flags, if there is
// one.
func (f *logFlags) watched(db store.Writable) store.Writable {
	if f.submitted == nil {
		return db
	}
	return watched{db, f.submitted}
}

func (w watched) Writer() (store.Writer, error) {
	to, err := w.Writable.Writer()
	return watchedWriter{to, w.submitted}, err
}

// watchedWriter is the writer of a watched database.
type watchedWriter struct {
	store.Writer
	submitted func(*store.Submission)
}

func (w watchedWriter) AddSubmission(s *store.Submission) {
	w.submitted(s)
	w.Writer.AddSubmission(s)
}
