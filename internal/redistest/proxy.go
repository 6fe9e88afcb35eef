package redistest

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distro-orchestrator/distro/internal/porttest"
	"github.com/distro-orchestrator/distro/internal/proctest"
)

const (
	readSize = 64 << 10
	inFlight = 4096 // reads of one direction that wait out their delay
)

// Proxy stands between clients and a server, and makes the network bad.
type Proxy struct {
	target string
	addr   string
	held   *porttest.Port
	delay  atomic.Int64 // of one direction, in nanoseconds

	mu       sync.Mutex
	listener net.Listener // nil while down
	links    map[*link]bool
	closed   bool
	cut      int // replies still to be lost
	every    int // of which one is lost; 0 loses none
	replies  int // counted since every was set
	cuts     int // connections closed in place of a reply
	running  sync.WaitGroup
}

// link is a connection of a client and the one made for it.
type link struct{ client, server net.Conn }

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// StartProxy listens on a loopback port and forwards to target, which is host
// and port, until the test ends.
func StartProxy(t proctest.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{target: target, links: map[*link]bool{}}
	t.Cleanup(p.close)
	for range portTries {
		port, err := porttest.Take()
		if err != nil {
			t.Fatalf("%v", err)
		}
		p.held, p.addr = port, port.Addr()
		if p.listen() == nil {
			return p
		}
	}
	t.Fatalf("start proxy: found no free port")
	return nil
}

// Addr is host and port, also while the proxy is down.
func (p *Proxy) Addr() string { return p.addr }

// URL is that of a database behind the proxy.
func (p *Proxy) URL(database int) string { return fmt.Sprintf("redis://%s/%d", p.addr, database) }

// SetLatency adds d to every round trip, half in each direction. Bytes on their
// way keep their order, and as many are on their way as are sent.
func (p *Proxy) SetLatency(d time.Duration) { p.delay.Store(int64(d / 2)) }

// CutReplies loses the next n replies: requests arrive, and where the answer
// was due the connection is closed. A reply is what the server sends at once.
func (p *Proxy) CutReplies(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = n
}

// CutEvery loses one reply of n, counted over all connections; 0 loses none.
func (p *Proxy) CutEvery(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every, p.replies = n, 0
}

// Cuts is the number of replies that were lost.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// CutAll closes every connection; new ones are taken.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAll()
}

func (p *Proxy) cutAll() {
	for l := range p.links {
		l.close()
	}
}

// SetDown closes every connection and refuses new ones, or ends that.
func (p *Proxy) SetDown(down bool) error {
	if !down {
		return p.listen()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.cutAll()
	return nil
}

// close ends everything and waits for it.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.SetDown(true) // closing never fails
	p.running.Wait()
	p.held.Release()
}

// listen takes connections, unless it does.
func (p *Proxy) listen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil || p.closed {
		return nil
	}
	listener, err := net.Listen("tcp", p.addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", p.addr, err)
	}
	p.listener = listener
	p.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // it is down
			}
			p.running.Go(func() { p.serve(listener, client) })
		}
	})
	return nil
}

func (p *Proxy) serve(listener net.Listener, client net.Conn) {
	server, err := net.DialTimeout("tcp", p.target, callLimit)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server}
	defer l.close()
	p.mu.Lock()
	if p.listener != listener { // it went down since
		p.mu.Unlock()
		return
	}
	p.links[l] = true
	p.mu.Unlock()
	var directions sync.WaitGroup
	directions.Go(func() { p.forward(l, server, client, nil) })
	directions.Go(func() { p.forward(l, client, server, p.loses) })
	directions.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// loses decides about one reply.
func (p *Proxy) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replies++
	switch {
	case p.cut > 0:
		p.cut--
	case p.every > 0 && p.replies%p.every == 0:
	default:
		return false
	}
	p.cuts++
	return true
}

// delayed is what was read at once and when it is to be written.
type delayed struct {
	due  time.Time
	data []byte
}

// forward copies one direction until either side ends, and then ends both.
func (p *Proxy) forward(l *link, to io.Writer, from io.Reader, loses func() bool) {
	defer l.close()
	var late chan delayed // once there was a delay: what follows must not overtake
	var writing sync.WaitGroup
	defer writing.Wait()
	buffer := make([]byte, readSize)
	for {
		n, err := from.Read(buffer)
		if n > 0 && loses != nil && loses() {
			l.close()
			break
		}
		delay := time.Duration(p.delay.Load())
		if late == nil && delay > 0 {
			late = make(chan delayed, inFlight)
			writing.Go(func() { write(l, to, late) })
		}
		if late != nil {
			late <- delayed{time.Now().Add(delay), append([]byte(nil), buffer[:n]...)}
		} else if _, failed := to.Write(buffer[:n]); failed != nil {
			break
		}
		if err != nil {
			break
		}
	}
	if late != nil {
		close(late)
	}
}

// write writes what is due, to the end even where writing fails: the reader
// must not wait.
func write(l *link, to io.Writer, late <-chan delayed) {
	defer l.close()
	clock, err := newWaiter()
	if err != nil {
		l.close()
	}
	defer clock.close()
	for d := range late {
		if err == nil {
			clock.until(d.due)
			_, err = to.Write(d.data)
		}
		if err != nil {
			l.close()
		}
	}
}
