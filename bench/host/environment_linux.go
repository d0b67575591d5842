package host

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// processor is the processor's name.
func processor() string { return field("/proc/cpuinfo", "model name") }

func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg") // "" where there is none
	return strings.TrimSpace(string(text))
}

// field is the value behind a colon in the first line that begins with name.
func field(file, name string) string {
	text, _ := os.ReadFile(file) // "" where there is none
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
