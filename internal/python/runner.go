package python

import (
	"bufio"
	"io"
	"sync"
	"syscall"
	"time"
)

// runner is the worker's end of one process of jobs.
type runner struct {
	pid     int
	channel io.ReadWriteCloser
	frames  chan frame // closed at the end of the channel
	stdout  *pipe
	stderr  *pipe
	signal  func(syscall.Signal)
	exited  chan struct{} // closed when it is gone, with everything it started
	exit    exitStatus    // set before exited is closed
	scratch scratch
	closing sync.Once
}

// exitStatus is how a process ended.
type exitStatus struct {
	code    int // exit code, where signal is 0
	signal  int
	maxRSS  int64
	cpu     time.Duration
	unknown bool // its parent is gone, so nobody can say
}

// newRunner starts to read what the process says. It ends by itself when the
// process does; close must be called all the same.
func newRunner(pid int, channel io.ReadWriteCloser, stdout, stderr *pipe, signal func(syscall.Signal)) *runner {
	p := &runner{
		pid: pid, channel: channel, stdout: stdout, stderr: stderr, signal: signal,
		frames: make(chan frame, 2), exited: make(chan struct{}),
	}
	go p.receive()
	go stdout.pump()
	go stderr.pump()
	return p
}

func (p *runner) receive() {
	defer close(p.frames)
	r := bufio.NewReaderSize(p.channel, 4<<10)
	for {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		if f.kind != kindReady {
			p.frames <- f
		}
	}
}

// sendWithin is how long a process may take to read a job.
const sendWithin = time.Minute

// send hands the frame of a job over. An error says that the process is gone
// or going.
func (p *runner) send(job []byte) error {
	if d, ok := p.channel.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(time.Now().Add(sendWithin)) // where it cannot be set, a write waits as long as the process lives
	}
	_, err := p.channel.Write(job)
	return err
}

// finish records how the process ended.
func (p *runner) finish(status exitStatus) {
	p.exit = status
	close(p.exited)
}

// close releases the descriptors. Frames nobody reads
// any more are dropped.
func (p *runner) close() {
	p.closing.Do(func() {
		p.channel.Close()
		p.stdout.close()
		p.stderr.close()
		for range p.frames { // until receive ended
		}
	})
}

// drain passes on what the process has written and this side has not read.
func (p *runner) drain() {
	p.stdout.drain()
	p.stderr.drain()
}
