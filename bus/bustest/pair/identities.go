package pair

import (
	"testing"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/certs"
)

// NewCA returns a new CA.
func NewCA(t testing.TB, name string) *certs.CA {
	t.Helper()
	ca, err := certs.NewCA(name)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// Issue returns a new identity of a CA.
func Issue(t testing.TB, ca *certs.CA) *certs.Identity {
	t.Helper()
	id, err := ca.Issue(uuid.Nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Stranger returns an identity that trusts those of a CA, which do not trust it: it is of the CA "theirs".
func Stranger(t testing.TB, ca *certs.CA) *certs.Identity {
	t.Helper()
	id, err := certs.NewIdentity(Issue(t, NewCA(t, "theirs")).Certificate(), ca.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	return id
}
