//go:build !zmq

package peer

import (
	"errors"

	"github.com/verbose-bus/verbose/bench/contender"
)

const hasZeroMQ = false

func newZeroMQ(contender.Config) (contender.End, error) {
	return nil, errors.New("this program was built without the tag zmq, which needs the library libzmq")
}
