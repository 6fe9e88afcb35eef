// Package proctest runs programs beside tests: each in a session of its own, with
// a transcript of what it writes, until its test ends. On Linux it ends with the
// process of the tests too, however that ends.
package proctest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// patience bounds how long a process may take to write, or to end once it is
// asked to: machines differ, and other tests run beside.
const patience = 4 * time.Minute

// TB is a test, a benchmark, or one case of a property test.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(fn func())
	Fatalf(format string, args ...any)
}

// Process is a program that runs beside a test.
type Process struct {
	cmd    *exec.Cmd
	output *transcript
	exited chan struct{} // closed when it is reaped
	err    error         // of exec.Cmd.Wait, once exited is closed
}

// Start starts a program, and kills it and its family when the test ends.
// Standard output and error that cmd leaves open go to Output.
func Start(t TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p, err := Launch(cmd)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		p.SignalAll(syscall.SIGKILL)
		p.Kill()
	})
	return p
}

// Launch is Start for a program that the caller ends, as from TestMain, and of
// whose family the caller takes care. The program is started from a thread that
// lives as long as it does: the signal that ends it when the tests die is sent when
// that thread ends.
func Launch(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, output: newTranscript(), exited: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.output
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.output
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	inOwnSession(cmd.SysProcAttr)
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
func (p *Process) Output() string {
	written, _ := p.output.state()
	return written
}

// Signal signals the process alone, unless it has ended.
func (p *Process) Signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }

// Kill kills the process alone, as when memory runs out, and waits until it has
// ended. What it started is left behind.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.exited
}

// Stop sends SIGTERM and waits until the process has ended.
func (p *Process) Stop(t TB) {
	t.Helper()
	p.endOn(t, syscall.SIGTERM)
}

// Interrupt sends SIGINT and waits until the process has ended.
func (p *Process) Interrupt(t TB) {
	t.Helper()
	p.endOn(t, syscall.SIGINT)
}

// endOn does not look at the test's context, so that cleanups may call it.
func (p *Process) endOn(t TB, sig syscall.Signal) {
	t.Helper()
	p.Signal(sig)
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-p.exited:
	case <-limit.C:
		p.Kill()
		t.Fatalf("%s did not end on %v:\n%s", p.cmd.Path, sig, p.Output())
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

// ExitCode waits until the process has ended, and returns its status: -1 where a
// signal ended it.
func (p *Process) ExitCode() int {
	<-p.exited
	return p.cmd.ProcessState.ExitCode()
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Await waits until the process has written a text.
func (p *Process) Await(t TB, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Wrote(ctx, text); err != nil {
		t.Fatalf("%v", err)
	}
}

// Wrote waits until the process has written a text. The error says what it wrote
// instead.
func (p *Process) Wrote(ctx context.Context, text string) error {
	for {
		ended := p.Ended() // before reading what it wrote last
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
