package codec_test

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/codec"
)

func Example() {
	log := codec.LogID{Node: uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), Epoch: 1}
	builder := codec.NewBuilder(log, 1)
	for _, place := range []string{"Amboy", "Lima"} {
		payload, err := codec.AppendArgs(nil, codec.EncodingJSON, place, 1.35)
		if err != nil {
			fmt.Println(err)
			return
		}
		builder.Append("quake.usgs", codec.EncodingJSON, 1_517_363_399_650_000, nil, payload)
	}
	sent := builder.Seal(codec.NewCompressor(codec.Adaptive)).Bytes()

	batch, err := codec.ParseBatch(sent, 1<<20)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(batch.Log, batch.First, batch.Last(), batch.Topics)
	r, err := batch.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	var e codec.Event
	for r.Next(&e) {
		var place string
		var mag float64
		if err := codec.DecodeArgs(e.Encoding, e.Payload, &place, &mag); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Seq, e.Topic, place, mag)
	}
	// Output:
	// 6ba7b810-9dad-11d1-80b4-00c04fd430c8/1/0 1 2 [{quake.usgs 2}]
	// 1 quake.usgs Amboy 1.35
	// 2 quake.usgs Lima 1.35
}
