package redistest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro/internal/proctest"
)

// callLimit bounds one call, so that a test of a server that hangs ends.
const callLimit = time.Minute

// Error is an error that Redis answered.
type Error string

func (e Error) Error() string { return string(e) }

// Conn is a connection to one database, for assertions. It is for one
// goroutine.
type Conn struct {
	t  proctest.TB
	nc net.Conn
	r  *bufio.Reader
}

// Do runs one command on database 0.
func (s *Server) Do(t proctest.TB, args ...string) any {
	t.Helper()
	c := s.Conn(t, s.URL())
	defer c.Close()
	return c.Do(args...)
}

// Conn connects to a URL of this server, until the test ends.
func (s *Server) Conn(t proctest.TB, rawURL string) *Conn {
	t.Helper()
	c, err := s.dial(t.Context(), rawURL)
	if err != nil {
		t.Fatalf("connect to %s: %v", rawURL, err)
	}
	c.t = t
	t.Cleanup(c.Close)
	return c
}

func (s *Server) dial(ctx context.Context, rawURL string) (*Conn, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	network, address, database := "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	if u.Scheme == "unix" {
		network, address, database = "unix", u.Path, u.Query().Get("db")
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "rediss" {
		pem, err := os.ReadFile(s.CAFile())
		if err != nil {
			nc.Close()
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		nc = tls.Client(nc, &tls.Config{RootCAs: roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12})
	}
	c := &Conn{nc: nc, r: bufio.NewReader(nc)}
	if password, ok := u.User.Password(); ok {
		name := u.User.Username()
		if name == "" {
			name = "default"
		}
		err = c.expectOK("AUTH", name, password)
	}
	if err == nil {
		err = c.expectOK("SELECT", database)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the connection; twice is once.
func (c *Conn) Close() { _ = c.nc.Close() }

// Do runs one command and returns a string, an int64, a []any of such, nil, or
// an Error. A connection that breaks fails the test.
func (c *Conn) Do(args ...string) any {
	c.t.Helper()
	answer, err := c.roundTrip(args...)
	if err != nil {
		c.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return answer
}

// Next waits for what the server sends unasked: a message of a channel that is
// subscribed to, or a line of MONITOR.
func (c *Conn) Next() any {
	c.t.Helper()
	err := c.nc.SetReadDeadline(time.Now().Add(callLimit))
	var message any
	if err == nil {
		message, err = c.read()
	}
	if err != nil {
		c.t.Fatalf("wait for a message: %v", err)
	}
	return message
}

func (c *Conn) expectOK(args ...string) error {
	answer, err := c.roundTrip(args...)
	if err == nil && answer != "OK" {
		err = fmt.Errorf("%s: %v", args[0], answer)
	}
	return err
}

func (c *Conn) roundTrip(args ...string) (any, error) {
	if err := c.nc.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := io.WriteString(c.nc, b.String()); err != nil {
		return nil, err
	}
	return c.read()
}

func (c *Conn) read() (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, errors.New("empty line in answer")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return Error(rest), nil
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	switch {
	case err != nil:
		return nil, err
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case kind == '$':
		text := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, text); err != nil {
			return nil, err
		}
		return string(text[:n]), nil
	case kind == '*':
		items := make([]any, n)
		for i := range items {
			if items[i], err = c.read(); err != nil {
				return nil, err
			}
		}
		return items, nil
	default:
		return nil, fmt.Errorf("unknown answer %q", line)
	}
}
