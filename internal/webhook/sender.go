// Package webhook tells one URL, at once, what people want to know at once: a
// job that failed, a queue that is late, a worker that is lost. docs/webhook.md
// describes the requests for those who receive them.
//
// Events wait in memory only: what was not delivered when the process ends is
// lost, and the history still knows it. Nobody who tells of an event waits.
package webhook

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distro-orchestrator/distro"
)

// Bounds of delivery.
const (
	maxPending  = 1000             // events that wait, for the first try or another
	maxInFlight = 4                // requests at a time
	maxTries    = 13               // of an event, in about an hour
	firstPause  = 5 * time.Second  // before the second try, twice as long before each other
	longestWait = 10 * time.Minute // pause before a try
	timeout     = 10 * time.Second // of a request, from the lookup to the end of the answer
	lastWords   = 3 * time.Second  // for events that are new when Run is to end
	dialTimeout = 3 * time.Second  // of one of the receiver's addresses
	maxDials    = 4                // addresses that are tried
	keepIdle    = 30 * time.Second
	maxHeader   = 64 << 10 // bytes of an answer's headers
	maxAnswer   = 64 << 10 // bytes of its body, which nobody reads
)

// Options configure a Sender.
type Options struct {
	URL          string // http or https, without user and password
	Secret       string // signs the requests; empty: they are not signed
	AllowPrivate bool   // lets URL be on this machine or on a private network
	Version      string // of Distro
	Logger       *slog.Logger

	// How names are looked up and addresses dialed; default: as the system does.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Lookup == nil {
		o.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return o
}

// Sender delivers events. Its methods may be called at the same time.
type Sender struct {
	opts   Options
	client *http.Client

	in      chan *delivery // never full: pending bounds it
	pending atomic.Int64   // events that were taken and are not done
	dropped atomic.Int64   // since the last that was logged
}

// New returns a Sender. Its errors do not repeat the URL, which may hold a
// secret in its path.
func New(opts Options) (*Sender, error) {
	s := &Sender{opts: opts.withDefaults(), in: make(chan *delivery, maxPending)}
	u, err := url.Parse(opts.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return nil, invalid("it is no URL like https://example.com/hook")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, invalid("its scheme is neither http nor https")
	case u.User != nil:
		return nil, invalid("a user or password in it would be sent in the clear: use webhook_secret, which signs the requests")
	}
	if err := s.checkHost(u.Hostname()); err != nil {
		return nil, invalid("%v", err)
	}
	s.client = &http.Client{
		Transport: &http.Transport{
			DialContext:            s.dial, // and no proxy, which would dial for itself
			DisableCompression:     true,
			IdleConnTimeout:        keepIdle,
			MaxIdleConnsPerHost:    maxInFlight,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

func invalid(format string, args ...any) error {
	return distro.Invalid("webhook_url", format, args...)
}

// delivery is an event on its way.
type delivery struct {
	id    string
	kind  Type
	body  []byte
	tries int
	due   time.Time
}

// Notify takes an event, and returns at once. It reports false when too many
// wait: then the event is dropped, which the log tells.
func (s *Sender) Notify(e Event) bool {
	body, err := e.encode()
	if err != nil || s.pending.Add(1) > maxPending {
		if err == nil {
			s.pending.Add(-1)
		}
		s.dropped.Add(1)
		return false
	}
	s.in <- &delivery{id: e.ID, kind: e.Type, body: body}
	return true
}

// Run delivers events until ctx ends; those that were not tried by then have
// three seconds.
func (s *Sender) Run(ctx context.Context) error {
	calls, abort := context.WithCancel(context.WithoutCancel(ctx))
	r := &run{Sender: s, done: make(chan result, maxInFlight)}
	defer s.client.CloseIdleConnections()
	defer r.sending.Wait()
	defer abort()
	timer := time.NewTimer(0)
	defer timer.Stop()
	ended := ctx.Done()
	var over <-chan time.Time
	for ended != nil || r.inFlight > 0 || len(r.waiting) > 0 || len(s.in) > 0 {
		r.start(calls, time.Now())
		timer.Reset(r.pause(time.Now()))
		select {
		case d := <-s.in:
			heap.Push(&r.waiting, d)
		case res := <-r.done:
			r.end(res)
		case <-timer.C:
		case <-ended:
			ended, over = nil, time.After(lastWords)
			r.close()
		case <-over:
			r.giveUp(r.inFlight + len(r.waiting) + len(s.in))
			r.logEnd(ctx)
			return nil
		}
	}
	r.logEnd(ctx)
	return nil
}

// run is the state of Run, which only its goroutine touches.
type run struct {
	*Sender
	done     chan result
	sending  sync.WaitGroup
	inFlight int
	waiting  queue
	closing  bool
	failing  bool // the last request failed
	lost     int  // events that were given up because Run ends
}

// result is how a request ended.
type result struct {
	delivery *delivery
	err      error // nil: it was received
	final    bool  // no other try would do better
}

// start sends what is due, as far as there is room.
func (r *run) start(ctx context.Context, now time.Time) {
	for r.inFlight < maxInFlight && len(r.waiting) > 0 && !r.waiting[0].due.After(now) {
		d := heap.Pop(&r.waiting).(*delivery)
		r.inFlight++
		d.tries++
		r.sending.Go(func() {
			err := r.send(ctx, d)
			r.done <- result{d, err, errors.Is(err, errRefused) || errors.Is(err, errFinal)}
		})
	}
}

// pause is how long there is nothing to start.
func (r *run) pause(now time.Time) time.Duration {
	if len(r.waiting) == 0 || r.inFlight == maxInFlight {
		return longestWait
	}
	return max(r.waiting[0].due.Sub(now), 0)
}

// end decides what follows a request.
func (r *run) end(res result) {
	r.inFlight--
	d, log := res.delivery, r.opts.Logger.With("event", string(res.delivery.kind), "delivery", res.delivery.id, "attempt", res.delivery.tries)
	switch {
	case res.err == nil:
		log.Debug("webhook delivered")
		if r.failing {
			r.opts.Logger.Info("the webhook is received again")
		}
		r.failing = false
	case res.final || d.tries == maxTries:
		log.Error("webhook given up", "reason", res.err)
		r.failing = true
	case r.closing:
		r.giveUp(1)
		return
	default:
		if !r.failing {
			log.Warn("the webhook was not received; trying on", "reason", res.err)
		}
		r.failing = true
		d.due = time.Now().Add(pauseBefore(d.tries))
		heap.Push(&r.waiting, d)
		return
	}
	r.pending.Add(-1)
	if n := r.dropped.Swap(0); n > 0 {
		r.opts.Logger.Error("webhook events were dropped: too many waited", "events", n)
	}
}

// close gives up what was tried before: its next try is too far off.
func (r *run) close() {
	r.closing = true
	var fresh queue
	for _, d := range r.waiting {
		if d.tries == 0 {
			fresh = append(fresh, d)
		}
	}
	r.giveUp(len(r.waiting) - len(fresh))
	r.waiting = fresh
	heap.Init(&r.waiting)
}

// giveUp counts events that there is no time for any more.
func (r *run) giveUp(events int) {
	r.lost += events
	r.pending.Add(int64(-events))
}

func (r *run) logEnd(ctx context.Context) {
	if n := int64(r.lost) + r.dropped.Swap(0); n > 0 {
		r.opts.Logger.WarnContext(ctx, "webhook events were not delivered", "events", n)
	}
}

// queue orders deliveries by when they are due. It is a heap.
type queue []*delivery

// Len implements heap.Interface.
func (q queue) Len() int { return len(q) }

// Less implements heap.Interface.
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

// Swap implements heap.Interface.
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(*delivery)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
