package codec

import (
	"fmt"

	"github.com/google/uuid"
)

// MaxLane is the highest lane of a node.
const MaxLane = 63

// LogID names a log: one lane of one run (epoch) of one node. It is comparable.
type LogID struct {
	Node  uuid.UUID
	Epoch uint64
	Lane  uint8 // at most MaxLane
}

// String returns the id as node/epoch/lane.
func (l LogID) String() string {
	return fmt.Sprintf("%s/%d/%d", l.Node, l.Epoch, l.Lane)
}
