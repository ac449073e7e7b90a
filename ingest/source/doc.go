// Package source reads the lines of log files and streams, each exactly once,
// whatever happens to the files: between one run and the next, or while they
// are followed, they may grow, be renamed, compressed, copied or truncated.
//
// # How it is used
//
//	families, errs := source.Expand(args)
//	for r, err := range source.Read(ctx, families, positions) {
//		// err: one file could not be opened; say so and go on
//		// set up the parsers with r.Position().State and r.Modified()
//		for {
//			line, err := r.Next()
//			// io.EOF: done. A *TooLongError: a line was skipped. ErrQuiet: store
//			// what there is, and r.Await. Else: say so, done.
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
// Follow is the same for files that grow.
//
// # How a source is known
//
// By its content: the fingerprint of its first KiB, and how many bytes of it
// were consumed, counted after decompression. A name, an inode, a size and a
// time are hints that save work: a file that has not changed is not opened.
// Of a source that had less than a KiB when it was read, the fingerprint is
// that of what was consumed, and grows with it.
//
// When a log is named, its rotated generations (see Family) are not read with
// it, unless it was read before: then what was written to the old ones in the
// meantime comes first. For a directory, a pattern and the usual places, all
// generations that match are read. A new file begins with the state of the newest
// generation before it that is known, whether it is named or not.
//
// # What is read
//
// Plain text, and what gzip, bzip2, xz and zstd make of it, recognized by its first
// bytes, also in several members; UTF-8 or anything else without a byte order
// mark as it is, UTF-16 with one. A last line without a newline is left for the
// next time, unless nothing can follow: at the end of a compressed file or a
// pipe. Of damaged and cut off compressed files, all that comes before the
// damage is read.
//
// # What is lost to anyone
//
// What is written between the copy and the truncation of copytruncate; a file
// that is created and deleted while nobody looks; a rotated generation that
// was deleted before it was read. A copy of less than a KiB of a log is taken
// for another log once the log itself has grown.
package source
