package redistest_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/redistest"
)

func dial(t *testing.T, p *redistest.Proxy) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, bufio.NewReader(c)
}

func TestLatencyIsThatOfARoundTripAndNotOfThroughput(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	p := redistest.StartProxy(t, s.Addr())
	c, r := dial(t, p)
	const d, calls = 50 * time.Millisecond, 2000
	fmt.Fprint(c, "INCR n\r\n") // before there is latency: later ones may not overtake
	p.SetLatency(d)
	begin := time.Now()
	for range calls {
		fmt.Fprint(c, "INCR n\r\n")
	}
	for n := range calls + 1 {
		line, err := r.ReadString('\n')
		if want := fmt.Sprintf(":%d\r\n", n+1); err != nil || line != want {
			t.Fatalf("answer %d: %q, %v", n, line, err)
		}
	}
	if took := time.Since(begin); took < d || took > 20*d {
		t.Errorf("%d calls in one pipeline took %v, want little more than %v", calls, took, d)
	}
	p.SetLatency(0)
	fmt.Fprint(c, "INCR n\r\n")
	if line, err := r.ReadString('\n'); err != nil || line != fmt.Sprintf(":%d\r\n", calls+2) {
		t.Errorf("answer without latency: %q, %v", line, err)
	}
}

func TestACutReplyIsOfARequestThatArrived(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	p := redistest.StartProxy(t, s.Addr())
	incr := func() bool {
		c, r := dial(t, p)
		fmt.Fprint(c, "INCR n\r\n")
		_, err := r.ReadString('\n')
		return err == nil
	}
	p.CutReplies(2)
	got := []bool{incr(), incr(), incr()}
	p.CutEvery(3)
	got = append(got, incr(), incr(), incr(), incr())
	p.CutEvery(0)
	got = append(got, incr(), incr(), incr())
	if want := "[false false true true true false true true true true]"; fmt.Sprint(got) != want {
		t.Errorf("answered: %v, want %s", got, want)
	}
	if n := s.Do(t, "GET", "n"); n != "10" || p.Cuts() != 3 {
		t.Errorf("%v requests arrived, want 10; %d replies cut, want 3", n, p.Cuts())
	}
}

func TestAProxyThatIsDownRefusesAndComesBackAtItsAddress(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	p := redistest.StartProxy(t, s.Addr())
	ping := func() error {
		c, r := dial(t, p)
		fmt.Fprint(c, "PING\r\n")
		_, err := r.ReadString('\n')
		return err
	}
	_, first := dial(t, p)
	p.CutAll()
	if err := ping(); err != nil {
		t.Errorf("after all connections were cut: %v", err)
	}
	if err := p.SetDown(true); err != nil {
		t.Error(err)
	}
	if _, err := first.ReadString('\n'); err == nil {
		t.Error("a connection is left")
	}
	if c, err := net.Dial("tcp", p.Addr()); err == nil {
		c.Close()
		t.Error("a proxy that is down takes connections")
	}
	if err := p.SetDown(false); err != nil {
		t.Fatal(err)
	}
	if err := ping(); err != nil {
		t.Errorf("after it came back: %v", err)
	}
	if got := s.Conn(t, p.URL(0)).Do("PING"); got != "PONG" {
		t.Errorf("PING: %v", got)
	}
	s.Kill()
	if err := ping(); err == nil || strings.Contains(err.Error(), "refused") {
		t.Errorf("without a server: %v, want an end", err)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	s := redistest.Start(b, redistest.Options{})
	p := redistest.StartProxy(b, s.Addr())
	for _, of := range []struct {
		name, url string
		latency   time.Duration
	}{{"direct", s.URL(), 0}, {"proxy", p.URL(0), 0}, {"2ms", p.URL(0), 2 * time.Millisecond}} {
		b.Run(of.name, func(b *testing.B) {
			p.SetLatency(of.latency)
			c := s.Conn(b, of.url)
			for b.Loop() {
				c.Do("PING")
			}
		})
	}
}
