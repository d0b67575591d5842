package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptPatience is how long a script waits for a line or an end. It only bounds a failure.
const scriptPatience = 30 * time.Second

// program is a verbose that runs beside a script. What it prints is kept, and can be waited for.
type program struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
	err   error // once ended

	mu        sync.Mutex
	out, err2 bytes.Buffer
	changed   chan struct{} // closed and replaced when something was printed
}

type programsKey struct{}

type programs struct{ byName map[string]*program }

func newPrograms() *programs { return &programs{make(map[string]*program)} }

func (ps *programs) killAll() {
	for _, p := range ps.byName {
		p.cmd.Process.Kill()
		p.stdin.Close()
		<-p.ended
	}
}

// printed takes what the program writes to one of its outputs.
type printed struct {
	p   *program
	buf *bytes.Buffer
}

func (w printed) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.buf.Write(b)
	close(w.p.changed)
	w.p.changed = make(chan struct{})
	return len(b), nil
}

// await waits until what was printed on either output matches, or the program has ended.
func (p *program) await(ts *testscript.TestScript, name string, re *regexp.Regexp) []string {
	timeout := time.NewTimer(scriptPatience)
	defer timeout.Stop()
	for ended := false; ; {
		p.mu.Lock()
		match := re.FindStringSubmatch(p.err2.String())
		if match == nil {
			match = re.FindStringSubmatch(p.out.String())
		}
		text, changed := p.err2.String()+p.out.String(), p.changed
		p.mu.Unlock()
		switch {
		case match != nil:
			return match
		case ended:
			ts.Fatalf("%s ended without printing %q; it printed:\n%s", name, re, text)
		}
		select {
		case <-changed:
		case <-p.ended:
			ended = true
		case <-timeout.C:
			ts.Fatalf("%s did not print %q; it printed:\n%s", name, re, text)
		}
	}
}

var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"bg":       cmdBackground,
	"address":  cmdAddress,
	"waitline": cmdWaitLine,
	"until":    cmdUntil,
	"feed":     cmdFeed,
	"endinput": cmdEndInput,
	"signal":   cmdSignal,
	"insist":   cmdInsist,
	"ended":    cmdEnded,
	"freeport": cmdFreePort,
	"status":   cmdStatus,
	"mangled":  cmdMangled,
	"awkward":  cmdAwkward,
	"unhex":    cmdUnhex,
	"nul":      cmdNul,
	"long":     cmdLong,
	"lines":    cmdLines,
	"forged":   cmdForged,
}

func running(ts *testscript.TestScript, args []string, least int) *program {
	if len(args) < least {
		ts.Fatalf("too few arguments")
	}
	p := ts.Value(programsKey{}).(*programs).byName[args[0]]
	if p == nil {
		ts.Fatalf("no program %q was started", args[0])
	}
	return p
}

// cmdBackground is: bg [-in FILE] [-out FILE] [-closedout] [-unread] NAME ARG…. It starts verbose. Without -in, feed
// writes its input. Of -unread output nobody reads anything.
func cmdBackground(ts *testscript.TestScript, neg bool, args []string) {
	var in, out string
	closedOut, unread := false, false
	for len(args) > 1 && args[0][0] == '-' {
		switch args[0] {
		case "-in":
			in, args = args[1], args[2:]
		case "-out":
			out, args = args[1], args[2:]
		case "-closedout":
			closedOut, args = true, args[1:]
		case "-unread":
			unread, args = true, args[1:]
		default:
			ts.Fatalf("unknown option %s", args[0])
		}
	}
	p := &program{ended: make(chan struct{}), changed: make(chan struct{})}
	path, err := exec.LookPath("verbose")
	ts.Check(err)
	p.cmd = exec.Command(path, args[1:]...)
	p.cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "XDG_CONFIG_HOME="+ts.Getenv("XDG_CONFIG_HOME"), "AppData="+ts.Getenv("AppData"), "GORACE="+raceOptions)
	p.cmd.Dir = ts.Getenv("WORK")
	p.cmd.Stdout, p.cmd.Stderr = printed{p, &p.out}, printed{p, &p.err2}
	var files []*os.File
	switch {
	case closedOut:
		r, w, err := os.Pipe()
		ts.Check(err)
		r.Close()
		p.cmd.Stdout, files = w, append(files, w)
	case unread:
		r, w, err := os.Pipe()
		ts.Check(err)
		p.cmd.Stdout, files = w, append(files, r, w)
	case out != "":
		f, err := os.OpenFile(out, os.O_WRONLY, 0)
		ts.Check(err)
		p.cmd.Stdout, files = f, append(files, f)
	}
	if in != "" {
		f, err := os.Open(ts.MkAbs(in))
		ts.Check(err)
		p.cmd.Stdin, files = f, append(files, f)
		p.stdin = f
	} else {
		p.stdin, err = p.cmd.StdinPipe()
		ts.Check(err)
	}
	ts.Check(p.cmd.Start())
	ts.Value(programsKey{}).(*programs).byName[args[0]] = p
	go func() { // killAll waits for it
		p.err = p.cmd.Wait()
		for _, f := range files {
			f.Close()
		}
		close(p.ended)
	}()
}

// cmdAddress is: address NAME VAR [SCHEME]. It waits until the program listens, with that scheme, and keeps the
// address.
func cmdAddress(ts *testscript.TestScript, neg bool, args []string) {
	scheme := ""
	if len(args) == 3 {
		scheme, args = args[2]+"://", args[:2]
	}
	match := running(ts, args, 2).await(ts, args[0], regexp.MustCompile(`(?m)^listening on (`+scheme+`\S+)\n`))
	ts.Setenv(args[1], match[1])
}

// cmdWaitLine is: waitline NAME REGEXP.
func cmdWaitLine(ts *testscript.TestScript, neg bool, args []string) {
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	running(ts, args, 2).await(ts, args[0], re)
}

// cmdUntil is: until NAME REGEXP ARG…. It runs verbose again and again, however it ends, until the program NAME has printed that.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	p := running(ts, args, 3)
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	for begin := time.Now(); time.Since(begin) < scriptPatience; {
		ts.Exec("verbose", args[2:]...)
		p.mu.Lock()
		printed := re.Match(p.err2.Bytes()) || re.Match(p.out.Bytes())
		p.mu.Unlock()
		if printed {
			return
		}
	}
	ts.Fatalf("%s did not print %q; it printed:\n%s", args[0], re, p.err2.String())
}

// cmdFeed is: feed NAME LINE….
func cmdFeed(ts *testscript.TestScript, neg bool, args []string) {
	p := running(ts, args, 2)
	for _, line := range args[1:] {
		_, err := io.WriteString(p.stdin, line+"\n")
		ts.Check(err)
	}
}

// cmdEndInput is: endinput NAME.
func cmdEndInput(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(running(ts, args, 1).stdin.Close())
}

var signals = map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}

// cmdSignal is: signal NAME INT|TERM|KILL.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(running(ts, args, 2).cmd.Process.Signal(signals[args[1]]))
}

// cmdInsist is: insist NAME INT|TERM. It sends the signal again and again, until the program has ended.
func cmdInsist(ts *testscript.TestScript, neg bool, args []string) {
	p := running(ts, args, 2)
	timeout := time.NewTimer(scriptPatience)
	defer timeout.Stop()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		p.cmd.Process.Signal(signals[args[1]]) // fails once it has ended
		select {
		case <-p.ended:
			return
		case <-ticker.C:
		case <-timeout.C:
			ts.Fatalf("%s does not end; it printed:\n%s%s", args[0], p.err2.String(), p.out.String())
		}
	}
}

// cmdEnded is: ended NAME [STATUS]. It waits for the program's end, and writes NAME.out and NAME.err. A
// status of "killed" is that of a signal.
func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	p := running(ts, args, 1)
	timeout := time.NewTimer(scriptPatience)
	defer timeout.Stop()
	select {
	case <-p.ended:
	case <-timeout.C:
		ts.Fatalf("%s does not end; it printed:\n%s%s", args[0], p.err2.String(), p.out.String())
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), p.out.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".err"), p.err2.Bytes(), 0o600))
	want := "0"
	if len(args) > 1 {
		want = args[1]
	}
	got := "0"
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		if got = strconv.Itoa(exit.ExitCode()); exit.ExitCode() < 0 {
			got = "killed"
		}
	} else if p.err != nil {
		got = p.err.Error()
	}
	if got != want {
		ts.Fatalf("%s ended with status %s, not %s; it printed:\n%s", args[0], got, want, p.err2.String())
	}
}

// cmdMangled is: mangled N ARG…. It is status with a byte that is no UTF-8 for each % in the arguments.
func cmdMangled(ts *testscript.TestScript, neg bool, args []string) {
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "%", "\xff")
	}
	cmdStatus(ts, neg, args)
}

// cmdStatus is: status N ARG…. It runs verbose, which has to end with that status.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("verbose", args[1:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("verbose ended with status %d, not %s", got, args[0])
	}
}
