package child

import "runtime"

// youngHeap is what Go's heap grows to before its first collection, in bytes.
const youngHeap = 4 << 20

// ageHeap brings the heap to where it is after its first collection. Until then whatever is allocated is on pages that the process has
// never touched, each of which costs it a fault, of 25 µs in a virtual machine. A pass is over before that, where events are few,
// and a process that serves them is through it for good within seconds.
func ageHeap() {
	for range youngHeap / len(aged) {
		aged = make([]byte, len(aged))
	}
	aged = make([]byte, len(aged))
	runtime.GC()
}

var aged = make([]byte, 1<<10)
