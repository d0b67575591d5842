package bus_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameserver is a name server without a socket: its resolver asks it over pipes, as over TCP, also in virtual time.
type nameserver struct {
	mu       sync.Mutex
	hosts    map[string][]string  // addresses, by names with a final dot
	services map[string][]service // by names with a final dot
	asked    map[string]int       // by names
}

// service is an SRV record.
type service struct {
	priority, weight, port uint16
	host                   string // with a final dot
}

// newNameserver has to be called outside of the bubble of a test in virtual time: Go's resolver makes a channel for the
// whole process when it is first used.
func newNameserver(t *testing.T) *nameserver {
	t.Helper()
	s := &nameserver{hosts: map[string][]string{"first.test.": {"192.0.2.1"}}, services: make(map[string][]service), asked: make(map[string]int)}
	_, err := s.resolver().LookupHost(t.Context(), "first.test.")
	must(t, err)
	return s
}

func (s *nameserver) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go s.serve(theirs) // ends with the resolver's end
		return ours, nil
	}}
}

// set gives a name other addresses.
func (s *nameserver) set(name string, addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[name] = addresses
}

// questions is how often a name was asked for.
func (s *nameserver) questions(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name]
}

func (s *nameserver) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		answer, err := s.answer(question)
		if err != nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

func (s *nameserver) answer(message []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(message); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := m.Questions[0]
	name := q.Name.String()
	s.asked[name]++
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	add := func(body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: body})
	}
	for _, address := range s.hosts[name] {
		switch ip := netip.MustParseAddr(address); {
		case ip.Is4() && q.Type == dnsmessage.TypeA:
			add(&dnsmessage.AResource{A: ip.As4()})
		case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
			add(&dnsmessage.AAAAResource{AAAA: ip.As16()})
		}
	}
	for _, x := range s.services[name] {
		if q.Type == dnsmessage.TypeSRV {
			add(&dnsmessage.SRVResource{Priority: x.priority, Weight: x.weight, Port: x.port, Target: dnsmessage.MustNewName(x.host)})
		}
	}
	if s.hosts[name] == nil && s.services[name] == nil {
		m.RCode = dnsmessage.RCodeNameError
	}
	return m.Pack()
}
