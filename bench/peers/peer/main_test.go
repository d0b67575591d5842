package peer

import (
	"testing"

	"go.uber.org/goleak"
)

// paho sleeps for up to a second before it sees that it is not to connect again.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/eclipse/paho%2emqtt%2egolang.(*client).reconnect"))
}
