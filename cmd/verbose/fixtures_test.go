package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdFreePort is: freeport VAR. It keeps the URL of a UDP port that was free a moment ago.
func cmdFreePort(ts *testscript.TestScript, neg bool, args []string) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], "quic://"+conn.LocalAddr().String())
	ts.Check(conn.Close())
}

// cmdAwkward is: awkward FILE. It writes lines of every kind: empty ones, UTF-8, quotes, carriage
// returns, every byte but the newline, random bytes, and one of 1 MiB. The last has no newline.
func cmdAwkward(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), awkwardText(), 0o600))
}

func awkwardText() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		line := make([]byte, n)
		for i := range line {
			if line[i] = byte(random.Uint32()); line[i] == '\n' {
				line[i] = 0
			}
		}
		return line
	}
	var every []byte
	for b := range 256 {
		if b != '\n' {
			every = append(every, byte(b))
		}
	}
	lines := [][]byte{
		nil, nil, []byte("plain"), []byte(" \tspaces  "), []byte(`"quotes" and \ and 'single'`), []byte(`{"json": [1, 2.50]}`),
		[]byte("UTF-8: ä€😀 \u2028"), []byte("carriage return\r"), {0}, {0xff, 0xfe}, every, nil, noise(1000), noise(1 << 20), nil, []byte("the end"),
	}
	return bytes.Join(lines, []byte("\n"))
}

// cmdUnhex is: unhex HEX FILE.
func cmdUnhex(ts *testscript.TestScript, neg bool, args []string) {
	raw, err := hex.DecodeString(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), raw, 0o600))
}

// cmdNul is: nul FROM TO. It copies a file with newlines and NUL bytes exchanged.
func cmdNul(ts *testscript.TestScript, neg bool, args []string) {
	text := []byte(ts.ReadFile(args[0]))
	for i, b := range text {
		switch b {
		case 0:
			text[i] = '\n'
		case '\n':
			text[i] = 0
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o600))
}

// cmdLong is: long FILE. It writes a short line and one that is a byte too long.
func cmdLong(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append([]byte("short\n"), make([]byte, maxLine+1)...), 0o600))
}

// cmdLines is: lines GOT WANT. The files have to be equal but for the end of the last line, which an input may lack.
func cmdLines(ts *testscript.TestScript, neg bool, args []string) {
	got, want := []byte(ts.ReadFile(args[0])), []byte(ts.ReadFile(args[1]))
	if len(got) != len(want)+1 || !bytes.HasPrefix(got, want) {
		ts.Fatalf("%s (%d bytes) is not %s (%d bytes) with its last line ended", args[0], len(got), args[1], len(want))
	}
}

// cmdForged is: forged FILE…. It writes an identity whose name is made to look like more than a name.
func cmdForged(ts *testscript.TestScript, neg bool, args []string) {
	public, key, err := ed25519.GenerateKey(nil)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "shop\nid  0000\n\x1b[8m"},
		URIs:         []*url.URL{{Scheme: "urn", Opaque: "uuid:" + uuid.NewString()}},
		NotBefore:    time.Now(),
		NotAfter:     time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(nil, template, template, public, key)
	ts.Check(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	for _, path := range args {
		ts.Check(os.WriteFile(ts.MkAbs(path), text, 0o600))
	}
}
