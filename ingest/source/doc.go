// Package source reads the lines of log files and streams, each exactly once,
// whatever happens to the files between one run and the next: they may have
// grown, been renamed, compressed, copied or truncated.
//
// # How it is used
//
//	families, errs := source.Expand(args)
//	for r, err := range source.Read(ctx, families, positions) {
//		// err: one file could not be opened; say so and go on
//		// set up the parsers with r.Position().State and r.Modified()
//		for {
//			line, err := r.Next()
//			// io.EOF: done. ErrTooLong: a line was skipped. Else: say so, done.
//		}
//		p := r.Position()
//		p.State = … // of the parsers
//		// store p with the records, in one transaction; it sets p.ID
//		r.Saved(p)
//	}
//
// The position is stored at any time between two calls of Next, and at the end
// of each source before the loop goes on, also when there were no lines: the
// next source may be a copy of this one, and only what is stored is known.
package source
