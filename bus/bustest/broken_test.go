package bustest

import (
	"errors"
	"slices"
	"testing"
)

var errBroken = errors.New("broken on purpose")

// breakage breaks one rule.
type breakage struct {
	rule, what string
	apply      func(f *faulty)
}

// TestBrokenTransports holds that each rule finds what it is there to find. In virtual time a call that never returns costs
// nothing.
func TestBrokenTransports(t *testing.T) {
	byName, tested := make(map[string]rule), make(map[string]bool)
	for _, r := range rules {
		byName[r.name] = r
	}
	for _, b := range slices.Concat(brokenTransports, brokenStreams, brokenConns) {
		tested[b.rule] = true
		t.Run(b.rule+"/"+b.what, func(t *testing.T) {
			f := &faulty{breakage: b.apply}
			failures := f.failures(t, byName[b.rule])
			if len(failures) == 0 {
				t.Error("the rule holds")
			}
			for _, failure := range failures {
				t.Logf("%.300s", failure)
			}
		})
	}
	for name := range byName {
		if !tested[name] {
			t.Errorf("no transport breaks the rule %s", name)
		}
	}
}

// TestPlainTransport holds that a transport passes without what it need not have, and is told which rules were not tried.
func TestPlainTransport(t *testing.T) {
	needing := []string{"UntrustedIsRefused", "TryWrite", "Push", "FrozenPeer", "FrozenPeerTimesOut", "IdlePeersLive"}
	for _, r := range rules {
		f := &faulty{breakage: func(*faulty) {}, plain: true}
		rec := f.try(t, r)
		for _, failure := range rec.failures {
			t.Errorf("%s: %s", r.name, failure)
		}
		if (rec.skipped != "") != slices.Contains(needing, r.name) {
			t.Errorf("%s: skipped because of %q", r.name, rec.skipped)
		}
	}
}

// TestWholeTransport holds that the wrapper of the broken ones breaks nothing itself.
func TestWholeTransport(t *testing.T) {
	for _, r := range rules {
		f := &faulty{breakage: func(*faulty) {}}
		for _, failure := range f.failures(t, r) {
			t.Errorf("%s: %s", r.name, failure)
		}
	}
}
