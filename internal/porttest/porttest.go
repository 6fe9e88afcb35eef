// Package porttest gives loopback ports to servers that tests start, stop and
// start again: a port is nobody else's until it is released, also while nothing
// listens on it.
package porttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
)

const (
	tries = 64
	first = 10_000
	ports = 20_000 // behind first; outgoing connections are given later ones
)

// Port is a port of 127.0.0.1 that a test has for itself.
type Port struct {
	Number int

	held net.Listener // nil where the system has nothing to hold it by
}

// Take finds a free port, which is the caller's until Release or the end of the
// process. Tests of other processes that take ports respect that on Linux, where
// the name of a socket that is no file is held for each.
func Take() (*Port, error) {
	var err error
	for range tries {
		p := &Port{Number: first + rand.IntN(ports)}
		if err = p.take(); err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("find a free port: %w", err)
}

func (p *Port) take() (err error) {
	if runtime.GOOS == "linux" {
		if p.held, err = net.Listen("unix", "@distro-test-port-"+strconv.Itoa(p.Number)); err != nil {
			return fmt.Errorf("hold port %d: %w", p.Number, err)
		}
	}
	l, err := net.Listen("tcp", p.Addr())
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		p.Release()
		return fmt.Errorf("try port %d: %w", p.Number, err)
	}
	return nil
}

// Addr is the host and the port.
func (p *Port) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Number)) }

// Release lets others have the port. Of no port it does nothing.
func (p *Port) Release() {
	if p != nil && p.held != nil {
		if err := p.held.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			panic(err) // it cannot fail otherwise
		}
	}
}
