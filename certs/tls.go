package certs

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/google/uuid"
)

// ServerTLS is the configuration for accepting connections from every node
// that a trusted CA issued. It is the caller's to change.
func (id *Identity) ServerTLS(alpn ...string) *tls.Config {
	config := id.baseTLS(alpn)
	// Any certificate, because VerifyConnection is the judge.
	config.ClientAuth = tls.RequireAnyClientCert
	config.VerifyConnection = func(state tls.ConnectionState) error {
		return id.verify(state, x509.ExtKeyUsageClientAuth, uuid.Nil)
	}
	return config
}

// ClientTLS is the configuration for connecting to the node want, or with [uuid.Nil] to any node
// that a trusted CA issued. It is the caller's to change.
func (id *Identity) ClientTLS(want uuid.UUID, alpn ...string) *tls.Config {
	config := id.baseTLS(alpn)
	// crypto/tls would look for the host name in the certificate, and a node's has its id instead. This
	// turns off crypto/tls's own verification; VerifyConnection does all of it, the chain included.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		return id.verify(state, x509.ExtKeyUsageServerAuth, want)
	}
	return config
}

func (id *Identity) baseTLS(alpn []string) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{id.certificate},
		NextProtos:   alpn,
		// Links live for hours, so resuming one saves nothing worth a ticket key in memory.
		SessionTicketsDisabled: true,
	}
}
