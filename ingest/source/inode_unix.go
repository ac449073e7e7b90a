//go:build unix

package source

import (
	"os"
	"syscall"
)

// inode returns the device and inode number that identify the file on this host, or
// zeros.
func inode(info os.FileInfo) (device, number uint64) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Dev), uint64(s.Ino)
	}
	return 0, 0
}
