package simnet

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a network with two hosts.
type pair struct {
	*Network
	a, b *Host
}

func newPair(seed uint64) pair {
	n := New(seed)
	return pair{n, n.Host("10.0.0.1"), n.Host("10.0.0.2")}
}

const ms = time.Millisecond

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
