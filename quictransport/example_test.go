package quictransport_test

import (
	"context"
	"fmt"
	"io"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/quictransport"
)

// Without a bus, a transport is authenticated streams.
func Example() {
	ca, _ := certs.NewCA("example")
	node := func(name string) *quictransport.Transport {
		id, _ := ca.Issue(uuid.Nil, name)
		return quictransport.New(quictransport.Config{Identity: id})
	}
	client, server := node("client"), node("server")
	defer client.Close()
	defer server.Close()
	ctx := context.Background()

	ln, _ := server.Listen(ctx, "127.0.0.1:0")
	go func() { // ends with the stream
		conn, _ := ln.Accept(ctx)
		s, _ := conn.AcceptStream(ctx)
		io.Copy(s, s)
		s.CloseWrite()
	}()
	conn, err := client.Dial(ctx, ln.Addr().String(), server.ID())
	if err != nil {
		fmt.Println(err)
		return
	}
	s, _ := conn.OpenStream(ctx)
	s.Write([]byte("hello"))
	s.CloseWrite()
	echo, _ := io.ReadAll(s)
	fmt.Println(string(echo), conn.Peer() == server.ID())
	// Output: hello true
}
