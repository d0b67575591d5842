//go:build !linux

package host

func peakRSS() uint64 { return 0 }
