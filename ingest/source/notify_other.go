//go:build !linux

package source

import "os"

// canWatch returns false: on other systems, files are polled.
func canWatch() bool { return false }

// watchName is not called.
func watchName(*os.File) (*os.File, string, error) { return nil, "", os.ErrInvalid }
