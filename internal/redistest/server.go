// Package redistest starts what tests of the queue on Redis talk to: Redis
// servers, a proxy that delays and cuts their replies, and the stock RQ that
// Debian packages. All of it is real, and none of it is skipped where missing.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/distro-orchestrator/distro/internal/porttest"
	"github.com/distro-orchestrator/distro/internal/proctest"
)

const (
	databases   = 4096
	startPause  = 30 * time.Second
	ready       = "Ready to accept connections"
	portTaken   = "Address already in use"
	portTries   = 8
	installHint = "redis-server is not on PATH: apt-get install redis-server"
)

// Options say how a server is configured. The zero value is one that keeps
// nothing on disk and lets everybody in.
type Options struct {
	AOF             bool     // append-only file, synced at every write
	Password        string   // of User, or of everybody
	User            string   // an ACL user who may do everything; the default user may then do nothing
	TLS             bool     // nothing but TLS, with a certificate of Server.CAFile
	Unix            bool     // URLs name a socket; Addr answers too
	MaxMemoryPolicy string   // noeviction
	Args            []string // further arguments of redis-server
}

// Server is a Redis server on a loopback port and in a folder of its own.
type Server struct {
	options Options
	dir     string
	held    *porttest.Port

	mu      sync.Mutex
	process *proctest.Process
	used    int   // databases below it have been given out
	free    []int // those given back, the longest unused first
}

// Start starts a server and stops it when the test ends.
func Start(t proctest.TB, options Options) *Server {
	t.Helper()
	s, stop, err := Launch(options)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(stop)
	return s
}

// Launch starts a server that the tests of a package share, from TestMain. The
// caller calls stop, once.
func Launch(options Options) (s *Server, stop func(), err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, nil, errors.New(installHint)
	}
	// Sockets have short paths, so not in a folder that has the test's name.
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		return nil, nil, fmt.Errorf("make folder of redis-server: %w", err)
	}
	s = &Server{options: options, dir: dir, used: 1}
	stop = func() {
		s.Kill()
		s.held.Release()
		_ = os.RemoveAll(dir) // nothing to do about a folder that stays
	}
	if options.TLS {
		err = writeCertificates(dir)
	}
	for range portTries {
		if err != nil {
			break
		}
		s.held.Release()
		if s.held, err = porttest.Take(); err == nil {
			err = s.start(path)
		}
		if err == nil {
			return s, stop, nil
		}
		if strings.Contains(err.Error(), portTaken) {
			err = nil
		}
	}
	stop()
	if err == nil {
		err = errors.New("start redis-server: found no free port")
	}
	return nil, nil, err
}

// start runs redis-server until it answers.
func (s *Server) start(path string) error {
	name := filepath.Join(s.dir, "redis.conf")
	if err := os.WriteFile(name, []byte(s.config()), 0o600); err != nil {
		return fmt.Errorf("write configuration of redis-server: %w", err)
	}
	p, err := proctest.Launch(exec.Command(path, append([]string{name}, s.options.Args...)...))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startPause)
	defer cancel()
	if err := p.Wrote(ctx, ready); err != nil {
		p.Kill()
		return fmt.Errorf("start redis-server: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
	return nil
}

func (s *Server) config() string {
	o := s.options
	lines := []string{
		"bind 127.0.0.1",
		"dir " + strconv.Quote(s.dir),
		fmt.Sprintf("databases %d", databases),
		`save ""`,
	}
	port, tlsPort := s.held.Number, 0
	if o.TLS {
		port, tlsPort = 0, s.held.Number
		lines = append(lines,
			"tls-cert-file "+strconv.Quote(filepath.Join(s.dir, certificateFile)),
			"tls-key-file "+strconv.Quote(filepath.Join(s.dir, keyFile)),
			"tls-ca-cert-file "+strconv.Quote(s.CAFile()),
			"tls-auth-clients no",
			fmt.Sprintf("tls-port %d", tlsPort))
	}
	lines = append(lines, fmt.Sprintf("port %d", port))
	if o.Unix {
		lines = append(lines, "unixsocket "+strconv.Quote(s.socket()))
	}
	if o.AOF {
		lines = append(lines, "appendonly yes", "appendfsync always")
	}
	switch {
	case o.User != "":
		lines = append(lines, "user default off", fmt.Sprintf("user %s on %s ~* &* +@all", o.User, strconv.Quote(">"+o.Password)))
	case o.Password != "":
		lines = append(lines, "requirepass "+strconv.Quote(o.Password))
	}
	if o.MaxMemoryPolicy != "" {
		lines = append(lines, "maxmemory-policy "+o.MaxMemoryPolicy)
	}
	return strings.Join(lines, "\n") + "\n"
}

func (s *Server) socket() string { return filepath.Join(s.dir, "redis.sock") }

// CAFile names the certificate that signed the server's, under Options.TLS.
func (s *Server) CAFile() string { return filepath.Join(s.dir, caFile) }

// Addr is host and port.
func (s *Server) Addr() string { return s.held.Addr() }

// URL is that of database 0, as RQ reads it.
func (s *Server) URL() string { return s.url(0) }

func (s *Server) url(database int) string {
	u := url.URL{Scheme: "redis", Host: s.Addr(), Path: "/" + strconv.Itoa(database)}
	if s.options.Password != "" {
		u.User = url.UserPassword(s.options.User, s.options.Password)
	}
	switch {
	case s.options.Unix:
		u.Scheme, u.Host, u.Path = "unix", "", s.socket()
		u.RawQuery = "db=" + strconv.Itoa(database)
	case s.options.TLS:
		u.Scheme = "rediss"
	}
	return u.String()
}

// DB is the URL of an empty database that the test has for itself until it
// ends. Pub/sub knows no databases: names of workers are still shared.
func (s *Server) DB(t proctest.TB) string {
	t.Helper()
	n, ok := s.take()
	if !ok {
		t.Fatalf("all %d databases of the server are in use", databases)
	}
	u := s.url(n)
	if answer := s.Conn(t, u).Do("FLUSHDB"); answer != "OK" {
		t.Fatalf("empty database %d: %v", n, answer)
	}
	t.Cleanup(func() { s.giveBack(n) })
	return u
}

func (s *Server) take() (database int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.used < databases:
		s.used++
		return s.used - 1, true
	case len(s.free) > 0:
		n := s.free[0]
		s.free = s.free[1:]
		return n, true
	default:
		return 0, false
	}
}

// giveBack also frees the memory, unless the server is gone.
func (s *Server) giveBack(database int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c, err := s.dial(ctx, s.url(database)); err == nil {
		_, _ = c.roundTrip("FLUSHDB", "ASYNC") // it is emptied again before it is used again
		c.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, database)
}

func (s *Server) running() *proctest.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// Pid is that of redis-server.
func (s *Server) Pid() int { return s.running().Pid() }

// Kill kills the server, as a crash of the machine's memory does: what it had
// not written is lost.
func (s *Server) Kill() {
	if p := s.running(); p != nil {
		p.Kill()
	}
}

// Stop stops the server as an administrator does.
func (s *Server) Stop(t proctest.TB) {
	t.Helper()
	s.Continue()
	s.running().Stop(t)
}

// Restart stops the server unless it is dead already, and starts it again on
// its port and in its folder: empty unless Options.AOF.
func (s *Server) Restart(t proctest.TB) {
	t.Helper()
	if !s.running().Ended() {
		s.Stop(t)
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf(installHint)
	}
	if err := s.start(path); err != nil {
		t.Fatalf("%v", err)
	}
}

// Pause lets the server hang: it is connected and answers nothing.
func (s *Server) Pause() { s.running().Signal(syscall.SIGSTOP) }

// Continue ends a Pause.
func (s *Server) Continue() { s.running().Signal(syscall.SIGCONT) }

// SlowCall is one entry of the server's SLOWLOG.
type SlowCall struct {
	Took time.Duration
	Args []string
}

// Slowlog is what took longer than slowlog-log-slower-than, the newest first.
func (s *Server) Slowlog(t proctest.TB) []SlowCall {
	t.Helper()
	answer, ok := s.Do(t, "SLOWLOG", "GET", "-1").([]any)
	if !ok {
		t.Fatalf("SLOWLOG GET: %v", answer)
	}
	calls := make([]SlowCall, 0, len(answer))
	for _, entry := range answer {
		fields := entry.([]any)
		call := SlowCall{Took: time.Duration(fields[2].(int64)) * time.Microsecond}
		for _, arg := range fields[3].([]any) {
			call.Args = append(call.Args, arg.(string))
		}
		calls = append(calls, call)
	}
	return calls
}
