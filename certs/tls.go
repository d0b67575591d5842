package certs

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/google/uuid"
)

// ServerTLS is the configuration for accepting connections from every node
// that a trusted CA issued. Each handshake looks up the identity's certificate and CAs, so a listener may
// keep it for good. It is the caller's to change.
func (id *Identity) ServerTLS(alpn ...string) *tls.Config {
	config := id.baseTLS(alpn)
	// Any certificate or none, because VerifyConnection is the judge, and says what is wrong.
	config.ClientAuth = tls.RequestClientCert
	config.VerifyConnection = func(state tls.ConnectionState) error {
		return id.current().verify(state, x509.ExtKeyUsageClientAuth, uuid.Nil)
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
		return id.current().verify(state, x509.ExtKeyUsageServerAuth, want)
	}
	return config
}

// current is what a handshake uses.
func (id *Identity) current() *credentials {
	if id.files != nil {
		id.reload()
	}
	return id.inUse.Load()
}

func (id *Identity) baseTLS(alpn []string) *tls.Config {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: alpn,
		// Links live for hours, so resuming one saves nothing worth a ticket key in memory.
		SessionTicketsDisabled: true,
	}
	if id.files == nil {
		config.Certificates = []tls.Certificate{id.Certificate()}
		return config
	}
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &id.current().certificate, nil
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &id.current().certificate, nil
	}
	return config
}
