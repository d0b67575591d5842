package bus_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

// What neighbours can do whose certificate, protocol or configuration is not the victim's.

// impostor is an identity that is not good enough for the nodes of a network, while they are for it.
type impostor struct {
	name     string
	code     bus.CloseCode // how the victim ends a connection to or from it
	reason   string        // in the victim's log
	identity func(w *network) *certs.Identity
}

func impostors(t *testing.T) []impostor {
	now := time.Now()
	valid := func(from, to time.Duration) func(*network) *certs.Identity {
		return func(w *network) *certs.Identity {
			identity, err := w.ca.Issue(uuid.Nil, "impostor", certs.Valid(now.Add(from), now.Add(to)))
			must(t, err)
			return identity
		}
	}
	return []impostor{
		{"foreign CA", bus.CloseUntrusted, "issue both nodes' certificates from one CA", func(w *network) *certs.Identity {
			foreign := newNetwork(t).identity(uuid.Nil, "impostor")
			identity, err := certs.NewIdentity(foreign.Certificate(), w.ca.Certificate())
			must(t, err)
			return identity
		}},
		{"expired", bus.CloseUntrusted, "issue it anew", valid(-2*time.Hour, -time.Hour)},
		{"not yet valid", bus.CloseUntrusted, "not valid before", valid(time.Hour, 2*time.Hour)},
	}
}

// TestHostileCertificates has strangers dial the victim.
func TestHostileCertificates(t *testing.T) {
	everyTransport(t, func(t *testing.T, scheme string) {
		for _, c := range impostors(t) {
			t.Run(c.name, func(t *testing.T) {
				says := []string{"connection refused", "remote=127.0.0.1:", "code=" + c.code.String(), c.reason}
				besideAStream(t, scheme, mischief{times: 5, says: says, do: func(v *victim) {
					identity := c.identity(v.network)
					stranger := v.nodeAs(identity, func(c *bus.Config) { c.Transports = []bus.Transport{v.transport(identity, nil)} })
					for range 5 {
						if err := refusal(t, stranger, v.url()); err.Code != c.code || !err.Remote {
							t.Errorf("refused with %v", err)
						}
					}
				}})
			})
		}
	})
}

// TestHostileServers has the victim dial strangers, and a member that is not the one it wants.
func TestHostileServers(t *testing.T) {
	everyTransport(t, func(t *testing.T, scheme string) {
		cases := append(impostors(t), impostor{"another id", bus.CloseWrongID, "correct the address or the expected id",
			func(w *network) *certs.Identity { return w.identity(uuid.Nil, "other") }})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				says := []string{"connection refused", "url=" + scheme + "://", c.code.String(), c.reason, "retry="}
				besideAStream(t, scheme, mischief{times: 1, says: says, do: func(v *victim) {
					theirs := newLogBook()
					tr := v.transport(c.identity(v.network), slog.New(slog.NewTextHandler(theirs, nil)))
					defer tr.Close()
					ln, err := tr.Listen(soon(t), "127.0.0.1:0")
					must(t, err)
					url := scheme + "://" + ln.Addr().String()
					if c.code == bus.CloseWrongID {
						url = scheme + "://" + uuid.NewString() + "@" + ln.Addr().String()
					}
					if err := refusal(t, v.target, url); err.Code != c.code || err.Remote {
						t.Errorf("refused with %v", err)
					}
					theirs.await(t, []string{"connection refused", "code=untrusted"}) // TLS tells no more
				}})
			})
		}
	})
}

// TestHostileTLS has strangers that speak other protocols, or have no certificate.
func TestHostileTLS(t *testing.T) {
	everyTransport(t, func(t *testing.T, scheme string) {
		for _, c := range []struct {
			name   string
			only   string // the transport that allows it
			change func(*tls.Config)
			told   string // the alert
			says   string
		}{
			{"another ALPN", "", func(c *tls.Config) { c.NextProtos = []string{"h3"} }, "no application protocol", "code=version"},
			{"TLS 1.2", "tcp", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, "protocol version", "code=version"},
			{"no ALPN", "tcp", func(c *tls.Config) { c.NextProtos = nil }, "", "code=version"},
			{"no certificate", "", func(c *tls.Config) { c.Certificates = nil }, "certificate", "give it an identity"},
		} {
			if c.only != "" && c.only != scheme {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				says := []string{"connection refused", "remote=127.0.0.1:", c.says}
				besideAStream(t, scheme, mischief{times: 1, says: says, do: func(v *victim) {
					config := v.identity(uuid.Nil, "stranger").ClientTLS(uuid.Nil, "verbose/1")
					c.change(config)
					if err := v.handshake(config); err == nil || !strings.Contains(err.Error(), c.told) {
						t.Errorf("refused with %v", err)
					}
				}})
			})
		}
	})
}

// handshake dials the victim and returns how that ends.
func (v *victim) handshake(config *tls.Config) error {
	if v.scheme == "quic" {
		conn, err := quic.DialAddr(soon(v.t), v.addr(), config, nil)
		if err == nil {
			_, err = conn.AcceptStream(soon(v.t))
			conn.CloseWithError(0, "")
		}
		return err
	}
	conn, err := tls.Dial("tcp", v.addr(), config)
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	return err
}

// TestHostileConfigurations has members whose configuration does not fit.
func TestHostileConfigurations(t *testing.T) {
	everyTransport(t, func(t *testing.T, scheme string) {
		for _, c := range []struct {
			name     string
			code     bus.CloseCode
			says     string
			stranger func(*bus.Config)
			victim   func(*bus.Config)
		}{
			{"channel", bus.CloseChannel, "give both the same channel", func(c *bus.Config) { c.Channel = "other" }, nil},
			{"full house", bus.CloseFull, "raise its MaxPeers", func(*bus.Config) {}, func(c *bus.Config) { c.MaxPeers = 2 }},
		} {
			t.Run(c.name, func(t *testing.T) {
				says := []string{"connection not accepted", "remote=127.0.0.1:", c.says}
				besideAStream(t, scheme, mischief{times: 10, says: says, victim: c.victim, do: func(v *victim) {
					stranger := v.node("stranger", c.stranger)
					for range 10 {
						err := refusal(t, stranger, v.url())
						var peer *bus.PeerError
						if !errors.As(err, &peer) || peer.Code != c.code || !peer.Remote {
							t.Errorf("refused with %v", err)
						}
					}
				}})
			})
		}
	})
}
