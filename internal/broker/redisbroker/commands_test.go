package redisbroker_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

// wakes waits as the worker does until something is new for it.
func (h *hand) wakes() {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), 20*time.Second)
	defer cancel()
	if err := h.broker.Wait(ctx, broker.Interest{Worker: h.worker.Name}); err != nil {
		h.Fatalf("nothing woke worker %q: %v", h.worker.Name, err)
	}
}

// rests checks that nothing is new for it for a while.
func (h *hand) rests() {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), 100*time.Millisecond)
	defer cancel()
	if err := h.broker.Wait(ctx, broker.Interest{Worker: h.worker.Name}); !errors.Is(err, context.DeadlineExceeded) {
		h.Errorf("worker %q was woken: %v", h.worker.Name, err)
	}
}

// publish sends a raw message, which must reach somebody.
func (s *site) publish(worker, message string) {
	s.Helper()
	if n := s.number("PUBLISH", "rq:pubsub:"+worker, message); n == 0 {
		s.Fatalf("nobody listens to the commands for %q", worker)
	}
}

func TestCommandsOfTheStockClientReachTheWorker(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	p := newPeer(t)
	s.add("one", "two", "three")
	names := []string{"commands-kill", "commands-stop", "commands-shut"}
	var hands []*hand
	var claims []broker.Claim
	for i, name := range names {
		w := s.hand(name)
		hands, claims = append(hands, w), append(claims, w.run([]string{"one", "two", "three"}[i]))
		w.rests()
	}
	p.script(s, `
command.send_kill_horse_command(c, "commands-kill")
command.send_stop_job_command(c, "two")
command.send_shutdown_command(c, "commands-shut")`)
	for i, want := range []broker.ExchangeReply{
		{Kill: []broker.Kill{{Claim: claims[0]}}},
		{Kill: []broker.Kill{{Claim: claims[1], Stopped: true}}},
		{Drain: true},
	} {
		w := hands[i]
		w.wakes()
		got := w.say(broker.ExchangeRequest{})
		s.equal(names[i], got, want)
		s.equal(names[i]+" again", w.say(broker.ExchangeRequest{}), broker.ExchangeReply{})
		w.rests()
	}
	// The worker did what it was told.
	killed := failed("")
	killed.Failure = &distro.Failure{Kind: distro.FailureSignal, Signal: 9}
	hands[0].done(killed, claims[0])
	hands[1].done(stopped(), claims[1])
	hands[2].done(finished(), claims[2])
	text := p.script(s, `print(json.dumps([Job.fetch(id, connection=c).get_status() for id in ["one", "two", "three"]]))`)
	var got []string
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	s.equal("statuses", got, []string{"failed", "stopped", "finished"})
}

func TestCommandsForOneSlotAreNotForTheOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.add("one", "two")
	w := s.hand("slots", func(w *distro.Worker) { w.Slots = 2 })
	claims := w.take(2, 2)
	slot := s.hash("rq:job:one")["worker_name"]
	if other := s.hash("rq:job:two")["worker_name"]; !slices.Equal([]string{"slots.1", "slots.2"}, slices.Sorted(slices.Values([]string{slot, other}))) {
		t.Fatalf("the jobs run on %q and %q, want both slots", slot, other)
	}
	s.publish(slot, `{"command": "kill-horse"}`)
	w.wakes()
	s.equal("kill", w.say(broker.ExchangeRequest{}).Kill, []broker.Kill{{Claim: claims[0]}})
	s.publish(slot, `{"command": "stop-job", "job_id": "two"}`) // it runs on the other one
	w.rests()
	s.publish("slots.2", `{"command": "shutdown"}`)
	w.wakes()
	s.equal("drain", w.say(broker.ExchangeRequest{}).Drain, true)
}

func TestMessagesThatAreNoCommandsAreIgnored(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.add("job")
	w := s.hand("malformed")
	claim := w.run("job")
	for _, message := range []string{
		"", "shutdown", "{", "[]", "null", "{}", `{"command": 7}`, `{"command": null}`, `{"command": "dance"}`, `"shutdown"`,
		`{"command": "stop-job"}`, `{"command": "stop-job", "job_id": "other"}`, `{"command": "stop-job", "job_id": ["job"]}`,
		"\xff\xfe\x00", `{"command": "stop-job", "job_id": ""}`,
	} {
		s.publish("malformed", message)
	}
	w.rests()
	s.equal("reply", w.say(broker.ExchangeRequest{}), broker.ExchangeReply{})
	s.publish("malformed", `{"command": "stop-job", "job_id": "job", "more": [1]}`)
	w.wakes()
	s.equal("kill", w.say(broker.ExchangeRequest{}).Kill, []broker.Kill{{Claim: claim, Stopped: true}})
}

// An idle worker has nothing to kill, and what it ran before is over.
func TestCommandsForAJobThatEndedAreIgnored(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.add("job")
	w := s.hand("idle")
	claim := w.run("job")
	w.done(finished(), claim)
	s.publish("idle", `{"command": "kill-horse"}`)
	s.publish("idle", `{"command": "stop-job", "job_id": "job"}`)
	w.rests()
	// Between the kill and the reply the job ended by itself.
	s.add("next")
	claim = w.run("next")
	s.publish("idle", `{"command": "kill-horse"}`)
	w.wakes()
	reply := w.say(broker.ExchangeRequest{Settle: []broker.Settlement{{Claim: claim, Result: finished()}}})
	s.equal("reply", reply, broker.ExchangeReply{Settled: []broker.SettleStatus{broker.SettleDone}})
}

// A command for the worker that had the name before is none for this one.
func TestAWorkerThatTakesANameOverInheritsNoCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	first, second := s.hand("heir"), s.hand("heir")
	second.broker = openAs(t, redisbroker.Options{URL: s.url})
	first.say(broker.ExchangeRequest{})
	if _, err := second.try(broker.ExchangeRequest{}); !errors.Is(err, broker.ErrNameTaken) {
		t.Fatalf("two workers of one name: %v", err)
	}
	s.publish("heir", `{"command": "shutdown"}`)
	second.wakes() // it hears the channel, so the message has arrived
	first.wakes()
	s.equal("first", first.say(broker.ExchangeRequest{Leave: true}).Drain, true)
	s.equal("second", second.say(broker.ExchangeRequest{}).Drain, false)
}

// A stock worker has no note in Redis to find: it is told as RQ tells it.
func TestAStopReachesAStockWorker(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	p := newPeer(t)
	worker := p.worker(s, "told")
	s.enqueue(pickled("job", "peerjobs.hold", `["told"]`))
	s.runs("told")
	worker.Await(t, "peerjobs.hold('told') (job)")
	errs, err := s.broker.Act(t.Context(), broker.ActionStop, []string{"job"})
	if err != nil || errs[0] != nil {
		t.Fatal(errs, err)
	}
	worker.Await(t, "Job stopped by user")
	s.eventually("the job is stopped", func() bool { return s.status("job") == "stopped" })
	worker.Stop(t)
}

func TestCommandsReachStockWorkers(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	p := newPeer(t)
	worker := p.worker(s, "commanded")
	s.enqueue(pickled("killed", "peerjobs.hold", `["commanded"]`))
	s.runs("commanded")
	worker.Await(t, "peerjobs.hold('commanded') (killed)")
	if heard, err := s.broker.KillHorse(t.Context(), "commanded"); !heard || err != nil {
		t.Fatalf("kill-horse was heard: %t, %v", heard, err)
	}
	s.eventually("the job fails", func() bool { return s.status("killed") == "failed" })
	s.enqueue(pickled("last", "peerjobs.hold", `["commanded"]`), pickled("left", "peerjobs.add", "[1, 2]"))
	s.runs("commanded")
	if heard, err := s.broker.StopWorker(t.Context(), "commanded"); !heard || err != nil {
		t.Fatalf("shutdown was heard: %t, %v", heard, err)
	}
	worker.Await(t, "Warm shut down requested")
	s.ends("commanded")
	if err := worker.Wait(t.Context()); err != nil {
		t.Errorf("%v\n%s", err, worker.Output())
	}
	s.equal("statuses", []string{s.status("last"), s.status("left")}, []string{"finished", "queued"})
	if heard, err := s.broker.StopWorker(t.Context(), "commanded"); heard || err != nil {
		t.Errorf("a worker that is gone hears: %t, %v", heard, err)
	}
}

func TestCommandsReachEverySlotOfAWorker(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	s.add("one", "two")
	w := s.hand("every-slot", func(w *distro.Worker) { w.Slots = 2 })
	claims := w.take(2, 2)
	if heard, err := s.broker.KillHorse(t.Context(), "every-slot"); !heard || err != nil {
		t.Fatalf("heard: %t, %v", heard, err)
	}
	killed := map[broker.Claim]bool{}
	for len(killed) < len(claims) { // the commands come one by one
		w.wakes()
		for _, kill := range w.say(broker.ExchangeRequest{}).Kill {
			killed[kill.Claim] = true
		}
	}
	s.equal("killed", killed, map[broker.Claim]bool{claims[0]: true, claims[1]: true})
	if heard, err := s.broker.StopWorker(t.Context(), "every-slot"); !heard || err != nil {
		t.Fatalf("heard: %t, %v", heard, err)
	}
	w.wakes()
	s.equal("drain", w.say(broker.ExchangeRequest{}).Drain, true)
}

// runs waits until peerjobs.hold runs.
func (s *site) runs(key string) {
	s.Helper()
	if s.do("BLPOP", key+":runs", "50") == nil {
		s.Fatalf("the job that holds %q did not begin", key)
	}
}

// ends lets it end.
func (s *site) ends(key string) { s.Helper(); s.do("RPUSH", key+":ends", "1") }

// eventually looks until something holds that another process does.
func (s *site) eventually(what string, holds func() bool) {
	s.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			s.Fatalf("it did not come about that %s", what)
		}
	}
}

// Nothing begins in a paused queue, whoever paused it; the rest goes on.
func TestAPausedQueueIsASetThatOnlyDistroHonours(t *testing.T) {
	t.Parallel()
	s := newSite(t, redisbroker.Options{})
	p := newPeer(t)
	w := s.hand("paused", func(w *distro.Worker) { w.Queues = []string{"default", "low"} })
	if err := s.broker.SetPaused(t.Context(), "default", true); err != nil {
		t.Fatal(err)
	}
	s.equal("distro:paused", s.members("distro:paused"), []string{"default"})
	s.add("one", "two")
	s.enqueue(pickled("low", "peerjobs.add", "[1, 2]", func(j *distro.Job) { j.Queue = "low" }))
	s.equal("claimed", jobsOf(w.take(3, 3)), []string{"low"})
	burst := p.worker(s, "paused-stock", "--burst", "--max-jobs", "1") // knows nothing of it
	if err := burst.Wait(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, burst.Output())
	}
	s.equal("status of the first", s.status("one"), "finished")
	if err := s.broker.SetPaused(t.Context(), "default", false); err != nil {
		t.Fatal(err)
	}
	s.equal("claimed", jobsOf(w.take(3, 3)), []string{"two"})
}

func TestWhatRQSuspendsAndResumesIsSuspendedAndResumed(t *testing.T) {
	t.Parallel()
	clock := newStill()
	s := newSite(t, redisbroker.Options{Clock: clock})
	p := newPeer(t)
	w := s.hand("suspended")
	w.say(broker.ExchangeRequest{})
	s.add("job")
	p.script(s, "from rq.suspension import suspend\nsuspend(c)")
	s.equal("claimed", w.take(1, 1), nil)
	counts, err := s.broker.Counts(t.Context())
	if err != nil || !counts.Suspended {
		t.Errorf("the workers are not suspended: %v", err)
	}
	clock.Advance(20 * time.Second)
	w.say(broker.ExchangeRequest{})
	s.equal("state", s.hash("rq:worker:suspended")["state"], "suspended")
	woken := make(chan error, 1)
	go func() { woken <- s.broker.Wait(t.Context(), broker.Interest{Queues: []string{"default"}}) }()
	select {
	case err := <-woken:
		t.Errorf("a wait ended although the workers are suspended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	s.do("DEL", "rq:suspended") // as `rq resume`: without a word to anybody
	select {
	case err := <-woken:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the wait did not see that the workers were resumed")
	}
	s.equal("claimed", jobsOf(w.take(1, 1)), []string{"job"})
}
