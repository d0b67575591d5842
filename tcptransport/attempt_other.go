//go:build !unix

package tcptransport

import "net"

// attempt is for systems whose sockets can be asked.
type attempt struct{}

func (*attempt) prepare(net.Conn) {}

func (*attempt) possible() bool { return false }

func (*attempt) send([]byte) int { return 0 }
