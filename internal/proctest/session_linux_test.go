package proctest_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/proctest"
)

// heirloom is a standard output that processes leave to what they start, and
// returns what was written there once none of them is left.
func heirloom(t *testing.T) (w *os.File, left func() string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return w, func() string {
		t.Helper()
		_ = w.Close() // our own
		if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Errorf("somebody is left: %v", err)
		}
		return string(text)
	}
}

func shellTo(w *os.File, script string) *exec.Cmd {
	cmd := shell(script)
	cmd.Stdout = w
	return cmd
}

// start has a child in the process's group, one in a group and one in a session
// of their own. None holds the transcript.
const start = `
	sleep 1000 2>/dev/null &
	python3 -c 'import os; os.setpgrp(); os.execvp("sleep", ["sleep", "1000"])' 2>/dev/null &
	setsid sleep 1000 2>/dev/null &
	echo started >&2
`

func TestTheFamilyEndsWithTheTest(t *testing.T) {
	t.Parallel()
	w, left := heirloom(t)
	t.Run("a process that runs", func(t *testing.T) {
		p := proctest.Start(t, shellTo(w, start+"wait"))
		p.Await(t, "started")
		if family := proctest.Family(p); len(family) < 4 || family[0] != p.Pid() { // what python3 is may have started more
			t.Errorf("the family of %d is %d, want it and three others", p.Pid(), family)
		}
	})
	t.Run("one that has ended", func(t *testing.T) {
		p := proctest.Start(t, shellTo(w, "sleep 1000 2>/dev/null &"))
		if err := p.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("one that was killed", func(t *testing.T) {
		p := proctest.Start(t, shellTo(w, "sleep 1000 2>/dev/null & echo started >&2; wait"))
		p.Await(t, "started")
		p.Kill()
		if family := proctest.Family(p); len(family) != 1 || family[0] == p.Pid() {
			t.Errorf("what %d leaves behind is %d, want its child", p.Pid(), family)
		}
	})
	left()
}

func TestASignalReachesTheWholeFamily(t *testing.T) {
	t.Parallel()
	w, left := heirloom(t)
	p := proctest.Start(t, shellTo(w, `setsid python3 -c '
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready", file=sys.stderr, flush=True)
signal.sigwait([signal.SIGTERM])
print("heard")' & wait`))
	p.Await(t, "ready")
	p.SignalAll(syscall.SIGTERM)
	if got := left(); got != "heard\n" {
		t.Errorf("the child wrote %q", got)
	}
	if p.ExitCode() != -1 {
		t.Errorf("the process ended with status %d", p.ExitCode())
	}
}

// TestNoProcessOutlivesTheTests runs tests in a process of their own, which is
// killed.
func TestNoProcessOutlivesTheTests(t *testing.T) {
	t.Parallel()
	const role = "PROCTEST_IS_KILLED"
	if os.Getenv(role) != "" {
		p, err := proctest.Launch(shellTo(os.Stdout, "exec sleep 1000 2>/dev/null"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(os.Stderr, "launched")
		t.Fatal(p.Wait(context.Background()))
	}
	w, left := heirloom(t)
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env, cmd.Stdout = append(os.Environ(), role+"=1"), w
	tests := proctest.Start(t, cmd)
	tests.Await(t, "launched")
	tests.Kill()
	left()
}
