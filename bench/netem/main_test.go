package netem

import (
	"fmt"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childTarget is the environment variable with the address that a child process says hello to.
const childTarget = "VERBOSE_NETEM_TARGET"

func TestMain(m *testing.M) {
	if target := os.Getenv(childTarget); target != "" {
		os.Exit(sayHello(target))
	}
	goleak.VerifyTestMain(m)
}

func sayHello(target string) (status int) {
	conn, err := net.Dial("tcp", target)
	if err == nil {
		_, err = conn.Write([]byte("hello"))
		conn.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
