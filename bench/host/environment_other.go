//go:build !linux

package host

func kernel() string      { return "" }
func processor() string   { return "" }
func loadAverage() string { return "" }
