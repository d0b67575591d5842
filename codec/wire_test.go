package codec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The example that WIRE.md spells out is the golden vector it says it is.
func TestWireExample(t *testing.T) {
	page, err := os.ReadFile("WIRE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(page), "The first, in full:\n\n```\n")
	if !found {
		t.Fatal("WIRE.md has no example")
	}
	var digits strings.Builder
	for line := range strings.Lines(example) {
		if strings.HasPrefix(line, "```") {
			break
		}
		digits.WriteString(strings.ReplaceAll(line[:34], " ", ""))
	}
	text, err := os.ReadFile(filepath.Join("testdata", "golden", "one.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden vector
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	if digits.String() != golden.Batch {
		t.Errorf("WIRE.md has\n%s, the vector is\n%s", digits.String(), golden.Batch)
	}
}
