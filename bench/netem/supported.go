package netem

import (
	"errors"
	"os"
	"testing"
)

// Supported makes and drops a host. Its error names the step that failed.
func Supported() error {
	n, err := New(0)
	if err != nil {
		return err
	}
	_, err = n.NewHost("probe")
	return errors.Join(err, n.Close())
}

// Require is the name of the environment variable that, set to "require", has [Test] fail where it would skip.
const Require = "VERBOSE_NETEM"

// Test makes a network that is closed with the test. Where there can be none it skips the test, or fails it if
// the environment has VERBOSE_NETEM=require.
func Test(t testing.TB, seed uint64) *Network {
	t.Helper()
	if err := Supported(); err != nil {
		if os.Getenv(Require) == "require" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	n, err := New(seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}
