package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// notDrawn are the fields of the suite's results that are not read, with those within; after .*, those within alone.
var notDrawn = []string{
	"rows.contestant", "rows.passes.events", "rows.passes.late_ns", "rows.passes.link", "rows.passes.pass",
	"rows.passes.seconds", "rows.passes.sides", "rows.rejected.*", "took_s",
}

// TestFormat compares what is read with what the suite writes: fields.json is held to that by a test of bench/suite.
func TestFormat(t *testing.T) {
	drawn, written := make(map[string]bool), make(map[string]bool)
	text, err := json.Marshal(documentOf(t, "fields.json"))
	if err != nil {
		t.Fatal(err)
	}
	addFields(t, text, drawn)
	addFields(t, read(t, "fields.json"), written)
	for field := range drawn {
		if top, _, _ := strings.Cut(field, "."); top == "plan" || top == "results" { // of behaviour
			delete(drawn, field)
		}
	}
	for _, field := range notDrawn {
		field, within := strings.CutSuffix(field, ".*")
		if !written[field] || drawn[field] != within {
			t.Errorf("%s is not what the suite writes and is not drawn", field)
		}
		maps.DeleteFunc(written, func(f string, _ bool) bool { return f == field && !within || strings.HasPrefix(f, field+".") })
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(written)), slices.Sorted(maps.Keys(drawn))); diff != "" {
		t.Errorf("written (-) and drawn (+):\n%s", diff)
	}
}

// addFields adds the names of all fields, those within others after these.
func addFields(t *testing.T, text []byte, fields map[string]bool) {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	var add func(path string, value any)
	add = func(path string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, v := range value {
				field := strings.TrimPrefix(path+"."+name, ".")
				fields[field] = true
				add(field, v)
			}
		case []any:
			for _, v := range value {
				add(path, v)
			}
		}
	}
	add("", value)
}
