package demo

import (
	"bytes"
	_ "embed"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

//go:embed earthquakes.ndjson.zst
var compressed []byte

// earthquakes are the bundled events, see README.md.
func earthquakes() ([][]byte, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := r.DecodeAll(compressed, nil)
	if err != nil {
		return nil, fmt.Errorf("the bundled earthquakes can't be read: %w", err)
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")), nil
}
