// Package source reads the lines of log files and streams, each exactly once,
// whatever happens to the files: between one run and the next, or while they
// are followed, they may grow, be renamed, compressed, copied or truncated.
//
// # How it is used
//
//	families, errs := source.Expand(args)
//	for r, err := range source.Read(ctx, families, positions) {
//		// err: one file could not be opened; report it and continue
//		// set up the parsers with r.Position().State and r.Modified()
//		for {
//			line, err := r.Next()
//			// io.EOF: done. A *TooLongError: a line was skipped. ErrQuiet: store
//			// the lines so far, and call r.Await. Otherwise: report err, done.
//		}
//		p := r.Position()
//		p.State = … // of the parsers
//		// store p with the records, in one transaction; it sets p.ID
//		r.Saved(p)
//	}
//
// The position may be stored at any time between two calls of Next. It must be stored at
// the end of each source before the loop continues, even if there were no lines: the next
// source may be a copy of this one, and only a stored source is recognized. Follow works
// in the same way for files that grow.
//
// # How a source is known
//
// A source is known by its content: the fingerprint of its first KiB, and the number of
// its bytes that were consumed, counted after decompression. A name, an inode, a size and
// a time are hints that save work: a file that has not changed is not opened. If a source
// had less than a KiB when it was read, its fingerprint covers the bytes that were
// consumed, and grows with them.
//
// When a log is named, its rotated generations (see Family) are not read with it, unless
// the log was read before: then the lines that were written to the old generations in the
// meantime come first. For a directory, a pattern and the usual places, all generations
// that match are read. A new file begins with the parser state of the newest known
// generation before it, whether that is named or not.
//
// # Content that is read
//
// Plain text, and text compressed by gzip, bzip2, xz or zstd, recognized by its first
// bytes, also in several members. UTF-16 with a byte order mark is converted to UTF-8;
// everything else stays as it is. A last line without a newline is left for the next run,
// unless nothing can follow: at the end of a compressed file or a pipe. Damaged and cut
// off compressed files are read up to the damage.
//
// # Lines that are lost
//
// Lines that are written between the copy and the truncation of copytruncate; a file that
// is created and deleted between two looks; a rotated generation that was deleted before
// it was read. A copy of less than a KiB of a log is taken for another log once the log
// itself has grown.
package source
