package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m, func() error { return goleak.Find() }}, map[string]func(){"verbose": main})
}

// leakChecked fails a run of tests that leaves goroutines behind.
type leakChecked struct {
	*testing.M
	find func() error
}

func (m leakChecked) Run() int {
	code := m.M.Run()
	if code != 0 {
		return code
	}
	if err := m.find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// raceOptions spare a second at the end of each process of a build with -race.
const raceOptions = "atexit_sleep_ms=0"

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("HOME", home)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
			env.Setenv("AppData", home)
			env.Setenv("GORACE", raceOptions)
			programs := newPrograms()
			env.Values[programsKey{}] = programs
			env.Defer(programs.killAll)
			return os.MkdirAll(home, 0o700)
		},
		Cmds: scriptCommands,
		Condition: func(name string) (bool, error) {
			if name != "unprivileged" { // who may not write everywhere
				return false, fmt.Errorf("there is no condition %q", name)
			}
			return os.Geteuid() > 0, nil // -1 on Windows, where chmod does not make directories read-only
		},
	})
}
