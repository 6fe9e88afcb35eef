package python

import (
	"os"
	"sync"
	"time"
)

// pipe is the reading end of a process's stdout or stderr.
type pipe struct {
	file    *os.File
	buffers *sync.Pool
	ended   chan struct{} // closed when pump has ended

	mu   sync.Mutex // held while the sink takes bytes
	sink func([]byte)
}

func newPipe(file *os.File, buffers *sync.Pool) (*pipe, error) {
	return &pipe{file: file, buffers: buffers, ended: make(chan struct{})}, nil
}

// pump moves bytes until the pipe ends or is closed.
func (p *pipe) pump() {
	defer close(p.ended)
	buffer := p.buffers.Get().(*[]byte)
	defer p.buffers.Put(buffer)
	for {
		n, err := p.file.Read(*buffer)
		p.mu.Lock()
		if n > 0 && p.sink != nil {
			p.sink((*buffer)[:n])
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// drainWithin bounds the wait for a pipe that something else keeps open.
const drainWithin = time.Second

// drain waits until pump has seen the end. It is called when the process is
// gone: a process serves one job here.
func (p *pipe) drain() {
	timer := time.NewTimer(drainWithin)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
	}
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
