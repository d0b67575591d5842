// Package certs holds the identities of nodes: keys, certificates, the small CA
// that issues them, and the TLS configurations that accept nobody else.
//
// A node is its id: a UUID in its certificate as the URI SAN urn:uuid:<id>
// (RFC 9562, RFC 5280 section 4.2.1.6). Host names and addresses play no part, so a node keeps its
// certificate when it moves. Trust is by CA: a peer is let in if its certificate chains
// to a CA that this node trusts, is valid now and carries one id. TLS is 1.3, and both sides prove
// who they are.
//
// New keys are Ed25519: TLS 1.3 in Go signs with one in 16 µs and verifies in
// 38 µs (P-256: 23 and 49), its certificates are the smallest, and a signature needs no randomness. Identities
// that another CA issued may have any key that crypto/tls takes.
//
// An identity from files follows them: a renewed certificate, or another CA, is used for
// the connections that begin after it was put there, without a restart. See [LoadIdentity].
//
// An identity in memory and a [CA] never change. All functions and methods may be called concurrently.
package certs
