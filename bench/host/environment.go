package host

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
)

// Environment is where figures come from. They compare with figures of the same environment only.
type Environment struct {
	Host       string            `json:"host"`
	OS         string            `json:"os"`
	Arch       string            `json:"arch"`
	Kernel     string            `json:"kernel,omitempty"`
	CPU        string            `json:"cpu,omitempty"`
	Cores      int               `json:"cores"` // this process may use
	Go         string            `json:"go"`
	Modules    map[string]string `json:"modules"`            // versions, by path
	Revision   string            `json:"revision,omitempty"` // of git; with + if files were changed
	Congestion string            `json:"tcp_congestion,omitempty"`
	Load       string            `json:"load_average,omitempty"` // at the start: other work on the machine
}

// Describe looks at the machine and at this program. Congestion is the TCP congestion control asked for; "" stands for the
// system's.
func Describe(congestion string) Environment {
	name, _ := os.Hostname() // without one, it is the other fields that tell
	e := Environment{
		Host: name, OS: runtime.GOOS, Arch: runtime.GOARCH, Kernel: kernel(), CPU: processor(), Cores: runtime.NumCPU(),
		Go: runtime.Version(), Modules: make(map[string]string), Revision: revision(),
		Congestion: CongestionInUse(congestion), Load: loadAverage(),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return e
	}
	for _, m := range info.Deps {
		e.Modules[m.Path] = m.Version
	}
	return e
}

// revision asks git, for a program that go run has built does not know. It is "" outside a checkout.
func revision() string {
	out, _ := exec.Command("git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+").Output()
	return strings.TrimSpace(string(out))
}
