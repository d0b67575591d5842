package codec_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/verbose-bus/verbose/codec"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

// vector is a golden file: a batch, and everything in it. WIRE.md describes it.
type vector struct {
	Note        string        `json:"note"`
	Node        string        `json:"node"`
	Epoch       uint64        `json:"epoch"`
	Lane        uint8         `json:"lane"`
	First       uint64        `json:"first"`
	Time        int64         `json:"time"`
	Compression string        `json:"compression"`
	BodySize    int           `json:"body_size"`
	Topics      []vectorTopic `json:"topics"`
	Events      []vectorEvent `json:"events"`
	Batch       string        `json:"batch"` // hex
}

type vectorTopic struct {
	Name   string `json:"name"`
	Events uint32 `json:"events"`
}

type vectorEvent struct {
	Topic    string      `json:"topic"`
	Encoding string      `json:"encoding"`
	Time     int64       `json:"time"`
	Headers  [][2]string `json:"headers,omitempty"`
	Payload  string      `json:"payload"` // hex
}

func describe(t *testing.T, note string, b *codec.Batch) vector {
	t.Helper()
	v := vector{
		Note: note,
		Node: b.Log.Node.String(), Epoch: b.Log.Epoch, Lane: b.Log.Lane, First: b.First,
		Time: b.Time, Compression: b.Compression.String(), BodySize: b.RawSize,
		Batch: hex.EncodeToString(b.Bytes()),
	}
	for _, topic := range b.Topics {
		v.Topics = append(v.Topics, vectorTopic{topic.Name, topic.Count})
	}
	for _, e := range read(t, b) {
		ve := vectorEvent{Topic: e.Topic, Encoding: e.Encoding.String(), Time: e.Time, Payload: hex.EncodeToString(e.Payload)}
		for _, h := range e.Headers {
			ve.Headers = append(ve.Headers, [2]string{h.Key, h.Value})
		}
		v.Events = append(v.Events, ve)
	}
	return v
}

func TestGolden(t *testing.T) {
	jsonArgs := appendArgs(t, codec.EncodingJSON, "M 5.3 - Sangiang", 5.3)
	cborArgs := appendArgs(t, codec.EncodingCBOR, "M 5.3 - Sangiang", 5.3)
	const noon = 1_517_363_399_650_000
	small := []event{{Topic: "a", Time: noon}}
	mixed := []event{
		{Topic: "quake.usgs", Encoding: codec.EncodingJSON, Time: noon, Payload: jsonArgs},
		{Topic: "quake.usgs", Encoding: codec.EncodingCBOR, Time: noon + 63, Payload: cborArgs, Headers: []codec.Header{
			{Key: "trace", Value: "00-4bf92f35"}, {Key: "empty", Value: ""},
		}},
		{Topic: "ünï.cödé", Time: noon - 65, Payload: []byte{0, 0xff}},
	}
	var many []event
	for i := range 20 {
		many = append(many, event{Topic: "quake.usgs", Encoding: codec.EncodingJSON, Time: noon + int64(i)*1000, Payload: jsonArgs})
	}
	for _, test := range []struct {
		file, note string
		first      uint64
		mode       codec.Mode
		events     []event
	}{
		{"one", "the smallest: one event with no payload", 1, codec.Off, small},
		{"mixed", "all encodings, headers, two topics, time going back", 1 << 40, codec.Off, mixed},
		{"s2", "compressed with S2: other encoders give other bytes", 300, codec.S2, many},
		{"zstd", "compressed with Zstandard: other encoders give other bytes", 300, codec.Zstd, many},
	} {
		t.Run(test.file, func(t *testing.T) {
			path := filepath.Join("testdata", "golden", test.file+".json")
			sealed := build(testLog, test.first, test.events...).Seal(codec.NewCompressor(test.mode))
			if *update {
				text, err := json.MarshalIndent(describe(t, test.note, sealed), "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want vector
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			golden, err := hex.DecodeString(want.Batch)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := codec.ParseBatch(golden, maxRaw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, describe(t, want.Note, parsed)); diff != "" {
				t.Errorf("the file describes its batch otherwise:\n%s", diff)
			}
			if diff := cmp.Diff(test.events, read(t, parsed), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("events differ:\n%s", diff)
			}
			if test.mode == codec.Off && !bytes.Equal(sealed.Bytes(), golden) {
				t.Errorf("sealed as %x, golden is %x", sealed.Bytes(), golden)
			}
		})
	}
}
