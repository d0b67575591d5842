package child

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// Payloads are made once and sent in turn: so many that no window of a compressor sees one twice, where the text they
// are cut from suffices.
const (
	payloadBytes = 4 << 20
	maxPayloads  = 4096
	minPayloads  = 4
)

// payloads makes those of a spec.
func payloads(s Spec) ([][]byte, error) {
	n := max(minPayloads, min(maxPayloads, payloadBytes/s.Size))
	if s.Events == "" {
		list := make([][]byte, n)
		for i := range list {
			list[i] = make([]byte, s.Size)
			rand.Read(list[i])
		}
		return list, nil
	}
	text, err := readEvents(s.Events)
	if err != nil {
		return nil, err
	}
	return cut(text, s.Size, n), nil
}

// cut cuts text into n pieces of a size, one after the other, over and over.
func cut(text []byte, size, n int) [][]byte {
	list := make([][]byte, n)
	at := 0
	for i := range list {
		list[i] = make([]byte, 0, size)
		for len(list[i]) < size {
			piece := text[at:min(len(text), at+size-len(list[i]))]
			list[i] = append(list[i], piece...)
			at = (at + len(piece)) % len(text)
		}
	}
	return list
}

// readEvents reads a file of events, one a line; .zst is compressed.
func readEvents(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err == nil && filepath.Ext(file) == ".zst" {
		var r *zstd.Decoder
		if r, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1)); err == nil {
			defer r.Close()
			text, err = r.DecodeAll(text, nil)
		}
	}
	if err == nil && len(text) == 0 {
		err = fmt.Errorf("%s is empty", file)
	}
	return text, err
}
