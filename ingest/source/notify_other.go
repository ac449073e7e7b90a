//go:build !linux

package source

import "os"

// canWatch reports that there are no notifications: other systems are polled.
func canWatch() bool { return false }

// watchName is not called.
func watchName(*os.File) (*os.File, string, error) { return nil, "", os.ErrInvalid }
