package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// liveNode is a node whose identity came from files, in virtual time, and a peer whose identity is in memory.
type liveNode struct {
	t           *testing.T
	ca          *CA
	live, peer  *Identity
	path, roots string
	server      *tls.Config // made once, as a listener does

	taken, problems int // calls of OnReload
	lastProblem     error
	presented       [2]*x509.Certificate // as the server, and as the client
}

// bubble is valid for the clock of testing/synctest.
func bubble() Option { return Valid(time.Now().Add(-time.Hour), time.Now().Add(1000*time.Hour)) }

func inBubble(t *testing.T, test func(t *testing.T, n *liveNode)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ca, err := InitCA(dir, "test", bubble())
		if err != nil {
			t.Fatal(err)
		}
		n := &liveNode{t: t, ca: ca, peer: issue(t, ca, "peer", bubble()), roots: filepath.Join(dir, "ca.pem")}
		if n.path, err = ca.Store(issue(t, ca, "live", Valid(time.Now().Add(-time.Hour), time.Now().Add(10*time.Hour)))); err != nil {
			t.Fatal(err)
		}
		if n.live, err = LoadIdentity(n.path, n.roots); err != nil {
			t.Fatal(err)
		}
		n.live.OnReload(func(err error) {
			if err == nil {
				n.taken++
				return
			}
			n.problems++
			n.lastProblem = err
		})
		n.server = n.live.ServerTLS("test/1")
		test(t, n)
	})
}

// meet has the peer connect to the node and the reverse, and keeps what the node presented.
func (n *liveNode) meet() error {
	n.t.Helper()
	watch := func(config *tls.Config, seen **x509.Certificate) *tls.Config {
		verify := config.VerifyConnection
		config.VerifyConnection = func(state tls.ConnectionState) error {
			*seen = state.PeerCertificates[0]
			return verify(state)
		}
		return config
	}
	for _, got := range []outcome{
		connect(watch(n.peer.ClientTLS(n.live.ID(), "test/1"), &n.presented[0]), n.server),
		connect(n.live.ClientTLS(uuid.Nil, "test/1"), watch(n.peer.ServerTLS("test/1"), &n.presented[1])),
	} {
		for _, err := range []error{got.client, got.server} {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// wantPresented holds that both handshakes go right, with that certificate.
func (n *liveNode) wantPresented(want *x509.Certificate) {
	n.t.Helper()
	if err := n.meet(); err != nil {
		n.t.Fatal(err)
	}
	for i, role := range []string{"server", "client"} {
		if got := n.presented[i]; !got.Equal(want) {
			n.t.Errorf("as a %s, it presents the certificate until %s, want the one until %s", role, got.NotAfter, want.NotAfter)
		}
	}
}

func (n *liveNode) renewed(options ...Option) *Identity {
	n.t.Helper()
	id, err := n.ca.Renew(n.path, options...)
	if err != nil {
		n.t.Fatal(err)
	}
	return id
}

func (n *liveNode) save(id *Identity) {
	n.t.Helper()
	if err := id.Save(n.path); err != nil {
		n.t.Fatal(err)
	}
}

func (n *liveNode) write(path string, data []byte, mode os.FileMode) {
	n.t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		n.t.Fatal(err)
	}
}

// nextLook lets so much time pass that the files are looked at again.
func nextLook() { time.Sleep(lookEvery) }

func TestRenewedCertificateIsTakenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, n *liveNode) {
		old, id := n.live.leaf(), n.live.ID()
		n.wantPresented(old)
		second := n.renewed(bubble())
		n.save(second)
		n.wantPresented(old) // within the second: a flood of handshakes does not become one of readings
		nextLook()
		n.wantPresented(second.leaf())
		if n.taken != 1 || n.problems != 0 {
			t.Errorf("%d reloads and %d problems were reported, want 1 and 0", n.taken, n.problems)
		}
		if n.live.Info().Fingerprint != second.Info().Fingerprint || n.live.ID() != id || n.live.Name() != "live" {
			t.Errorf("the identity is %+v", n.live.Info())
		}
		nextLook()
		n.wantPresented(second.leaf())
		if n.taken != 1 {
			t.Error("a file that did not change was read again")
		}
	})
}

func TestExpiredCertificateHeals(t *testing.T) {
	inBubble(t, func(t *testing.T, n *liveNode) {
		time.Sleep(11 * time.Hour)
		wantTrustError(t, n.meet(), Expired, n.live.ID())
		second := n.renewed(bubble())
		n.save(second)
		nextLook()
		n.wantPresented(second.leaf())
	})
}

func TestUnusableFileLeavesTheOldInUse(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(n *liveNode, good []byte)
		want  []string
	}{
		{"missing", func(n *liveNode, _ []byte) { os.Remove(n.path) }, []string{"no identity at"}},
		{"empty", func(n *liveNode, _ []byte) { n.write(n.path, nil, 0o600) }, []string{"must hold a certificate"}},
		{"half-written", func(n *liveNode, good []byte) { n.write(n.path, good[:len(good)/2], 0o600) }, []string{"must hold"}},
		{"readable by others", func(n *liveNode, _ []byte) {
			if runtime.GOOS == "windows" {
				n.t.Skip("no permission bits")
			}
			if err := os.Chmod(n.path, 0o644); err != nil {
				n.t.Fatal(err)
			}
		}, []string{"chmod 600"}},
		{"expired", func(n *liveNode, _ []byte) {
			n.save(n.renewed(Valid(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))))
		}, []string{"expired at", "verbose certs renew"}},
		{"another id", func(n *liveNode, _ []byte) { n.save(issue(n.t, n.ca, "live", bubble())) },
			[]string{"is now of node", "put back"}},
		{"no id", func(n *liveNode, _ []byte) {
			key, err := encodeKey(n.ca.key)
			if err != nil {
				n.t.Fatal(err)
			}
			n.write(n.path, append(encodeCertificates(n.ca.certificate.Raw), key...), 0o600)
		}, []string{"no node id"}},
		{"no CA file", func(n *liveNode, _ []byte) { os.Remove(n.roots) }, []string{"no CA certificate at", "stay trusted"}},
		{"broken CA file", func(n *liveNode, _ []byte) { n.write(n.roots, []byte("-----BEGIN"), 0o600) },
			[]string{"no PEM certificate", "stay trusted"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *liveNode) {
				old, good, roots := n.live.leaf(), n.read(n.path), n.read(n.roots)
				n.wantPresented(old)
				test.spoil(n, good)
				for range 3 { // is tried again and again, and told once
					nextLook()
					n.wantPresented(old)
				}
				if n.problems != 1 || n.taken != 0 {
					t.Fatalf("%d problems and %d reloads were reported, want 1 and 0", n.problems, n.taken)
				}
				wantError(t, n.lastProblem, append(test.want, filepath.Dir(n.roots))...)

				n.write(n.path, good, 0o600)
				n.write(n.roots, roots, 0o644)
				renewed := n.renewed(bubble())
				n.save(renewed)
				nextLook()
				n.wantPresented(renewed.leaf())
				if n.problems != 1 || n.taken != 1 {
					t.Errorf("then %d problems and %d reloads, want 1 and 1", n.problems, n.taken)
				}
				test.spoil(n, good)
				nextLook()
				n.wantPresented(renewed.leaf())
				if n.problems != 2 {
					t.Errorf("the same problem later made %d in all, want 2", n.problems)
				}
			})
		})
	}
}

func (n *liveNode) read(path string) []byte {
	n.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		n.t.Fatal(err)
	}
	return data
}

// TestFileComesBack holds that the end of a problem is told, also where the file is just what it was.
func TestFileComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, n *liveNode) {
		old, aside := n.live.leaf(), n.path+".aside"
		for _, step := range []struct {
			from, to        string
			problems, taken int
		}{{n.path, aside, 1, 0}, {aside, n.path, 1, 1}} {
			if err := os.Rename(step.from, step.to); err != nil {
				t.Fatal(err)
			}
			nextLook()
			n.wantPresented(old)
			if n.problems != step.problems || n.taken != step.taken {
				t.Errorf("%d problems and %d reloads were reported, want %d and %d", n.problems, n.taken, step.problems, step.taken)
			}
		}
	})
}

// TestChangeInPlace holds that a file that was written over is noticed by its time alone.
func TestChangeInPlace(t *testing.T) {
	inBubble(t, func(t *testing.T, n *liveNode) {
		size := len(n.read(n.path))
		for {
			renewed := n.renewed(bubble())
			data, err := renewed.encode()
			if err != nil {
				t.Fatal(err)
			}
			if len(data) != size {
				continue // certificates of other serial numbers may be longer
			}
			n.write(n.path, data, 0o600)
			if err := os.Chtimes(n.path, time.Time{}, time.Now()); err != nil {
				t.Fatal(err)
			}
			n.wantPresented(renewed.leaf())
			return
		}
	})
}

// TestCARotation is the change of a CA while the node runs: the new one is added, and the old one taken out.
func TestCARotation(t *testing.T) {
	inBubble(t, func(t *testing.T, n *liveNode) {
		second := newCA(t, "second", bubble())
		moved, err := NewIdentity(issue(t, second, "moved", bubble()).Certificate(), n.ca.certificate)
		if err != nil {
			t.Fatal(err)
		}
		still := n.peer
		n.peer = moved
		wantTrustError(t, n.meet(), Untrusted, moved.ID())

		// That the identity's file is broken meanwhile does not keep the CA out.
		good := n.read(n.path)
		n.write(n.path, good[:10], 0o600)
		n.write(n.roots, encodeCertificates(n.ca.certificate.Raw, second.certificate.Raw), 0o644)
		nextLook()
		if got := connect(n.live.ClientTLS(moved.ID(), "test/1"), moved.ServerTLS("test/1")); got.client != nil || got.server != nil {
			t.Errorf("the first to dial: %+v", got)
		}
		if err := n.meet(); err != nil {
			t.Error(err)
		}
		if n.problems != 1 || n.taken != 1 {
			t.Errorf("%d problems and %d reloads were reported, want 1 and 1", n.problems, n.taken)
		}
		n.write(n.roots, encodeCertificates(second.certificate.Raw), 0o644)
		nextLook()
		if err := n.meet(); err != nil {
			t.Error(err)
		}
		n.peer = still
		wantTrustError(t, n.meet(), Untrusted, still.ID())
	})
}

// TestReloadBesideHandshakes is for the race detector: handshakes and methods while the file changes.
func TestReloadBesideHandshakes(t *testing.T) {
	inBubble(t, func(t *testing.T, n *liveNode) {
		for range 20 {
			renewed := n.renewed(bubble())
			n.save(renewed)
			nextLook()
			var wg sync.WaitGroup
			start := make(chan struct{})
			for range 8 {
				wg.Go(func() {
					<-start
					n.live.current()
					n.live.Info()
					if got := connect(n.peer.ClientTLS(n.live.ID(), "test/1"), n.server); got.client != nil || got.server != nil {
						t.Errorf("%+v", got)
					}
				})
			}
			close(start)
			wg.Wait()
			n.wantPresented(renewed.leaf())
		}
	})
}

// TestOnReloadNil holds that nobody needs to be told.
func TestOnReloadNil(t *testing.T) {
	inBubble(t, func(t *testing.T, n *liveNode) {
		n.live.OnReload(nil)
		renewed := n.renewed(bubble())
		n.save(renewed)
		n.wantPresented(renewed.leaf())
	})
}

// TestSwappedDirectory is how Kubernetes mounts a secret: files that are links through a link to a directory, which is
// exchanged for another.
func TestSwappedDirectory(t *testing.T) {
	inBubble(t, func(t *testing.T, n *liveNode) {
		mount := t.TempDir()
		link := func(to, name string) {
			t.Helper()
			if err := os.Symlink(to, filepath.Join(mount, "new")); err != nil {
				t.Skip(err) // not every user of Windows may
			}
			if err := os.Rename(filepath.Join(mount, "new"), filepath.Join(mount, name)); err != nil {
				t.Fatal(err)
			}
		}
		put := func(dir string, id *Identity) {
			t.Helper()
			if err := os.Mkdir(filepath.Join(mount, dir), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := id.SaveNew(filepath.Join(mount, dir, "n.pem")); err != nil {
				t.Fatal(err)
			}
			link(dir, "..data")
		}
		put("..1", n.live)
		link(filepath.Join("..data", "n.pem"), "n.pem")
		live, err := LoadIdentity(filepath.Join(mount, "n.pem"), n.roots)
		if err != nil {
			t.Fatal(err)
		}
		renewed := n.renewed(bubble())
		put("..2", renewed)
		if err := os.RemoveAll(filepath.Join(mount, "..1")); err != nil {
			t.Fatal(err)
		}
		if got := live.current().certificate.Leaf; !got.Equal(renewed.leaf()) {
			t.Errorf("in use until %s, want %s", got.NotAfter, renewed.leaf().NotAfter)
		}
	})
}
