package host

import (
	"encoding/json"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func TestEnvironmentNamesWhatMatters(t *testing.T) {
	e := Describe("")
	if e.OS != runtime.GOOS || e.Go == "" || e.Cores < 1 || e.Modules == nil {
		t.Errorf("%+v", e)
	}
	if runtime.GOOS == "linux" && (e.Kernel == "" || e.Congestion == "") {
		t.Errorf("no kernel or congestion control: %+v", e)
	}
	if _, err := json.Marshal(e); err != nil {
		t.Error(err)
	}
}

var sink []byte

func TestUsedGrows(t *testing.T) {
	before := Used()
	for range 1000 {
		sink = make([]byte, 4<<10)
	}
	after := Used()
	const least = 990 // the runtime counts what is in a span, two of these, when that is full
	if after.Allocs < before.Allocs+least || after.Bytes < before.Bytes+least*4<<10 || after.CPU < before.CPU {
		t.Errorf("from %+v to %+v", before, after)
	}
	if runtime.GOOS == "linux" && after.PeakRSS < 1<<20 {
		t.Errorf("peak of %d bytes", after.PeakRSS)
	}
}

func TestStartPinned(t *testing.T) {
	if !CanPin {
		t.Skip("this system can't")
	}
	c := exec.Command("nproc")
	var out strings.Builder
	c.Stdout = &out
	if err := StartPinned(c); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil || strings.TrimSpace(out.String()) != "1" {
		t.Errorf("a pinned process has %q processors, %v", out.String(), err)
	}
	// This process keeps its own.
	free, err := exec.Command("nproc").Output()
	if err != nil || runtime.NumCPU() > 1 && strings.TrimSpace(string(free)) == "1" {
		t.Errorf("the next has %q, %v", free, err)
	}
}

func TestSentCountsAConnection(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel's counters are Linux's")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := net.Dialer{Control: SetCongestion("reno")} // which every kernel has
	conn, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write(make([]byte, 1000))
	if segments, bytes := Sent(conn.(*net.TCPConn)); segments == 0 || bytes != 1000 {
		t.Errorf("%d segments, %d bytes", segments, bytes)
	}
	if CongestionInUse("reno") != "reno" || CongestionInUse("no such") != "" {
		t.Error("the congestion control in use is not what was asked for")
	}
}
