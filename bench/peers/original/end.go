package original

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/verbose-bus/verbose/bench/contender"
)

//go:embed end.js
var endProgram string

// end is a node in a process of Node.js, which is told what to do and says what happens in lines, see end.js. Payloads are text there:
// base64.
type end struct {
	config  contender.Config
	process *exec.Cmd
	orders  io.Closer
	out     *bufio.Writer
	line    []byte

	addrs     chan string   // where it listens
	connected chan struct{} // one for each handshake that ended
	over      chan struct{} // closed when the process has ended
}

const (
	// mostConnected is more connections than an end ever has.
	mostConnected = 1 << 10
	// longestLine is more than an event has in base64, in bytes.
	longestLine = 24 << 20
	// stopTimeout is how long the process may take to end.
	stopTimeout = time.Second
)

// New makes an end that has no connection yet.
func New(c contender.Config) (contender.End, error) {
	command, err := command(endProgram)
	if err != nil {
		return nil, err
	}
	e := &end{config: c, process: exec.Command(command[0], command[1:]...), addrs: make(chan string, 1),
		connected: make(chan struct{}, mostConnected), over: make(chan struct{})}
	e.process.Stderr = os.Stderr
	in, err := e.process.StdinPipe()
	if err != nil {
		return nil, err
	}
	said, err := e.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.process.Start(); err != nil {
		return nil, err
	}
	e.orders, e.out = in, bufio.NewWriterSize(in, 64<<10)
	go e.hear(said) // ends with the process, which Close waits for
	if c.Pattern == "" {
		return e, nil
	}
	if err := e.order('h', ""); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// hear takes what the process says until it ends.
func (e *end) hear(said io.Reader) {
	defer close(e.over)
	defer e.process.Wait()
	lines := bufio.NewScanner(said)
	lines.Buffer(nil, longestLine)
	var payload []byte
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			continue
		}
		switch rest := line[1:]; line[0] {
		case 'e':
			var err error
			if payload, err = base64.StdEncoding.AppendDecode(payload[:0], rest); err != nil {
				e.tell("an event that is not what was sent: " + err.Error())
				continue
			}
			e.config.Receive(payload)
		case 'a':
			e.addrs <- string(rest)
		case 'i':
			select {
			case e.connected <- struct{}{}:
			default:
			}
		case 't':
			e.tell(string(rest))
		}
	}
}

func (e *end) tell(text string) {
	if e.config.Told != nil {
		e.config.Told(contender.Notice{Text: text})
	}
}

func (e *end) order(kind byte, text string) error {
	fmt.Fprintf(e.out, "%c%s\n", kind, text)
	return e.out.Flush()
}

var errOver = errors.New("the process of the original has ended")

func (e *end) Listen(ctx context.Context) (string, error) {
	if err := e.order('l', e.config.Host()); err != nil {
		return "", err
	}
	select {
	case addr := <-e.addrs:
		return addr, nil
	case <-e.over:
		return "", errOver
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (e *end) Dial(ctx context.Context, addr string) error {
	if err := e.order('d', addr); err != nil {
		return err
	}
	return e.Ready(ctx, 1)
}

// Ready waits for so many handshakes.
func (e *end) Ready(ctx context.Context, dialled int) error {
	for range dialled {
		select {
		case <-e.connected:
		case <-e.over:
			return errOver
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Send gives the process an event. It takes all it is given: what its peer can't take waits in its memory.
func (e *end) Send(payload []byte) error {
	e.line = append(e.line[:0], 'e')
	e.line = base64.StdEncoding.AppendEncode(e.line, payload)
	_, err := e.out.Write(append(e.line, '\n'))
	return err
}

func (e *end) Flush() error { return e.out.Flush() }

// Sent is not counted.
func (e *end) Sent() contender.Traffic { return contender.Traffic{} }

func (e *end) Close() error {
	e.orders.Close()
	defer time.AfterFunc(stopTimeout, func() { e.process.Process.Kill() }).Stop()
	<-e.over
	return nil
}
