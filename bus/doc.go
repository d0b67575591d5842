// Package bus is a distributed event bus with no broker. It links the nodes of an
// application into any topology and gets every event to every node that
// listens for it, exactly once and in order, through lost connections, address
// changes and restarts; where a bound forces a loss, emitter and receivers are told
// exactly what is missing.
//
// A [Node] is one member of the bus. It listens and connects over transports such as
// quictransport, emits events under topics, and subscribes to patterns of topics:
//
//	node, err := bus.New(bus.Config{Transports: []bus.Transport{quic}})
//	...
//	node.On("orders.*", func(ctx context.Context, e bus.Event) { ... })
//	node.Connect("quic://10.0.0.7:7777")
//	node.Emit(ctx, "orders.new", order)
//
// # Topics and patterns
//
// A topic is a list of tokens separated by dots, such as "orders.eu.new": UTF-8 of at most
// 255 bytes without spaces or control characters. In a pattern, "*" stands for one token and a final ">" for one
// or more.
//
// # What is promised
//
// Each run of a node numbers its events, per lane. A node that stays up gets each event
// that matches its confirmed interest once, in that order. One that restarts
// under its id gets everything it had not finished handling, perhaps
// some of it again. What a bound dropped, or what died with a node that alone held
// it, is reported as a [GapError] with exact numbers, to the receiver and
// to the origin. PROTOCOL.md has the rules and the argument.
//
// # Memory
//
// Events handed to handlers point into the batch they arrived in: they stay valid for
// as long as they are held, and keep their batch in memory for as long. Clone a small event to keep it long.
// A subscription that promises not to hold on to any has [Borrow]: the memory of batches is used again then, and many events a
// second leave nothing to the collector. What is emitted or only passed on is so in any case.
//
// # Compression and secrets
//
// Batches are compressed together. Where an attacker can have text of their own
// emitted beside a secret, sizes on the wire leak what the secret contains; emit such
// events with [Message].Uncompressed, or set [Config].Compression to off.
package bus
