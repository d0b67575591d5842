package demo

import (
	"fmt"
	"io"
)

// Print writes the result as a table.
func (r Result) Print(out io.Writer, color bool) {
	s := &screen{out: out, color: color}
	fmt.Fprintf(out, "\n%-32s%14s%20s\n", "", "verbose", "plain connection")
	row := func(name, ours, plain string) { fmt.Fprintf(out, "%-32s%14s%20s\n", name, ours, plain) }
	// bad is a number that should be zero.
	bad := func(name string, ours, plain int) {
		a, b := fmt.Sprintf("%14s", thousands(uint64(ours))), fmt.Sprintf("%20s", thousands(uint64(plain)))
		fmt.Fprintf(out, "%-32s%s%s\n", name, s.judge(ours == 0, a), s.judge(plain == 0, b))
	}
	row("emitted", thousands(uint64(r.Bus.Sent)), thousands(uint64(r.Plain.Sent)))
	row("delivered, equal byte for byte", thousands(uint64(r.Bus.Delivered)), thousands(uint64(r.Plain.Delivered)))
	bad("missing", r.Bus.Missing, r.Plain.Missing)
	bad("duplicated", r.Bus.Duplicated, r.Plain.Duplicated)
	bad("out of order", r.Bus.OutOfOrder, r.Plain.OutOfOrder)
	bad("damaged", r.Bus.Damaged, r.Plain.Damaged)
	row("cuts", fmt.Sprint(r.Bus.Cuts), fmt.Sprint(r.Plain.Cuts))
	row("reconnects", fmt.Sprint(r.Bus.Reconnects), fmt.Sprint(r.Plain.Reconnects))
	row("slowest resume", fmt.Sprintf("%d ms", r.Bus.Slowest.Milliseconds()), fmt.Sprintf("%d ms", r.Plain.Slowest.Milliseconds()))
	row(fmt.Sprintf("payload over %d links", hops), bytesText(r.Bus.Payload*hops), bytesText(r.Plain.Payload*hops))
	row("sent, as UDP and TCP payload", bytesText(r.Bus.WireBytes), bytesText(r.Plain.WireBytes))
	fmt.Fprintln(out)
}

func (s *screen) judge(good bool, text string) string {
	if good {
		return s.paint(green, text)
	}
	return s.paint(red, text)
}

func bytesText(n uint64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }
