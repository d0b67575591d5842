package certs

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// lookEvery is how often the files of an identity are looked at, at most: two calls of the system for a look
// that finds nothing new.
const lookEvery = time.Second

// files are where an identity came from.
type files struct {
	onReload atomic.Pointer[func(error)]
	// looking is set by the handshake that looks at the files, which owns the fields below meanwhile. Others do not wait
	// for it, and use what is there: a slow disk holds up one handshake a second.
	looking         atomic.Bool
	looked          time.Time
	identity, roots watched
}

// watched is a file that is read again when it changes.
type watched struct {
	path    string
	seen    os.FileInfo // from before it was last read, so that a change while it is read is noticed; nil: read it again
	problem string      // why it could not be used, as it was reported; "" if it is in use
}

// newWatched is called before the file is read. One that is not there is read again, and its reader says so.
func newWatched(path string) watched {
	seen, _ := os.Stat(path)
	return watched{path: path, seen: seen}
}

// OnReload sets what is called when files of [LoadIdentity] have changed: with nil once what they hold is in use, or
// else with why they cannot be used, once for each different problem. It runs in the goroutine of a handshake, which waits
// for it, one call at a time; the methods of the identity may be called from it. It is never called for an identity
// in memory. A later call replaces f; nil is for nobody.
func (id *Identity) OnReload(f func(error)) {
	if id.files != nil {
		id.files.onReload.Store(&f)
	}
}

// reload takes up files that have changed.
func (id *Identity) reload() {
	f := id.files
	if !f.looking.CompareAndSwap(false, true) {
		return
	}
	defer f.looking.Store(false)
	now := time.Now()
	if !f.looked.IsZero() && now.Sub(f.looked) < lookEvery {
		return
	}
	f.looked = now

	// Each file counts for itself: a broken identity does not keep a new CA out, nor the reverse.
	next := *id.inUse.Load()
	renewed, problem := readAgain(&f.identity, &next.certificate, id.readRenewed)
	if problem != nil {
		problem = fmt.Errorf("%w; the certificate before stays in use, valid until %s", problem, stamp(next.certificate.Leaf.NotAfter))
	}
	rooted, rootProblem := readAgain(&f.roots, &next.roots, readRoots)
	if rootProblem != nil {
		rootProblem = fmt.Errorf("%w; the CA certificates before stay trusted", rootProblem)
	}
	if renewed || rooted {
		id.inUse.Store(newCredentials(next.certificate, next.roots))
		f.report(nil)
	}
	for _, problem := range []error{problem, rootProblem} {
		if problem != nil {
			f.report(problem)
		}
	}
}

func (f *files) report(problem error) {
	if g := f.onReload.Load(); g != nil && *g != nil {
		(*g)(problem)
	}
}

// readRenewed reads another certificate of the same node.
func (id *Identity) readRenewed(path string) (tls.Certificate, error) {
	pair, err := readPair(path)
	if err != nil {
		return pair, err
	}
	renewed, err := newValid(pair, id.inUse.Load().roots, path)
	if err != nil {
		return pair, err
	}
	if renewed.id != id.id {
		return pair, fmt.Errorf("certs: %s is now of node %s, and this is node %s: put back a certificate of this node, or restart it to be the other", path, renewed.id, id.id)
	}
	return renewed.Certificate(), nil
}

// readAgain reads a file into what it held before, if it has changed or could not be used so far. It returns
// whether that is in use now, or else why not, unless that was returned before.
func readAgain[T any](w *watched, into *T, read func(path string) (T, error)) (taken bool, problem error) {
	info, err := os.Stat(w.path)
	if err == nil && w.seen != nil && !changed(w.seen, info) {
		return false, nil
	}
	value, err := read(w.path) // says best what is wrong with a file that is not there
	if err != nil {
		w.seen = nil
		if err.Error() == w.problem {
			return false, nil
		}
		w.problem = err.Error()
		return false, err
	}
	*into, w.seen, w.problem = value, info, ""
	return true, nil
}

// changed is about the content, and the permission to read it.
func changed(old, now os.FileInfo) bool {
	return !os.SameFile(old, now) || old.Size() != now.Size() || !old.ModTime().Equal(now.ModTime()) || old.Mode() != now.Mode()
}
