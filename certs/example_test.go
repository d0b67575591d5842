package certs_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/certs"
)

// A CA on disk issues an identity, which a node then loads.
func Example() {
	dir, _ := os.MkdirTemp("", "certs")
	defer os.RemoveAll(dir)

	ca, err := certs.InitCA(filepath.Join(dir, "ca"), "orchard")
	if err != nil {
		fmt.Println(err)
		return
	}
	issued, _ := ca.Issue(uuid.Nil, "shop")
	file, _ := ca.Store(issued)

	identity, err := certs.LoadIdentity(file, filepath.Join(dir, "ca", "ca.pem"))
	fmt.Println(identity.Name(), identity.ID() == issued.ID(), err)
	// Output: shop true <nil>
}
