package bus_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
)

// throughput is the number of 64-byte events in one pass.
const throughput = 3_000_000

// TestLongThroughput shows what 64-byte events do between two processes, from
// EmitBytes to a handler, beside a plain QUIC stream with the same framing in the same
// run. It asserts that all arrive, not how fast.
func TestLongThroughput(t *testing.T) {
	if os.Getenv("VERBOSE_LONG") == "" {
		t.Skip("set VERBOSE_LONG=1 to measure")
	}
	dir := t.TempDir()
	ca, err := certs.InitCA(dir, "throughput")
	must(t, err)
	for _, name := range []string{"reader", "writer"} {
		id, err := ca.Issue(uuid.Nil, name)
		must(t, err)
		must(t, id.Save(filepath.Join(dir, name+".pem")))
	}
	var ours, plain []float64
	for range 5 {
		ours = append(ours, runPass(t, dir, "bus"))
		plain = append(plain, runPass(t, dir, "plain"))
	}
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / plain[i]
	}
	for _, list := range [][]float64{ours, plain, ratios} {
		slices.Sort(list)
	}
	t.Logf("bus   %.2f – %.2f – %.2f million events/s", ours[0], ours[2], ours[4])
	t.Logf("plain %.2f – %.2f – %.2f million events/s", plain[0], plain[2], plain[4])
	t.Logf("ratio %.2f – %.2f – %.2f", ratios[0], ratios[2], ratios[4])
}

// runPass starts a reader and a writer and returns the reader's million events a second.
func runPass(t *testing.T, dir, kind string) float64 {
	t.Helper()
	reader := exec.Command(os.Args[0])
	reader.Env = append(os.Environ(), "VERBOSE_TEST_ROLE="+kind+"-reader", "VERBOSE_TEST_DIR="+dir)
	reader.Stderr = os.Stderr
	out, err := reader.StdoutPipe()
	must(t, err)
	must(t, reader.Start())
	lines := bufio.NewScanner(out)
	lines.Scan()
	writer := exec.Command(os.Args[0])
	writer.Env = append(os.Environ(), "VERBOSE_TEST_ROLE="+kind+"-writer", "VERBOSE_TEST_DIR="+dir, "VERBOSE_TEST_ADDR="+lines.Text())
	writer.Stderr = os.Stderr
	must(t, writer.Run())
	lines.Scan()
	seconds, err := strconv.ParseFloat(lines.Text(), 64)
	must(t, err)
	must(t, reader.Wait())
	return throughput / seconds / 1e6
}

// child is one end of a pass.
func child(role string) int {
	kind, end, _ := strings.Cut(role, "-")
	run := map[string]func(*certs.Identity) error{
		"bus-reader": busReader, "bus-writer": busWriter, "plain-reader": plainReader, "plain-writer": plainWriter,
		"endurance-receiver": enduranceReceiver, "endurance-emitter": enduranceEmitter,
	}[kind+"-"+end]
	dir := os.Getenv("VERBOSE_TEST_DIR")
	id, err := certs.LoadIdentity(filepath.Join(dir, end+".pem"), filepath.Join(dir, "ca.pem"))
	if err == nil {
		err = run(id)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, role, err)
		return 1
	}
	return 0
}

func busNode(id *certs.Identity) (*bus.Node, error) {
	return bus.New(bus.Config{Transports: []bus.Transport{quictransport.New(quictransport.Config{Identity: id})}})
}

func busReader(id *certs.Identity) error {
	n, err := busNode(id)
	if err != nil {
		return err
	}
	defer n.Close()
	var first, last time.Time
	all := make(chan struct{})
	count := 0
	_, err = n.On("load.>", func(_ context.Context, e bus.Event) {
		if count++; count == 1 {
			first = time.Now()
		}
		if count == throughput {
			last = time.Now()
			close(all)
		}
	})
	if err != nil {
		return err
	}
	addr, err := n.Listen(context.Background(), "quic://127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(addr)
	<-all
	fmt.Println(last.Sub(first).Seconds())
	return nil
}

func busWriter(id *certs.Identity) error {
	n, err := busNode(id)
	if err != nil {
		return err
	}
	defer n.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := n.Connect("quic://" + os.Getenv("VERBOSE_TEST_ADDR")); err != nil {
		return err
	}
	if err := n.WaitInterest(ctx, "load.events"); err != nil {
		return err
	}
	payloads := randomPayloads()
	for i := range throughput {
		if err := n.EmitBytes(ctx, "load.events", payloads[i%len(payloads)]); err != nil {
			return err
		}
	}
	return n.Drain(ctx)
}

// randomPayloads are 64 bytes each, of a kind that compression can't help.
func randomPayloads() [][]byte {
	list := make([][]byte, 4096)
	for i := range list {
		list[i] = make([]byte, 64)
		rand.Read(list[i])
	}
	return list
}

func plainReader(id *certs.Identity) error {
	ln, err := quic.ListenAddr("127.0.0.1:0", id.ServerTLS("plain"), nil)
	if err != nil {
		return err
	}
	defer ln.Close()
	fmt.Println(ln.Addr())
	conn, err := ln.Accept(context.Background())
	if err != nil {
		return err
	}
	s, err := conn.AcceptStream(context.Background())
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(s, 64<<10)
	var first time.Time
	buf := make([]byte, 64)
	for i := range throughput {
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return err
		}
		if i == 0 {
			first = time.Now()
		}
	}
	fmt.Println(time.Since(first).Seconds())
	s.Write([]byte{1})
	<-conn.Context().Done()
	return nil
}

func plainWriter(id *certs.Identity) error {
	var conf *tls.Config = id.ClientTLS(uuid.Nil, "plain")
	conn, err := quic.DialAddr(context.Background(), os.Getenv("VERBOSE_TEST_ADDR"), conf, nil)
	if err != nil {
		return err
	}
	defer conn.CloseWithError(0, "")
	s, err := conn.OpenStream()
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(s, 64<<10)
	payloads := randomPayloads()
	for i := range throughput {
		w.WriteByte(64)
		w.Write(payloads[i%len(payloads)])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = s.Read(make([]byte, 1))
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
