package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/codec"
	"github.com/verbose-bus/verbose/quictransport"
	"github.com/verbose-bus/verbose/tcptransport"
)

// nodeFlags make a node. They are shared by every command that runs one.
type nodeFlags struct {
	ID       string     `help:"The node's id, a UUID. Default: that of --identity, or a random one." placeholder:"UUID"`
	Channel  string     `help:"Only nodes of the same channel connect to each other." placeholder:"NAME"`
	Identity string     `help:"File with certificate and key, as verbose certs issue makes it. Default: one for this process alone, by the CA in --dir." placeholder:"FILE"`
	CA       string     `name:"ca" help:"File with the CA certificates to trust, together with --identity. Default: ca.pem of the CA directory the identity lies in." placeholder:"FILE"`
	Dir      string     `help:"CA directory. Default: the development CA of this user, made on first use." placeholder:"DIR"`
	Compress codec.Mode `help:"Compression: adaptive, off, s2 or zstd." default:"adaptive"`
	LogLevel string     `help:"What is logged to stderr: debug, info, warn or error." enum:"debug,info,warn,error,default" default:"default" placeholder:"LEVEL"`
}

// addressFlags say where a node listens and connects.
type addressFlags struct {
	Listen     []string `help:"Accept peers on this address, such as quic://127.0.0.1:7777 (port 0 picks one), tcp://… or unix:///run/bus.sock. Repeatable." placeholder:"URL"`
	Connect    []string `help:"Stay connected to this address, or to one behind a name: quic+dns://NAME:PORT for A and AAAA records, quic+srv://_verbose._udp.NAME for SRV records. Repeatable." placeholder:"URL"`
	Mesh       bool     `help:"Find more peers by itself, once there is one, and be found by others."`
	MeshDegree int      `help:"How many peers are enough for --mesh. Default: 3." placeholder:"N"`
	Advertise  []string `help:"Tell others to dial this node here. Default with --mesh: where it listens. Repeatable." placeholder:"URL"`
}

// configure has the node find peers and be found.
func (f *addressFlags) configure(config *bus.Config) {
	config.Mesh, config.MeshDegree, config.Advertise = f.Mesh, f.MeshDegree, f.Advertise
}

func (f *addressFlags) check(command string) error {
	switch {
	case f.MeshDegree != 0 && !f.Mesh:
		return &usageError{"--mesh-degree says how many peers --mesh finds: give --mesh too"}
	case len(f.Listen)+len(f.Connect) > 0:
		return nil
	}
	return &usageError{fmt.Sprintf("%s needs to know where its peers are: give --listen quic://127.0.0.1:7777 to wait for them, or --connect quic://HOST:PORT to go to one", command)}
}

// level is the log level, or def where none was chosen.
func (f *nodeFlags) level(def slog.Level) slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(f.LogLevel)) != nil {
		return def
	}
	return level
}

// silence is how long a peer may be silent: short, because people watch.
const silence = 10 * time.Second

// pauseTime is how long a reader of on's output may pause, as in a pager, before events are dropped and reported; emit
// waits as long for it. A relay keeps the default, for the sake of its other peers.
const pauseTime = 5 * time.Minute

// newNode makes the node, which its caller closes.
func (f *nodeFlags) newNode(logger *slog.Logger, change func(*bus.Config)) (*bus.Node, error) {
	identity, err := f.identity(logger)
	if err != nil {
		return nil, err
	}
	identity.OnReload(func(err error) {
		if err != nil {
			logger.Warn("identity not reloaded", "error", err)
			return
		}
		logger.Info("identity reloaded", "until", timeText(identity.Info().NotAfter))
	})
	config := bus.Config{
		Timeout:     silence,
		Channel:     f.Channel,
		Transports:  transports(identity, logger),
		Compression: f.Compress,
		Encoding:    codec.EncodingJSON,
	}
	if name := identity.Name(); name != identity.ID().String() {
		config.Name = name
	}
	if f.LogLevel == "debug" {
		config.Logger = logger // says of links what the lifecycle says, and more
	}
	if change != nil {
		change(&config)
	}
	node, err := bus.New(config)
	if invalid := (*bus.ConfigError)(nil); errors.As(err, &invalid) {
		return nil, &usageError{err.Error()}
	}
	return node, err
}

// transports are all this command has, the preferred one first.
func transports(identity *certs.Identity, logger *slog.Logger) []bus.Transport {
	return []bus.Transport{
		quictransport.New(quictransport.Config{Identity: identity, Logger: logger}),
		tcptransport.New(tcptransport.Config{Identity: identity, Logger: logger}),
		tcptransport.NewUnix(tcptransport.Config{Identity: identity, Logger: logger}),
	}
}

func (f *nodeFlags) identity(logger *slog.Logger) (*certs.Identity, error) {
	id := uuid.Nil
	if f.ID != "" {
		var err error
		if id, err = uuid.Parse(f.ID); err != nil {
			return nil, &usageError{fmt.Sprintf("--id %q is not a UUID: %v", f.ID, err)}
		}
	}
	if f.Identity == "" {
		if f.CA != "" {
			return nil, &usageError{"--ca says whom to trust and not who this node is: give --identity FILE too"}
		}
		return f.issue(id, logger)
	}
	identity, err := certs.LoadIdentity(f.Identity, f.caFile())
	if err != nil {
		return nil, err
	}
	if id != uuid.Nil && id != identity.ID() {
		return nil, &usageError{fmt.Sprintf("--id is %s, but --identity %s is of %s: leave --id out", id, f.Identity, identity.ID())}
	}
	return identity, nil
}

// caFile is where the CA's certificate is: beside the identity, in directories as CA.Store writes them.
func (f *nodeFlags) caFile() string {
	switch {
	case f.CA != "":
		return f.CA
	case f.Dir != "":
		return filepath.Join(f.Dir, "ca.pem")
	}
	return filepath.Join(filepath.Dir(filepath.Dir(f.Identity)), "ca.pem")
}

// issue makes an identity for this process. That of a chosen id is kept in the CA's directory: a process
// that returns with the key of the one before can tell peers at once that their old connection is dead, instead of leaving
// that to their timeout.
func (f *nodeFlags) issue(id uuid.UUID, logger *slog.Logger) (*certs.Identity, error) {
	dir, ca, err := f.issuer()
	if err != nil {
		return nil, err
	}
	if id == uuid.Nil {
		return ca.Issue(id, "")
	}
	path := filepath.Join(dir, "nodes", id.String()+".pem")
	if err := keep(ca, id, path, logger); err != nil {
		return nil, err
	}
	return certs.LoadIdentity(path, filepath.Join(dir, "ca.pem"))
}

// keep makes the file of a chosen id, if there is none. It renews an expired one, and makes it anew if another CA issued
// it, because no peer would let it in. Other trouble is LoadIdentity's to tell: a key is not thrown away for it.
func keep(ca *certs.CA, id uuid.UUID, path string, logger *slog.Logger) error {
	pair, err := tls.LoadX509KeyPair(path, path)
	if errors.Is(err, os.ErrNotExist) {
		identity, err := ca.Issue(id, "")
		if err == nil {
			_, err = ca.Store(identity)
		}
		if errors.Is(err, os.ErrExist) {
			return nil // another process was first
		}
		return err
	}
	if err != nil {
		return nil
	}
	kept, err := certs.NewIdentity(pair, ca.Certificate())
	if err != nil {
		return fmt.Errorf("%w (%s)", err, path)
	}
	if kept.ID() != id {
		return fmt.Errorf("%s is of node %s, and not of %s: name it otherwise, or use it with --identity", path, kept.ID(), id)
	}
	switch {
	case pair.Leaf.CheckSignatureFrom(ca.Certificate()) != nil:
		logger.Warn("identity issued anew: another CA issued the one before", "file", path, "issuer", kept.Info().Issuer)
		kept, err = ca.Issue(id, "")
	case time.Now().After(kept.Info().NotAfter):
		kept, err = ca.Renew(path)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	return kept.Save(path)
}

// issuer is the CA that makes identities, and its directory.
func (f *nodeFlags) issuer() (dir string, ca *certs.CA, err error) {
	if f.Dir != "" {
		ca, err = certs.LoadCA(f.Dir)
		return f.Dir, ca, err
	}
	base, err := os.UserConfigDir()
	if err != nil {
		return "", nil, fmt.Errorf("no directory for the development CA: %w; give --dir", err)
	}
	dir = filepath.Join(base, "verbose", "dev-ca")
	ca, err = certs.Development(dir)
	return dir, ca, err
}

// open listens and connects, and prints every address.
func (f *addressFlags) open(ctx context.Context, s *streams, node *bus.Node) ([]*bus.Link, error) {
	for _, address := range f.Listen {
		bound, err := node.Listen(ctx, address)
		if err != nil {
			return nil, fmt.Errorf("can't listen on %s: %w", address, err)
		}
		fmt.Fprintf(s.err, "listening on %s\n", boundURL(address, bound))
	}
	var links []*bus.Link
	for _, address := range f.Connect {
		link, err := node.Connect(address)
		if err != nil {
			return nil, &usageError{err.Error()}
		}
		links = append(links, link)
	}
	return links, nil
}

// boundURL is a listening address as a peer would give it to --connect.
func boundURL(asked string, bound net.Addr) string {
	scheme, _, found := strings.Cut(asked, "://")
	if !found {
		scheme = "quic"
	}
	return scheme + "://" + bound.String()
}
