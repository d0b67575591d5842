//go:build !linux

package tcptransport

import "time"

// setOptions does nothing: the options that matter here are Linux's.
func setOptions(uintptr, time.Duration) {}

func setUnsent(uintptr, int) {}
