package protocol

import (
	"time"

	"github.com/google/uuid"
)

// Config is what a Machine is told once. The owner has validated it and filled
// every default.
type Config struct {
	ID      uuid.UUID
	Epoch   uint64 // this run of the node (§3); higher than any before
	Leap    uint64 // how far past one that others know it goes on, should it not be; drawn anew for each run
	Name    string
	Channel string
	Lanes   int // logs of our own: 1 to 64

	MaxPeers   int // connected peers
	MaxOrigins int // logs of others, and records
	MaxBatch   int // bytes of a batch, compressed or not

	BufferMax     int           // events kept per log
	BufferBytes   int64         // bytes kept per log
	BufferTimeout time.Duration // age at which a kept batch is dropped, and an absent peer forgotten (sooner where more than MaxPeers are)
	Overflow      Overflow
	PeerOverflow  map[uuid.UUID]Overflow // for these instead; never Reject
	GapWait       time.Duration          // how long a gap is not declared while others may have the events
	BlockTimeout  time.Duration          // how long Block waits for a laggard that makes no progress

	ReceiveBytes int64         // shared pool of credit for the logs of others
	Timeout      time.Duration // silence after which a path is dead
	AckInterval  time.Duration // the longest a vector waits
	HelloTimeout time.Duration
}

// Overflow says what happens when a connected peer lags behind a full log.
type Overflow uint8

// The overflow policies. A disconnected peer is always treated as by DropOldest.
const (
	Block Overflow = iota
	DropOldest
	Reject
	Disconnect
)

// Bounds and paces that are not worth a knob.
const (
	maxLanes      = 64
	reserveWindow = 64 << 10 // credit every log has (§7)
	leastBatch    = 30       // bytes: its header names its log
	maxWindow     = 8 << 20  // the most credit one log takes from the pool
	ackBytes      = 512 << 10
	ackEvents     = 16 << 10
	ackPace       = 5 * time.Millisecond // vectors to a parent, no oftener unless by count or bytes
	maxControl    = 256 << 10            // bytes of a control frame
	maxPatterns   = 1024                 // in a record; a node with more asks for everything
	maxRecordText = 32 << 10             // bytes of patterns in a record, likewise
	maxNeighbours = 4096
	longRecord    = 4  // neighbours that make it worth telling what has changed
	maxBases      = 8  // nodes whose long records are remembered, each way on a path
	maxEndpoints  = 16 // in a record
	maxWants      = 1024
	maxAsked      = maxWants / 32 // of a peer at a time: a question may be asked four times before it is forgotten there
	giveMost      = 64 << 10      // bytes given at a time, and what is left of the last batch
	leastWins     = 3             // batches that a rival brings first, in a row, before it becomes the parent
	maxName       = 255
	maxReason     = 255
	maxCached     = 4096                   // topics whose wanted-ness is remembered per peer
	maxLost       = 1024                   // ranges of lost events told apart per cursor
	maxMarks      = 64                     // times of judgement told apart per cursor
	maxKnown      = 256                    // moments remembered of what a peer knew
	leastPatience = 400 * time.Millisecond // with a peer that has to answer
	idlePatience  = time.Second            // with one that was to be heard from, recently
	recently      = 10 * time.Second       // after the last data
	minAlive      = 30 * time.Millisecond  // between keepalives, whatever timeout a peer declares
	maxAliases    = 1 << 18                // of logs on a stream: twice the most that MaxOrigins may be
	maxPings      = 64                     // waiting on a path
	recordGrace   = 5 * time.Second
	greetingTime  = time.Second          // within which the records of a greeting come into reach
	orphanGrace   = 30 * time.Second     // for those behind a restarted relay to come back
	selfPace      = 5 * time.Millisecond // our own record is renewed no oftener
	leastPause    = time.Second          // between claims of our record that a later run seems to have made, and twice as long each time
	mostPause     = time.Hour
	epochSlack    = 1 << 62
	mostKnown     = epochSlack / 2     // an epoch that is no clock's, and leaves no room for versions
	mostVersion   = epochSlack - 1<<32 // of a record that is replaced: there is to be room for what changes later
)

// MostPeers is how many a node may have: its record lists them all.
const MostPeers = maxNeighbours

// MaxControlFrame is the largest control frame a peer may send, in bytes.
const MaxControlFrame = maxControl

// MaxDataFrame is the largest frame on a data stream, in bytes.
func (c Config) MaxDataFrame() int { return c.MaxBatch + 128 }

// maxAge is the age past which a batch is refused everywhere (§10).
func (c Config) maxAge() time.Duration { return c.BufferTimeout + c.BufferTimeout/4 }
