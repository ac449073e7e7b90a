//go:build linux || darwin

package sqlite

import "syscall"

// freeSpace returns the number of bytes that may be written to the file system of a folder,
// and whether it is known.
func freeSpace(dir string) (int64, bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
