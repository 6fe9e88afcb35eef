package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// process is a program of PostgreSQL's that runs beside a test.
type process struct {
	cmd    *exec.Cmd
	output *transcript
	exited chan struct{} // closed when it is reaped
	err    error         // of exec.Cmd.Wait, once exited is closed
}

// startProcess starts cmd in dir from a thread that lives as long as it does:
// the signal that ends it when the test dies is sent when that thread ends.
func startProcess(cmd *exec.Cmd, dir string) (*process, error) {
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, output: &transcript{changed: make(chan struct{})}, exited: make(chan struct{})}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, p.output, p.output
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = attributes()
	cmd.SysProcAttr.Credential = credential
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// unprivileged is whom the server runs as when the test is root, which
// PostgreSQL refuses to run as.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	var problem error
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			problem = err
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("find a user beside root to run postgres as: %w", problem)
}

// giveAway lets that user have dir.
func giveAway(dir string) error {
	credential, err := unprivileged()
	if err != nil || credential == nil {
		return err
	}
	if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil {
		return fmt.Errorf("give folder away: %w", err)
	}
	return nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// signal signals the process alone, unless it has ended.
func (p *process) signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }

// signalAll signals the process first, so that it starts no more children, and
// then those it has.
func (p *process) signalAll(sig syscall.Signal) {
	if p.ended() {
		return
	}
	family := children(p.pid()) // they leave it when it dies
	p.signal(sig)
	for _, pid := range append(family, children(p.pid())...) {
		_ = syscall.Kill(pid, sig) // it may have ended
	}
}

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// await waits until the process has written a text.
func (p *process) await(ctx context.Context, text string) error {
	for {
		ended := p.ended() // before reading what it wrote last
		written, changed := p.output.state()
		if strings.Contains(written, text) {
			return nil
		}
		if ended {
			return fmt.Errorf("%s ended before it wrote %q: %s\n%s", p.cmd.Path, text, p.cmd.ProcessState, written)
		}
		select {
		case <-changed:
		case <-p.exited:
		case <-ctx.Done():
			return fmt.Errorf("%s did not write %q: %w\n%s", p.cmd.Path, text, ctx.Err(), written)
		}
	}
}

// transcript collects what a process writes.
type transcript struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // closed and replaced at every write
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.b.Write(p)
}

func (o *transcript) state() (written string, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String(), o.changed
}

func (o *transcript) String() string {
	written, _ := o.state()
	return written
}
