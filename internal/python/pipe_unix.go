//go:build unix

package python

import (
	"os"
	"sync"
	"syscall"
)

// pipe is the reading end of a process's stdout or stderr. Bytes go to a sink
// that changes from job to job; after drain, everything written before it has
// reached the sink.
type pipe struct {
	file    *os.File
	raw     syscall.RawConn
	buffers *sync.Pool
	ended   chan struct{} // closed when pump has ended

	mu   sync.Mutex // held from reading bytes until the sink has them
	sink func([]byte)
}

// newPipe takes over a descriptor that is in non-blocking mode.
func newPipe(file *os.File, buffers *sync.Pool) (*pipe, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &pipe{file: file, raw: raw, buffers: buffers, ended: make(chan struct{})}, nil
}

// pump moves bytes until the pipe ends or is closed.
func (p *pipe) pump() {
	defer close(p.ended)
	_ = p.raw.Read(p.move) // its only error is the end this waits for
}

// move reads until the pipe is empty; it reports whether the pipe has ended.
func (p *pipe) move(fd uintptr) (ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	buffer := p.buffers.Get().(*[]byte)
	defer p.buffers.Put(buffer)
	for {
		n, err := syscall.Read(int(fd), *buffer)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		case err != nil || n == 0:
			return true
		default:
			if p.sink != nil {
				p.sink((*buffer)[:n])
			}
		}
	}
}

// drain moves what is in the pipe now.
func (p *pipe) drain() {
	_ = p.raw.Control(func(fd uintptr) { p.move(fd) })
}

// direct sets where bytes go from now on; nil drops them.
func (p *pipe) direct(sink func([]byte)) {
	p.mu.Lock()
	p.sink = sink
	p.mu.Unlock()
}

func (p *pipe) close() {
	p.file.Close()
	<-p.ended
}
