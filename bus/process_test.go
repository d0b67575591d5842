package bus_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/verbose-bus/verbose/certs"
)

// child is one process of a test between several: this binary, in a role.
func child(role string) int {
	run := map[string]func(*certs.Identity) error{
		"receiver": enduranceReceiver, "emitter": enduranceEmitter, "mesh": runMeshNode,
	}[role]
	dir := os.Getenv("VERBOSE_TEST_DIR")
	id, err := certs.LoadIdentity(filepath.Join(dir, role+".pem"), filepath.Join(dir, "ca.pem"))
	if err == nil {
		err = run(id)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, role, err)
		return 1
	}
	return 0
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
