package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distro-orchestrator/distro/internal/webhook"
)

// pipes is a listener whose connections never leave the process, so that the
// clock of a test's bubble knows when nothing moves.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, errors.New("nobody listens")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inBubble runs a test in a bubble, with a Sender whose requests reach r.
func inBubble(t *testing.T, answer func(n int, w http.ResponseWriter), test func(t *testing.T, s *webhook.Sender, r *receiver, log *journal, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, log, p := newReceiver(answer), &journal{}, newPipes()
		server := &http.Server{Handler: r}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(p) })
		s, stop := started(t, webhook.Options{
			URL: "http://hook.example/s3cret", Secret: secret, Logger: log.logger(), Dial: p.dial,
			Lookup: func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
			},
		})
		test(t, s, r, log, stop)
		_ = server.Close()
		serving.Wait()
		if strings.Contains(log.String(), "s3cret") || strings.Contains(log.String(), secret) {
			t.Errorf("the log tells a secret: %s", log)
		}
	})
}

func status(codes ...int) func(n int, w http.ResponseWriter) {
	return func(n int, w http.ResponseWriter) { w.WriteHeader(codes[min(n, len(codes))-1]) }
}

func TestADeliveryIsTriedForAboutAnHour(t *testing.T) {
	t.Parallel()
	inBubble(t, status(500), func(t *testing.T, s *webhook.Sender, r *receiver, log *journal, stop func()) {
		s.Notify(webhook.Event{Type: webhook.WorkerLost})
		<-time.NewTimer(3 * time.Hour).C
		stop()
		if len(r.got) != 13 {
			t.Fatalf("%d tries", len(r.got))
		}
		pause := 5 * time.Second
		for i := 1; i < len(r.got); i++ {
			if took := r.got[i].at.Sub(r.got[i-1].at); took < pause*3/4 || took > pause*5/4 {
				t.Errorf("pause %d took %s, not about %s", i, took, pause)
			}
			pause = min(2*pause, 10*time.Minute)
		}
		if total := r.got[12].at.Sub(r.got[0].at); total < 45*time.Minute || total > 77*time.Minute {
			t.Errorf("it was tried for %s", total)
		}
		if !strings.Contains(log.String(), `level=ERROR msg="webhook given up"`) || strings.Count(log.String(), "level=WARN") != 1 {
			t.Errorf("log: %s", log)
		}
	})
}

func TestEachTryIsSignedAnewAndKeepsItsID(t *testing.T) {
	t.Parallel()
	inBubble(t, status(503, 429, 408, 204), func(t *testing.T, s *webhook.Sender, r *receiver, log *journal, stop func()) {
		s.Notify(webhook.Event{Type: webhook.WorkerLost})
		got := r.wait(4)
		stop()
		for i, try := range got {
			at, err := verify(secret, try.header.Get("Distro-Signature"), []byte(try.body))
			if err != nil || at.Unix() != try.at.Unix() {
				t.Errorf("try %d at %s is signed at %s: %v", i+1, try.at, at, err)
			}
			if try.body != got[0].body || try.header.Get("Distro-Delivery") != got[0].header.Get("Distro-Delivery") {
				t.Errorf("try %d is another delivery", i+1)
			}
		}
		if r.count() != 4 || !strings.Contains(log.String(), "received again") {
			t.Errorf("%d tries; log: %s", r.count(), log)
		}
	})
}

func TestWhatTheReceiverRefusesIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	for _, code := range []int{301, 302, 400, 401, 404, 410, 422} {
		inBubble(t, status(code), func(t *testing.T, s *webhook.Sender, r *receiver, log *journal, stop func()) {
			s.Notify(webhook.Event{Type: webhook.WorkerLost})
			<-time.NewTimer(3 * time.Hour).C
			stop()
			if r.count() != 1 || !strings.Contains(log.String(), "webhook given up") {
				t.Errorf("status %d: %d tries; log: %s", code, r.count(), log)
			}
		})
	}
}

func TestAReceiverThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	release := func() func(int, http.ResponseWriter) {
		return func(n int, _ http.ResponseWriter) {
			if n <= 4 {
				<-time.NewTimer(time.Minute).C
			}
		}
	}
	inBubble(t, release(), func(t *testing.T, s *webhook.Sender, r *receiver, _ *journal, stop func()) {
		began := time.Now()
		for range 6 {
			if !s.Notify(webhook.Event{Type: webhook.WorkerLost}) {
				t.Error("an event was dropped")
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Notify took %s", took)
		}
		synctest.Wait()
		if r.count() != 4 {
			t.Errorf("%d requests at a time", r.count())
		}
		<-time.NewTimer(10*time.Second + time.Millisecond).C
		synctest.Wait()
		if r.count() != 6 {
			t.Errorf("%d requests after the deadline of the first", r.count())
		}
		<-time.NewTimer(2 * time.Minute).C
		stop()
		if r.count() != 10 {
			t.Errorf("%d requests in the end", r.count())
		}
	})
}

func TestTooManyEventsAreDroppedAndTheLogTells(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &journal{}
		s, err := webhook.New(webhook.Options{
			URL: "http://hook.example", Logger: log.logger(),
			Lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no network") },
		})
		if err != nil {
			t.Fatal(err)
		}
		taken := 0
		for range 1500 {
			if s.Notify(webhook.Event{Type: webhook.WorkerLost}) {
				taken++
			}
		}
		if taken != 1000 {
			t.Errorf("%d events were taken", taken)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "events=1500") {
			t.Errorf("log: %s", log)
		}
		if !s.Notify(webhook.Event{Type: webhook.WorkerLost}) {
			t.Error("there is no room, though all was given up")
		}
	})
}

func TestWhatIsNewAtTheEndIsStillTriedOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, status(200, 500), func(t *testing.T, s *webhook.Sender, r *receiver, log *journal, stop func()) {
		for range 3 {
			s.Notify(webhook.Event{Type: webhook.WorkerLost})
		}
		stop()
		if r.count() != 3 || !strings.Contains(log.String(), "webhook events were not delivered") {
			t.Errorf("%d requests; log: %s", r.count(), log)
		}
	})
	hang := func(int, http.ResponseWriter) { <-time.NewTimer(time.Hour).C }
	inBubble(t, hang, func(t *testing.T, s *webhook.Sender, _ *receiver, _ *journal, stop func()) {
		began := time.Now()
		s.Notify(webhook.Event{Type: webhook.WorkerLost})
		synctest.Wait()
		stop()
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the end took %s", took)
		}
		<-time.NewTimer(time.Hour).C // the receiver too
	})
}

func TestTextsOfStrangersAreBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(t *testing.T, s *webhook.Sender, r *receiver, _ *journal, stop func()) {
		long := strings.Repeat("日\xff", 10_000)
		s.Notify(webhook.Event{
			ID: "e", Type: webhook.JobFailed, JobID: long, Function: long, Queue: long, Worker: long, Host: long,
			ErrorKind: long, ErrorType: long, ErrorMessage: long, JobIDs: []string{long, long},
		})
		got := r.wait(1)[0]
		stop()
		var body map[string]any
		if err := json.Unmarshal([]byte(got.body), &body); err != nil || len(got.body) > 20_000 {
			t.Errorf("%d bytes, %v", len(got.body), err)
		}
		if body["id"] != "e" {
			t.Errorf("ID %v", body["id"])
		}
	})
}
