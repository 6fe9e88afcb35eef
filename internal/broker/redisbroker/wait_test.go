package redisbroker_test

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

// waits begins to wait for jobs, as the worker does when it found none.
func (h *hand) waits() (woken chan error) {
	woken = make(chan error, 1)
	go func() {
		woken <- h.broker.Wait(h.Context(), broker.Interest{Worker: h.worker.Name, Queues: h.worker.Queues})
	}()
	return woken
}

func (h *hand) ends(woken chan error) {
	h.Helper()
	select {
	case err := <-woken:
		if err != nil {
			h.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		h.Fatal("nothing ended the wait")
	}
}

// A pause may end between the exchange that saw it and the wait, with a hint
// that has come by then, and without one.
func TestAWaitMissesNoResumedQueue(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	other := openAs(t, redisbroker.Options{URL: s.url})
	for _, tt := range []struct {
		name   string
		hint   bool
		resume func() error
	}{
		{"without a hint", false, func() error { s.do("SREM", "distro:paused", "default"); return nil }},
		{"by this process", true, func() error { return s.broker.SetPaused(t.Context(), "default", false) }},
		{"by another one", true, func() error { return other.SetPaused(t.Context(), "default", false) }},
	} {
		w := s.hand(tt.name)
		if err := s.broker.SetPaused(t.Context(), "default", true); err != nil {
			t.Fatal(err)
		}
		s.add("job")
		s.equal("claimed", w.take(1, 1), nil)
		heard := s.broker.NextHint()
		if err := tt.resume(); err != nil {
			t.Fatal(err)
		}
		if tt.hint {
			s.broker.LookAgain(time.Hour)
			<-heard
		}
		w.ends(w.waits())
		s.equal("claimed", jobsOf(w.take(1, 1)), []string{"job"})
		s.do("DEL", "rq:job:job")
	}
}

// What an exchange saw of pauses is not asked for again by the wait behind it,
// and by every other one.
func TestAWaitBehindAnExchangeAsksNothing(t *testing.T) {
	t.Parallel()
	s := ownSite(t, redisbroker.Options{})
	w := s.hand("idle")
	asked := func() int {
		found := regexp.MustCompile(`cmdstat_smembers:calls=(\d+)`).FindStringSubmatch(s.do("INFO", "commandstats").(string))
		if found == nil {
			return 0
		}
		n, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	wait := func() {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := s.broker.Wait(ctx, broker.Interest{Worker: "idle", Queues: []string{"default"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	w.take(1, 1)
	before := asked()
	wait()
	s.equal("asked by the wait behind the exchange", asked()-before, 0)
	wait()
	s.equal("asked by the next one", asked()-before, 1)
}
