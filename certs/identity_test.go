package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func newCA(t *testing.T, name string, options ...Option) *CA {
	t.Helper()
	ca, err := NewCA(name, options...)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *CA, name string, options ...Option) *Identity {
	t.Helper()
	id, err := ca.Issue(uuid.Nil, name, options...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestIssue(t *testing.T) {
	ca := newCA(t, "test")
	want := uuid.New()
	id, err := ca.Issue(want, "ship 1")
	if err != nil {
		t.Fatal(err)
	}
	if id.ID() != want || id.Name() != "ship 1" {
		t.Errorf("issued %s %q, want %s %q", id.ID(), id.Name(), want, "ship 1")
	}
	if got := id.Certificate().Leaf.URIs[0].String(); got != "urn:uuid:"+want.String() {
		t.Errorf("URI SAN %q", got)
	}
	info := id.Info()
	if now := time.Now(); !info.NotBefore.Before(now.Add(-30*time.Minute)) || !info.NotAfter.After(now.Add(300*24*time.Hour)) || info.NotAfter.After(now.Add(366*24*time.Hour)) {
		t.Errorf("valid from %s to %s, want an hour back and a year on", info.NotBefore, info.NotAfter)
	}
	if same := issue(t, ca, "test"); !bytes.Equal(same.leaf().AuthorityKeyId, ca.certificate.SubjectKeyId) {
		t.Error("a node of its CA's name does not say by which key it was issued")
	}
	nameless := issue(t, ca, "")
	if nameless.ID() == uuid.Nil || nameless.Name() != nameless.ID().String() {
		t.Errorf("without id and name: %s %q, want a random id in both", nameless.ID(), nameless.Name())
	}
	if other := issue(t, ca, ""); other.ID() == nameless.ID() {
		t.Error("two random ids are the same")
	}
}

func TestIssueEndsWithCA(t *testing.T) {
	end := time.Now().Add(48 * time.Hour).Truncate(time.Second)
	ca := newCA(t, "short", Valid(time.Now().Add(-time.Hour), end))
	if got := issue(t, ca, "n").Info().NotAfter; !got.Equal(end) {
		t.Errorf("node valid to %s, its CA to %s", got, end)
	}
}

func TestNames(t *testing.T) {
	ca := newCA(t, "test")
	for _, name := range []string{"../escape", ".hidden", "new\nline", "a/b", "trailing ", strings.Repeat("x", 65)} {
		if _, err := ca.Issue(uuid.Nil, name); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	if _, err := NewCA(""); err == nil {
		t.Error("a CA without a name was accepted")
	}
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	ca, err := InitCA(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	path, roots := filepath.Join(dir, "node.pem"), filepath.Join(dir, "ca.pem")
	if err := issue(t, ca, "old").Save(path); err != nil {
		t.Fatal(err)
	}
	id := issue(t, ca, "new")
	if err := id.Save(path); err != nil { // replaces
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v; want 0600", info.Mode(), err)
	}
	loaded, err := LoadIdentity(path, roots)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.ID() != id.ID() || loaded.Name() != "new" {
		t.Errorf("loaded %s %q, want %s %q", loaded.ID(), loaded.Name(), id.ID(), "new")
	}
	a, err := id.DeriveKey("x")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := loaded.DeriveKey("x"); a != b {
		t.Error("the loaded identity derives another key")
	}
	if b, _ := loaded.DeriveKey("y"); a == b {
		t.Error("two purposes have one key")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("%v: temporary files are left", entries)
	}
}

func TestLoadIdentityErrors(t *testing.T) {
	dir := t.TempDir()
	ca, err := InitCA(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, data ...[]byte) string {
		var all []byte
		for _, d := range data {
			all = append(all, d...)
		}
		if err := os.WriteFile(file(name), all, 0o600); err != nil {
			t.Fatal(err)
		}
		return file(name)
	}
	a, b := issue(t, ca, "a"), issue(t, ca, "b")
	cert := func(id *Identity) []byte { return encodeCertificates(id.Certificate().Certificate...) }
	key := func(k any) []byte {
		data, err := encodeKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	good := write("good.pem", cert(a), key(a.Certificate().PrivateKey))
	now := time.Now()
	expired := issue(t, ca, "expired", Valid(now.Add(-2*time.Hour), now.Add(-time.Hour)))
	early := issue(t, ca, "early", Valid(now.Add(time.Hour), now.Add(2*time.Hour)))

	for _, test := range []struct {
		name, file, ca string
		want           []string
	}{
		{"no file", file("none.pem"), file("ca.pem"), []string{"none.pem", "verbose certs issue"}},
		{"no CA file", good, file("none.pem"), []string{"none.pem", "ca.pem"}},
		{"no key", write("nokey.pem", cert(a)), file("ca.pem"), []string{"private key"}},
		{"another key", write("mixed.pem", cert(a), key(b.Certificate().PrivateKey)), file("ca.pem"), []string{"belongs to it"}},
		{"no id", write("ca-as-node.pem", encodeCertificates(ca.certificate.Raw), key(ca.key)), file("ca.pem"), []string{"no node id", "urn:uuid"}},
		{"node as CA", good, good, []string{"not a CA certificate"}},
		{"empty CA file", good, write("empty.pem"), []string{"no PEM certificate"}},
		{"expired", write("expired.pem", cert(expired), key(expired.Certificate().PrivateKey)), file("ca.pem"), []string{"expired at", "issue it anew"}},
		{"early", write("early.pem", cert(early), key(early.Certificate().PrivateKey)), file("ca.pem"), []string{"not valid before", "clock"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := LoadIdentity(test.file, test.ca)
			wantError(t, err, test.want...)
		})
	}
	if _, err := LoadIdentity(good, file("ca.pem")); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestReadablePrivateKey(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	dir := t.TempDir()
	ca, err := InitCA(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "n.pem")
	if err := issue(t, ca, "n").Save(path); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o644, 0o604, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err = LoadIdentity(path, filepath.Join(dir, "ca.pem"))
		wantError(t, err, "chmod 600 "+path)
	}
	if err := os.Chmod(filepath.Join(dir, "ca.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = LoadCA(dir)
	wantError(t, err, "chmod 600")
}

// TestForeignTool holds that an identity from another CA's tool works: another kind of
// key, and an id in capital letters.
func TestForeignTool(t *testing.T) {
	id := uuid.New()
	got, err := NewIdentity(foreign(t, "URN:UUID:"+strings.ToUpper(id.String())), newCA(t, "x").Certificate())
	if err != nil {
		t.Fatal(err)
	}
	if got.ID() != id {
		t.Errorf("id %s, want %s", got.ID(), id)
	}
	if _, err := got.DeriveKey("x"); err != nil {
		t.Error(err)
	}
}

func TestNodeIDErrors(t *testing.T) {
	root := newCA(t, "x").Certificate()
	one, two := "urn:uuid:"+uuid.NewString(), "urn:uuid:"+uuid.NewString()
	for _, test := range []struct {
		uris []string
		want string
	}{
		{nil, "no node id"},
		{[]string{"https://example.org/"}, "no node id"},
		{[]string{one, two}, "more than one"},
		{[]string{"urn:uuid:" + uuid.Nil.String()}, "is no node id"},
		{[]string{"urn:uuid:1234"}, "is no node id"},
		{[]string{"urn:uuid:" + strings.ReplaceAll(uuid.NewString(), "-", "")}, "is no node id"},
	} {
		_, err := NewIdentity(foreign(t, test.uris...), root)
		wantError(t, err, test.want)
	}
}

// foreign makes a self-signed P-256 certificate with the given URIs.
func foreign(t *testing.T, uris ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "foreign"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	for _, text := range uris {
		uri, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
