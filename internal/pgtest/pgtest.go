// Package pgtest starts the PostgreSQL servers that tests of the store talk to.
// They are real, and none of them is skipped where missing. The system's own
// cluster is never touched.
package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/distro-orchestrator/distro/internal/porttest"
	"github.com/distro-orchestrator/distro/internal/proctest"
)

// Who may log in to a server: the password has the characters that make URLs
// hard to write and easy to leak.
const (
	User     = "distro"
	Password = "pw%/:@ geheim"
)

const (
	startPause  = time.Minute
	ready       = "database system is ready to accept connections"
	startTries  = 8
	installHint = "no PostgreSQL below /usr/lib/postgresql nor on PATH: apt-get install postgresql"
)

// Server is a PostgreSQL server on a loopback port and in a folder of its own.
// It syncs nothing to disk: a crash of the machine would lose it.
type Server struct {
	bin  string
	dir  string
	user *syscall.Credential // of its processes; nil: ours
	held *porttest.Port
	args []string

	mu      sync.Mutex
	process *proctest.Process

	databases atomic.Int64
}

// Start starts a server and stops it when the test ends. args are further
// arguments of postgres, as "-c", "max_connections=10".
func Start(t proctest.TB, args ...string) *Server {
	t.Helper()
	s, stop, err := Launch(args...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(stop)
	return s
}

// Launch starts a server that the tests of a package share, from TestMain. The
// caller calls stop, once.
func Launch(args ...string) (s *Server, stop func(), err error) {
	bin, err := findBin()
	if err != nil {
		return nil, nil, err
	}
	// Sockets have short paths, so not in a folder that has the test's name.
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, nil, fmt.Errorf("make folder of postgres: %w", err)
	}
	s = &Server{bin: bin, dir: dir, args: args}
	stop = func() {
		s.Kill()
		s.held.Release()
		_ = os.RemoveAll(dir) // nothing to do about a folder that stays
	}
	if err = s.initialize(); err == nil {
		if s.held, err = porttest.Take(); err == nil {
			err = s.start()
		}
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return s, stop, nil
}

// findBin finds the folder of the newest PostgreSQL: Debian keeps it off PATH.
func findBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", fmt.Errorf("look for postgres: %w", err)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for what is no version
		return n
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", fmt.Errorf("%s: %w", installHint, err)
	}
	return filepath.Dir(path), nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// initialize makes the cluster.
func (s *Server) initialize() error {
	var err error
	if s.user, err = unprivileged(); err != nil {
		return err
	}
	if s.user != nil {
		if err := os.Chown(s.dir, int(s.user.Uid), int(s.user.Gid)); err != nil {
			return fmt.Errorf("give folder away: %w", err)
		}
	}
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(Password+"\n"), 0o644); err != nil { // the folder is private
		return fmt.Errorf("write password: %w", err)
	}
	p, err := s.run("initdb", "--pgdata", s.data(), "--no-sync", "--no-instructions",
		"--encoding=UTF8", "--locale=C", "--username="+User, "--pwfile="+password, "--auth=scram-sha-256")
	if err != nil {
		return err
	}
	if err := p.Wait(context.Background()); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, p.Output())
	}
	return nil
}

// run starts a program of PostgreSQL's.
func (s *Server) run(program string, args ...string) (*proctest.Process, error) {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir, cmd.Env = s.dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.user}
	return proctest.Launch(cmd)
}

// start runs postgres until it answers. After a crash what it shared with its
// dead children may be in use for a moment longer.
func (s *Server) start() error {
	args := append([]string{
		"-D", s.data(), "-p", strconv.Itoa(s.held.Number), "-k", s.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off",
		"-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "log_min_messages=warning", "-c", "lc_messages=C",
	}, s.args...)
	var err error
	for range startTries {
		var p *proctest.Process
		if p, err = s.run("postgres", args...); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), startPause)
		err = p.Wrote(ctx, ready)
		cancel()
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.process = p
			return nil
		}
		p.Kill()
	}
	return fmt.Errorf("start postgres: %w", err)
}

// Addr is host and port.
func (s *Server) Addr() string { return s.held.Addr() }

// URL is that of a database, which need not be there.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(User, Password), Host: s.Addr(), Path: "/" + database}
	return u.String()
}

// DB is the URL of a new database, which is dropped when the test ends.
func (s *Server) DB(t proctest.TB) string {
	t.Helper()
	name := "test" + strconv.FormatInt(s.databases.Add(1), 10)
	if err := s.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("make database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") // the server may be gone
	})
	return s.URL(name)
}

// Exec runs a statement in the database postgres.
func (s *Server) Exec(ctx context.Context, statement string) error {
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.Addr(), err)
	}
	_, err = c.Exec(ctx, statement)
	_ = c.Close(ctx) // the answer is there
	if err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

func (s *Server) running() *proctest.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// Pid is that of the postmaster.
func (s *Server) Pid() int { return s.running().Pid() }

// Kill kills the server and its children, as when memory runs out.
func (s *Server) Kill() {
	if p := s.running(); p != nil {
		p.SignalAll(syscall.SIGKILL)
		p.Kill()
	}
}

// Stop stops the server as an administrator does, who does not wait until its
// clients have left.
func (s *Server) Stop(t proctest.TB) {
	t.Helper()
	s.Continue()
	s.running().Interrupt(t)
}

// Restart stops the server unless it is dead already, and starts it again on
// its port and with its data.
func (s *Server) Restart(t proctest.TB) {
	t.Helper()
	if !s.running().Ended() {
		s.Stop(t)
	}
	if err := s.start(); err != nil {
		t.Fatalf("%v", err)
	}
}

// Pause lets the server hang: it is connected and answers nothing.
func (s *Server) Pause() { s.running().SignalAll(syscall.SIGSTOP) }

// Continue ends a Pause.
func (s *Server) Continue() { s.running().SignalAll(syscall.SIGCONT) }
