package bustest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/verbose-bus/verbose/bus"
)

// inMemory makes nodes of a network.
func inMemory(n *Network) Factory {
	var made atomic.Int32
	return Factory{
		New:    func(testing.TB) bus.Transport { return n.Transport(fmt.Sprint("node-", made.Add(1))) },
		Listen: ":0",
		Silent: func(testing.TB) string {
			for i := range made.Load() {
				n.Link(fmt.Sprint("node-", i+1), "silent").Stall()
			}
			return "silent:1"
		},
	}
}

func TestSuiteInMemory(t *testing.T) { RunTransportSuite(t, inMemory(NewNetwork(1))) }

// TestSuiteInVirtualTime holds that nothing here waits but on what testing/synctest knows of.
func TestSuiteInVirtualTime(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { r.try(t, inMemory(NewNetwork(1))) })
		})
	}
}
