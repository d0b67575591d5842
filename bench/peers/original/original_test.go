package original

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/verbose-bus/verbose/bench/contender"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEventsPass has an end send to another, where the package is installed.
func TestEventsPass(t *testing.T) {
	if _, err := Command(); err != nil {
		t.Skip(err)
	}
	const n = 100
	got := make(chan string, n)
	receiver, err := New(contender.Config{Kind: Kind, Pattern: contender.There, Receive: func(p []byte) { got <- string(p) }})
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	addr, err := receiver.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sender, err := New(contender.Config{Kind: Kind, Topic: contender.There})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	if err := sender.Dial(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	var want, arrived []string
	for i := range n {
		want = append(want, fmt.Sprintf("%d \x00\xff", i))
		if err := sender.Send([]byte(want[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := sender.Flush(); err != nil {
		t.Fatal(err)
	}
	for late := time.After(10 * time.Second); len(arrived) < n; {
		select {
		case p := <-got:
			arrived = append(arrived, p)
		case <-late:
			t.Fatalf("%d of %d arrived", len(arrived), n)
		}
	}
	if !slices.Equal(arrived, want) {
		t.Errorf("%q", arrived)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Setenv(Variable, os.DevNull)
	if _, err := New(contender.Config{Kind: Kind}); err == nil {
		t.Error("an end without a package")
	}
}
