// Package codec is the byte format of events: how they are laid out in batches,
// how batches are compressed, and how values become payloads.
//
// A [Batch] is an immutable run of consecutive events of one log. It is built and
// sealed once, by its origin, and from then on stored, sent and relayed as the
// same bytes. Its header is readable without touching its body, so a relay
// decodes nothing else.
//
//	Builder ──Take──▶ Unsealed ──Seal(Compressor)──▶ Batch ──Bytes──▶ the network
//	                                                                      │
//	Event ◀──Next── Reader ◀──Open── Batch ◀───────ParseBatch─────────────┘
//
// Nothing here copies what it can point into: topics, headers and payloads of an
// [Event] are views of the batch they came in. They stay valid for as long as they are held, and hold the
// batch with them, unless all who hold the batch say that they are done with it ([Batch.Free]): then its
// [Memory] is used again.
//
// Parsers take bytes from strangers. They never panic, and answer anything that is
// not well formed with an error that wraps [ErrMalformed]. What they allocate is in
// proportion to what has arrived, but for a compressed body: to decompress it takes
// the size that it declares, of which [ParseBatch] is told the most.
//
// Payloads are made of values by [AppendArgs] and read back by [DecodeArgs], or
// in one type by a [Codec].
//
// WIRE.md in this directory specifies every byte.
package codec
