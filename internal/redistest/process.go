package redistest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopLimit bounds how long a process may take to end once it is asked to.
const stopLimit = time.Minute

// Process is a program that runs beside a test.
type Process struct {
	cmd    *exec.Cmd
	output *transcript
	exited chan struct{} // closed when it is reaped
	err    error         // of exec.Cmd.Wait, once exited is closed
}

// StartProcess starts a program in a session of its own, which is killed when
// the test ends. Standard output and error that cmd leaves open go to Output.
func StartProcess(t TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p, err := startProcess(cmd)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		killSession(p.Pid())
		p.Kill()
		killSession(p.Pid()) // what it started meanwhile
	})
	return p
}

// startProcess starts cmd from a thread that lives as long as it does: the
// signal that ends it when the test dies is sent when that thread ends.
func startProcess(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, output: &transcript{changed: make(chan struct{})}, exited: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.output
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.output
	}
	cmd.SysProcAttr = attributes()
	cmd.WaitDelay = time.Second // for pipes that its children hold
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

// Pid is also the session's.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output is what it has written so far.
func (p *Process) Output() string { return p.output.String() }

// Signal signals the process alone, unless it has ended.
func (p *Process) Signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }

// Kill kills the process alone, as when memory runs out: what it started is
// left behind until the test ends.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.exited
}

// Stop sends SIGTERM and waits until the process has ended.
func (p *Process) Stop(t TB) {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.exited:
	case <-limit.C:
		p.Kill()
		t.Fatalf("%s did not end on SIGTERM:\n%s", p.cmd.Path, p.Output())
	}
}

// Wait waits until the process has ended by itself, and returns an
// *exec.ExitError unless its status is 0.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Await waits until the process has written a text.
func (p *Process) Await(t TB, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stopLimit)
	defer cancel()
	if err := p.await(ctx, text); err != nil {
		t.Fatalf("%v", err)
	}
}

func (p *Process) await(ctx context.Context, text string) error {
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

func (p *Process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
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
