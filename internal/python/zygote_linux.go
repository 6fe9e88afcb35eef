package python

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// zygote is the source of processes on Linux: all are forked from one small
// interpreter, and for Spawn executed anew behind the fork. The zygote ends
// them, with whatever they started, when this process dies.
type zygote struct {
	runners *Runners
	wake    chan struct{} // outbox has grown

	mu      sync.Mutex
	mode    Isolation
	ready   bool
	pending int      // processes ordered while no zygote was ready
	outbox  [][]byte // messages not written yet
	running map[int]*runner
}

func newSource(r *Runners) (source, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("adopt orphans of jobs: %w", err)
	}
	return &zygote{runners: r, mode: r.opts.Isolation, wake: make(chan struct{}, 1), running: map[int]*runner{}}, nil
}

// possible is the isolation that jobs get where they are to have asked, as far
// as can be told before an interpreter runs.
func possible(asked Isolation) Isolation { return asked }

func (z *zygote) isolation() Isolation {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.mode
}

func (z *zygote) order(n int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.ready {
		z.fork(n)
	} else {
		z.pending += n
	}
}

// fork tells the zygote to start n processes, while mu is held.
func (z *zygote) fork(n int) {
	folders := make([]scratch, n)
	for i := range folders {
		folders[i] = z.runners.scratch.take()
	}
	for part := range slices.Chunk(folders, maxFork) {
		z.tell(map[string]any{"fork": part, "mode": z.mode})
	}
}

// tell queues a message, while mu is held: writing could wait for the zygote,
// which may wait for this process to read what it says.
func (z *zygote) tell(message map[string]any) {
	data, err := json.Marshal(message)
	if err != nil || len(data) > maxMessage {
		return
	}
	z.outbox = append(z.outbox, data)
	select {
	case z.wake <- struct{}{}:
	default:
	}
}

// write sends what is queued until ended is closed.
func (z *zygote) write(conn *net.UnixConn, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-z.wake:
		}
		z.mu.Lock()
		messages := z.outbox
		z.outbox = nil
		z.mu.Unlock()
		for _, data := range messages {
			if _, err := conn.Write(data); err != nil {
				return // the zygote is gone, as receive is about to find
			}
		}
	}
}

const (
	maxMessage = 100 << 10 // bytes; zygote.py reads no more
	maxFork    = 32        // processes a message
	maxLearned = 32        // sources a message
)

func (z *zygote) learned(paths []string) {
	if len(paths) == 0 {
		return
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.mode != Fork {
		return
	}
	z.tell(map[string]any{"compile": paths[:min(len(paths), maxLearned)]})
}

// Pauses before a zygote that died is replaced: an interpreter that cannot
// start must not keep a core busy.
const (
	restartFirst = 100 * time.Millisecond
	restartLast  = 5 * time.Second
)

func (z *zygote) run(ctx context.Context) error {
	log, pause, last := z.runners.opts.Logger, restartFirst, ""
	for {
		served, err := z.life(ctx)
		z.orphaned()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if served {
			pause, last = restartFirst, ""
		}
		if reason := fmt.Sprint(err); reason != last {
			log.Error("the Python process that starts jobs ended; starting another", "reason", reason)
			last = reason
		}
		if err := EndLeftovers(ctx, z.runners.opts.StateDir); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, restartLast)
		z.runners.refill()
	}
}

const (
	readyWithin = 20 * time.Second // of its start; a slow disk may hold it up
	endWithin   = 5 * time.Second  // of being told: it kills and reaps every job first
)

// life starts a zygote and serves it until it or ctx ends. It reports whether
// the zygote was ready to fork.
func (z *zygote) life(ctx context.Context) (served bool, err error) {
	cmd, conn, err := z.start()
	if err != nil {
		return false, err
	}
	kill := func() { _ = cmd.Process.Kill() }
	overdue := time.AfterFunc(readyWithin, kill)
	ended := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { z.write(conn, ended) })
	others.Go(func() {
		select {
		case <-ended:
		case <-ctx.Done():
			_ = conn.CloseWrite()
			overdue.Reset(endWithin)
		}
	})
	err = z.receive(conn, func() { overdue.Stop(); served = true })
	z.mu.Lock()
	z.ready = false
	z.mu.Unlock()
	close(ended)
	conn.Close()
	others.Wait()
	overdue.Reset(endWithin)
	defer overdue.Stop()
	return served, errors.Join(err, cmd.Wait())
}

func (z *zygote) start() (*exec.Cmd, *net.UnixConn, error) {
	opts := z.runners.opts
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the control socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, fmt.Errorf("make the control socket: %w", err)
	}
	script := filepath.Join(z.runners.scripts, "zygote.py")
	args := append([]string{"-X", "utf8", script, opts.Modules, opts.WorkDir}, opts.SysPath...)
	cmd := exec.Command(opts.Interpreter.Path, args...)
	cmd.Env = z.runners.environ()
	cmd.Dir = opts.WorkDir
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C in the terminal is for this process alone
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("start %s: %w", opts.Interpreter.Path, err)
	}
	return cmd, conn.(*net.UnixConn), nil
}

// zygoteMessage is any of the messages of a zygote.
type zygoteMessage struct {
	Ready   int     `json:"ready"`
	Threads int     `json:"threads"`
	Standby int     `json:"standby"`
	Scratch scratch `json:"scratch"`
	Exit    int     `json:"exit"`
	Status  uint32  `json:"status"`
	MaxRSS  int64   `json:"maxrss"` // kB
	CPU     float64 `json:"cpu"`
}

// receive handles messages until the zygote is gone.
func (z *zygote) receive(conn *net.UnixConn, ready func()) error {
	data, oob := make([]byte, 64<<10), make([]byte, syscall.CmsgSpace(3*4))
	for {
		n, oobn, _, _, err := conn.ReadMsgUnix(data, oob)
		if err != nil || n == 0 {
			return err
		}
		var m zygoteMessage
		if err := json.Unmarshal(data[:n], &m); err != nil {
			return fmt.Errorf("read a message of the zygote: %w", err)
		}
		switch {
		case m.Ready != 0:
			ready()
			z.greet(m.Threads)
		case m.Standby != 0:
			if err := z.adopt(m, oob[:oobn]); err != nil {
				return err
			}
		case m.Exit != 0:
			z.bury(m)
		}
	}
}

// greet accepts a zygote that is ready and passes on what was ordered.
func (z *zygote) greet(threads int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.ready = true
	if threads > 1 && z.mode != Spawn {
		z.runners.opts.Logger.Warn("start-up code of this Python starts threads, which do not survive a fork: jobs get isolation spawn", "threads", threads)
		z.mode = Spawn
	}
	if z.pending > 0 {
		z.fork(z.pending)
		z.pending = 0
	}
}

// adopt makes a runner of an announced process and its descriptors.
func (z *zygote) adopt(m zygoteMessage, oob []byte) error {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return fmt.Errorf("process %d came without descriptors: %w", m.Standby, err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 3 {
		return fmt.Errorf("process %d came with %d descriptors: %w", m.Standby, len(fds), err)
	}
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		if err := syscall.SetNonblock(fd, true); err != nil {
			return fmt.Errorf("prepare descriptors of process %d: %w", m.Standby, err)
		}
		files[i] = os.NewFile(uintptr(fd), "runner")
	}
	stdout, err := newPipe(files[1], &z.runners.buffers)
	if err != nil {
		return fmt.Errorf("prepare the output of process %d: %w", m.Standby, err)
	}
	stderr, err := newPipe(files[2], &z.runners.buffers)
	if err != nil {
		return fmt.Errorf("prepare the output of process %d: %w", m.Standby, err)
	}
	pid := m.Standby
	p := newRunner(pid, files[0], stdout, stderr, func(sig syscall.Signal) {
		z.mu.Lock()
		defer z.mu.Unlock()
		z.tell(map[string]any{"pid": pid, "signal": int(sig)})
	})
	p.scratch = m.Scratch
	z.mu.Lock()
	z.running[pid] = p
	z.mu.Unlock()
	z.runners.deliver(p)
	return nil
}

// bury records the end of a process.
func (z *zygote) bury(m zygoteMessage) {
	z.mu.Lock()
	p := z.running[m.Exit]
	delete(z.running, m.Exit)
	z.mu.Unlock()
	if p == nil {
		return
	}
	status := syscall.WaitStatus(m.Status)
	end := exitStatus{maxRSS: m.MaxRSS << 10, cpu: time.Duration(m.CPU * float64(time.Second))}
	if status.Signaled() {
		end.signal = int(status.Signal())
	} else {
		end.code = status.ExitStatus()
	}
	p.finish(end)
}

// orphaned ends what is left after the death of the zygote: its processes died
// with it, and nobody can say how.
func (z *zygote) orphaned() {
	z.mu.Lock()
	running := z.running
	z.running = map[int]*runner{}
	z.pending, z.outbox = 0, nil
	z.mu.Unlock()
	for _, p := range running {
		p.finish(exitStatus{unknown: true})
	}
	z.runners.forget()
}
