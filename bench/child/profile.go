package child

import (
	"os"
	"runtime/pprof"
)

// profile is a CPU profile of the time between two orders.
type profile struct{ file *os.File }

// begin starts to write to a file, or does nothing for "".
func (p *profile) begin(name string) (err error) {
	if name == "" {
		return nil
	}
	if p.file, err = os.Create(name); err != nil {
		return err
	}
	return pprof.StartCPUProfile(p.file)
}

// end finishes the file, if there is one.
func (p *profile) end() error {
	if p.file == nil {
		return nil
	}
	pprof.StopCPUProfile()
	file := p.file
	p.file = nil
	return file.Close()
}
