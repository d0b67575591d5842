package refusal

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
)

// TestCodes holds that the alerts are the ones they are meant to be, by what crypto/tls calls them.
func TestCodes(t *testing.T) {
	texts := map[uint8]string{42: "bad certificate", 43: "unsupported certificate", 44: "revoked certificate", 45: "expired certificate",
		46: "unknown certificate", 48: "unknown certificate authority", 49: "access denied", 70: "protocol version not supported",
		116: "certificate required", 120: "no application protocol"}
	for alert := range uint8(255) {
		code, ok := CodeOf(alert)
		if ok != (texts[alert] != "") {
			t.Errorf("alert %d: %s, %t", alert, code, ok)
		}
		if got := tls.AlertError(alert).Error(); ok && got != "tls: "+texts[alert] {
			t.Errorf("alert %d is %q, want %q", alert, got, texts[alert])
		}
	}
}

func TestHere(t *testing.T) {
	peer := uuid.New()
	for reason, code := range map[certs.Reason]bus.CloseCode{
		certs.Untrusted: bus.CloseUntrusted, certs.Expired: bus.CloseUntrusted, certs.WrongID: bus.CloseWrongID,
	} {
		trust := &certs.TrustError{Reason: reason, Peer: peer}
		got, ok := Here(fmt.Errorf("handshake: %w", trust))
		if !ok || got.Code != code || got.Peer != peer || got.Remote || !errors.Is(got, trust) {
			t.Errorf("reason %v: %+v, want the code %s", reason, got, code)
		}
	}
	if got, ok := Here(errors.New("of another kind")); ok {
		t.Errorf("%+v", got)
	}
}

// TestExplain holds that a refused node is told of its certificate, if TLS refused it, and of nothing else.
func TestExplain(t *testing.T) {
	ca, err := certs.NewCA("theirs")
	if err != nil {
		t.Fatal(err)
	}
	identity, err := ca.Issue(uuid.Nil, "")
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("the transport's")
	for _, test := range []struct {
		name      string
		err       error
		identity  *certs.Identity
		explained bool
	}{
		{"by the peer's TLS", ByAlert(bus.CloseUntrusted, true, "bad certificate", cause), identity, true},
		{"here", ByAlert(bus.CloseUntrusted, false, "bad certificate", cause), identity, false},
		{"another version", ByAlert(bus.CloseVersion, true, "no application protocol", cause), identity, false},
		{"by the node itself", &bus.PeerError{Code: bus.CloseUntrusted, Remote: true, Err: cause}, identity, false},
		{"nobody refused", cause, identity, false},
		{"without an identity", ByAlert(bus.CloseUntrusted, true, "bad certificate", cause), nil, false},
	} {
		before := test.err.Error()
		got := Explain(test.err, test.identity)
		if !errors.Is(got, cause) {
			t.Errorf("%s: %v does not wrap the transport's error", test.name, got)
		}
		explained := strings.Contains(got.Error(), `bad certificate: this node's certificate is from CA "theirs" and valid from 20`)
		if explained != test.explained || !explained && got.Error() != before {
			t.Errorf("%s: %v, explained: %t", test.name, got, test.explained)
		}
	}
}

func TestReason(t *testing.T) {
	for text, want := range map[string]string{
		"wörtlich":                     "wörtlich",
		"two\nlines\x1b[31m\x00":       "two.lines.[31m.",
		"broken \xff\xfe UTF-8":        "broken  UTF-8",
		strings.Repeat("x", 300):       strings.Repeat("x", MaxReason),
		strings.Repeat("ö", 200):       strings.Repeat("ö", MaxReason/2),
		"x" + strings.Repeat("ö", 200): "x" + strings.Repeat("ö", 127), // not half a letter
	} {
		if got := Reason(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
