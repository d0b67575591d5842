package original

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/verbose-bus/verbose/bench/contender"
)

// Kind is its name. It runs over TCP, not encrypted.
const Kind contender.Kind = "original"

// Variable is the environment variable with the directory where the package was installed.
const Variable = "VERBOSE_ORIGINAL"

//go:embed child.js
var childProgram string

// Command is what runs a child of its kind. It says what is missing.
func Command() ([]string, error) { return command(childProgram) }

func command(program string) ([]string, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("the original needs Node.js: %w", err)
	}
	dir := os.Getenv(Variable)
	if dir == "" {
		return nil, errors.New("the original has to be installed: set " + Variable + " to a directory with its node_modules, see bench/peers/README.md")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "verbose")); err != nil {
		return nil, fmt.Errorf("%s: the original is not there: %w", Variable, err)
	}
	return []string{node, "-e", program}, nil
}
