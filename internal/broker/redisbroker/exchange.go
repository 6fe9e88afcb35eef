package redisbroker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// keepUpEvery is how often the RQ workers of a process and its running jobs
// are kept up, which RQ does every 30 s.
const keepUpEvery = 15 * time.Second

// errStale: a newer call of this worker was first.
var errStale = errors.New("an older call arrived late")

// Exchange implements broker.Broker.
func (b *Broker) Exchange(ctx context.Context, req broker.ExchangeRequest) (broker.ExchangeReply, error) {
	if err := req.Check(); err != nil {
		return broker.ExchangeReply{}, err
	}
	info, err := infoOf(&req.Worker)
	if err != nil {
		return broker.ExchangeReply{}, err
	}
	reg := b.registered(ctx, &req.Worker)
	c := conversation{b: b, reg: reg, req: &req, info: info}
	defer b.stayAlive(ctx, req.Worker.Name)()
	answer, err := c.call(ctx, false)
	if err == nil && answer.state == "unknown" {
		b.mu.Lock()
		if reg.known {
			b.opts.Logger.Warn("the queue has forgotten this worker, and perhaps its jobs; it registers again", "worker", req.Worker.Name)
		}
		b.mu.Unlock()
		answer, err = c.call(ctx, true)
	}
	switch {
	case err != nil:
		b.mu.Lock()
		reg.news = true
		b.mu.Unlock()
		return broker.ExchangeReply{}, fmt.Errorf("exchange of worker %q: %w", req.Worker.Name, err)
	case answer.state == "taken":
		return broker.ExchangeReply{}, fmt.Errorf("register worker %q: %w", req.Worker.Name, broker.ErrNameTaken)
	case answer.state == "stale":
		return broker.ExchangeReply{}, fmt.Errorf("exchange of worker %q: %w", req.Worker.Name, errStale)
	}
	return c.finish(answer), nil
}

// stayAlive beats until its result is called: a call that carries much over a
// slow line takes longer than a worker may be silent.
func (b *Broker) stayAlive(ctx context.Context, worker string) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(broker.BeatEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			a := b.begin(b.now(), 2)
			a.text(worker, b.instance)
			_, _ = b.run(ctx, "alive", a) // the call itself tells what is wrong
		}
	}()
	return func() { cancel(); <-done }
}

// registered is the record of a worker, made at its first call. Then its
// channels are subscribed to, so that no command that follows is missed.
func (b *Broker) registered(ctx context.Context, w *distro.Worker) *registered {
	b.mu.Lock()
	reg := b.workers[w.Name]
	fresh := reg == nil
	if fresh {
		reg = newRegistered(*w)
		b.workers[w.Name] = reg
	}
	b.mu.Unlock()
	if fresh {
		b.signals.listen(ctx, reg.slots)
	}
	return reg
}

// conversation is one Exchange under way.
type conversation struct {
	b    *Broker
	reg  *registered
	req  *broker.ExchangeRequest
	info string

	changed <-chan struct{} // closed when something was heard since before the call

	kept   bool     // the RQ workers were kept up
	told   bool     // info was sent
	begins []string // the RQ workers of req.Begin
	slots  []string // and of req.Want
	kill   []broker.Kill
	drain  bool
}

// exchangeAnswer is what exchange.lua answers.
type exchangeAnswer struct {
	state   string
	settled []int64
	begun   []int64
	claims  []broker.Claimed
	stops   []broker.Claim
	lost    []int64
	gate    *gate
}

// call runs the script; with register it may make the worker known first.
func (c *conversation) call(ctx context.Context, register bool) (exchangeAnswer, error) {
	now := c.b.now()
	c.changed = c.b.signals.next()
	a := c.arguments(now, register)
	reply, err := c.b.run(ctx, "exchange", a)
	if err != nil {
		return exchangeAnswer{}, err
	}
	answer, err := c.b.parseExchange(reply)
	if err != nil {
		return answer, malformed("exchange", err)
	}
	return answer, nil
}

func (c *conversation) arguments(now time.Time, register bool) *arguments {
	b, req := c.b, c.req
	a := b.begin(now, 64+13*len(req.Settle)+4*len(req.Begin)+4*len(req.Return)+4*len(req.Held)+2*len(req.Want.Tokens))
	a.text(req.Worker.Name, b.instance, strconv.FormatUint(req.Beat, 10))
	a.number(seconds(b.opts.WorkerTTL) + 60)

	b.mu.Lock()
	defer b.mu.Unlock()
	if register {
		a.number(len(c.reg.slots))
		for _, name := range c.reg.slots {
			a.text(name)
			a.many(birth(&req.Worker, b.target.address))
		}
	} else {
		a.number(0)
	}
	if c.told = register || c.reg.info != c.info; c.told {
		a.text(c.info)
	} else {
		a.text("")
	}
	a.flag(req.Worker.Draining)
	c.keepUp(a)
	load := c.reg.load()
	a.number(len(req.Begin))
	c.begins = c.begins[:0]
	for i, claim := range req.Begin {
		c.begins = append(c.begins, c.slot(claim.Token, load))
		a.text(claim.JobID, claim.Token, c.begins[i], c.reg.claims[claim.Token].queue)
	}
	c.settlements(a)
	c.claims(a, req.Return)
	a.flag(req.Reconcile)
	if req.Reconcile {
		c.claims(a, req.Held)
	}
	a.flag(req.Leave)
	if req.Leave {
		a.text(c.b.lostEnds(req.Worker.Name)...)
	}
	a.many(req.Want.Queues)
	a.many(req.Want.Tokens)
	c.slots = c.slots[:0]
	for _, token := range req.Want.Tokens {
		c.slots = append(c.slots, c.slot(token, load))
	}
	a.many(c.slots)
	a.number(req.Want.Begun)
	a.many(b.wanted)
	c.kill, c.drain, c.reg.news = c.reg.kill, c.reg.drain, false
	return a
}

// slot is the RQ worker that a claim shows as.
func (c *conversation) slot(token string, load map[string]int) string {
	if slot := c.reg.claims[token].slot; slot != "" {
		return slot
	}
	slot := c.reg.idlest(load)
	load[slot]++
	return slot
}

// keepUp adds the RQ workers and running jobs that are to be kept up.
func (c *conversation) keepUp(a *arguments) {
	now := c.b.opts.Clock.Monotonic()
	if c.kept = now-c.reg.at >= keepUpEvery; !c.kept {
		a.number(0)
		a.flag(false)
		return
	}
	a.number(len(c.reg.slots))
	for _, name := range c.reg.slots {
		since := now
		for _, run := range c.reg.claims {
			if run.slot == name {
				since = min(since, run.since)
			}
		}
		a.text(name, strconv.FormatFloat((now-since).Seconds(), 'f', 6, 64))
	}
	a.flag(true)
}

func (c *conversation) settlements(a *arguments) {
	a.number(len(c.req.Settle))
	for i := range c.req.Settle {
		s := &c.req.Settle[i]
		res := &s.Result
		had := c.reg.claims[s.Token]
		a.text(s.JobID, had.slot, had.queue, strconv.FormatFloat(max(res.EndedAt.Sub(res.StartedAt), 0).Seconds(), 'f', 6, 64))
		a.text(s.Token, string(res.Outcome), rqTime(res.StartedAt), rqTime(res.EndedAt), string(c.b.codec.resultTail(res)))
		value, exc := "", ""
		if res.Failure == nil && res.Outcome == distro.OutcomeFinished {
			value = encodeValue(res.Pickle)
		} else {
			exc = c.b.codec.excString(failureText(res))
		}
		a.text(value, exc)
		if res.Again != nil {
			a.number(seconds(res.Again.Delay))
			a.flag(res.Again.Front)
		} else {
			a.text("", "0")
		}
	}
}

func (c *conversation) claims(a *arguments, list []broker.Claim) {
	a.number(len(list))
	for _, claim := range list {
		had := c.reg.claims[claim.Token]
		a.text(claim.JobID, claim.Token, had.slot, had.queue)
	}
}

// parseExchange reads the answer of exchange.lua.
func (b *Broker) parseExchange(reply rueidis.RedisResult) (exchangeAnswer, error) {
	var out exchangeAnswer
	parts, err := reply.ToArray()
	if err != nil {
		return out, err
	}
	if out.state, err = parts[0].ToString(); err != nil || out.state != "ok" {
		return out, err
	}
	if len(parts) != 7 {
		return out, fmt.Errorf("%d parts, want 7", len(parts))
	}
	var errs [5]error
	out.settled, errs[0] = parts[1].AsIntSlice()
	out.begun, errs[1] = parts[2].AsIntSlice()
	out.lost, errs[2] = parts[5].AsIntSlice()
	var stops []string
	stops, errs[3] = texts(&parts[4])
	for i := 0; i+1 < len(stops); i += 2 {
		out.stops = append(out.stops, broker.Claim{Token: stops[i], JobID: stops[i+1]})
	}
	out.gate, errs[4] = parseGate(&parts[6])
	taken, err := parts[3].ToArray()
	if err = errors.Join(append(errs[:], err)...); err != nil {
		return out, err
	}
	for i := range taken {
		claimed, err := b.parseClaim(&taken[i])
		if err != nil {
			return out, err
		}
		out.claims = append(out.claims, claimed)
	}
	return out, nil
}

// parseClaim reads {id, token, begun, queue, attempt, values}. The values are
// those of the wanted fields before the claim.
func (b *Broker) parseClaim(m *rueidis.RedisMessage) (broker.Claimed, error) {
	parts, err := m.ToArray()
	if err != nil || len(parts) != 6 {
		return broker.Claimed{}, fmt.Errorf("a claim of %d parts: %w", len(parts), err)
	}
	var head [2]string
	var numbers [2]int64
	var errs [6]error
	head[0], errs[0] = parts[0].ToString()
	head[1], errs[1] = parts[1].ToString()
	numbers[0], errs[2] = parts[2].AsInt64()
	queue, err := parts[3].ToString()
	errs[3] = err
	numbers[1], errs[4] = parts[4].AsInt64()
	values, err := parts[5].ToArray()
	errs[5] = err
	if err := errors.Join(errs[:]...); err != nil {
		return broker.Claimed{}, err
	}
	fields := make(map[string]string, len(values))
	for i := range values {
		if text, err := values[i].ToString(); err == nil { // else it is not there
			fields[b.wanted[i]] = text
		}
	}
	job := b.codec.decodeJob(head[0], fields)
	job.Queue, job.Attempt, job.Status, job.Result = queue, int(numbers[1]), distro.StatusQueued, nil
	return broker.Claimed{Job: job, Token: head[1], Begun: numbers[0] == 1}, nil
}

// finish turns the answer into the reply, and remembers what runs where.
func (c *conversation) finish(answer exchangeAnswer) broker.ExchangeReply {
	b, req, reg := c.b, c.req, c.reg
	now, mono := b.now(), b.opts.Clock.Monotonic()
	reply := broker.ExchangeReply{Claims: answer.claims, Stop: answer.stops, Drain: c.drain}
	b.mu.Lock()
	defer b.mu.Unlock()
	// What came since is for the next call.
	reg.kill, reg.drain = reg.kill[len(c.kill):], reg.drain && !c.drain
	if !reg.known { // what came before was for the one that had the name
		reg.known, c.kill, reply.Drain = true, nil, false
	}
	if c.told {
		reg.info = c.info
	}
	if c.kept {
		reg.at = mono
	}
	if reg.gate = answer.gate; reg.gate != nil {
		reg.gate.changed = c.changed
	}
	for i, attempt := range answer.begun {
		reply.Begun = append(reply.Begun, int(attempt))
		if attempt > 0 {
			claim := req.Begin[i]
			reg.claims[claim.Token] = assigned{claim.JobID, reg.claims[claim.Token].queue, c.begins[i], mono}
		} else {
			delete(reg.claims, req.Begin[i].Token)
		}
	}
	for _, status := range answer.settled {
		reply.Settled = append(reply.Settled, broker.SettleStatus(status)) // exchange.lua counts as the constants do
	}
	for _, i := range answer.lost {
		reply.Lost = append(reply.Lost, req.Held[i-1])
	}
	c.forget(reply.Lost)
	for i := range reply.Claims {
		claimed := &reply.Claims[i]
		slot := ""
		if claimed.Begun {
			slot = c.slots[i]
			claimed.Job.Status, claimed.Job.StartedAt, claimed.Job.Worker = distro.StatusStarted, now, slot
		}
		reg.claims[claimed.Token] = assigned{claimed.Job.ID, claimed.Job.Queue, slot, mono}
	}
	for _, kill := range c.kill {
		if _, ok := reg.claims[kill.Token]; ok {
			reply.Kill = append(reply.Kill, kill)
		}
	}
	if req.Leave {
		delete(b.workers, req.Worker.Name)
		b.signals.mute(reg.slots)
	}
	return reply
}

// forget removes what the worker holds no more. b.mu is held.
func (c *conversation) forget(lost []broker.Claim) {
	claims := c.reg.claims
	for i := range c.req.Settle {
		delete(claims, c.req.Settle[i].Token)
	}
	for _, claim := range c.req.Return {
		delete(claims, claim.Token)
	}
	if c.req.Reconcile {
		held := map[string]bool{}
		for _, claim := range c.req.Held {
			held[claim.Token] = true
		}
		for token := range claims {
			if !held[token] {
				delete(claims, token)
			}
		}
	}
	for _, claim := range lost {
		delete(claims, claim.Token)
	}
}

// lostEnds is how the attempts of a worker end that is gone, as the scripts take it:
// the ends of the results' JSON and what RQ is told, of those that are lost and
// of those that somebody wanted stopped.
func (b *Broker) lostEnds(worker string) []string {
	lost := distro.Result{
		Outcome: distro.OutcomeLost,
		Failure: &distro.Failure{Kind: distro.FailureLost, Message: "worker " + worker + " was lost"},
	}
	stopped := distro.Result{
		Outcome: distro.OutcomeStopped,
		Failure: &distro.Failure{Kind: distro.FailureStopped, Message: "stopped, and worker " + worker + " was lost meanwhile"},
	}
	return []string{
		string(b.codec.resultTail(&lost)), b.codec.excString(failureText(&lost)),
		string(b.codec.resultTail(&stopped)), b.codec.excString(failureText(&stopped)),
	}
}

// failureText is what RQ's readers see of an attempt that did not finish: the
// traceback where there is one, else the reason in RQ's words.
func failureText(res *distro.Result) string {
	f := res.Failure
	switch {
	case f == nil:
		return string(res.Outcome) + "\n"
	case f.Kind == distro.FailureStopped:
		return "Job stopped by user, work-horse terminated."
	case f.Traceback != "":
		if strings.HasSuffix(f.Traceback, "\n") {
			return f.Traceback
		}
		return f.Traceback + "\n"
	case f.Kind == distro.FailureSignal:
		return fmt.Sprintf("Work-horse terminated unexpectedly; waitpid returned %d (signal %d); ", f.Signal, f.Signal)
	case f.Kind == distro.FailureExit:
		return fmt.Sprintf("Work-horse terminated unexpectedly; waitpid returned %d; ", f.ExitCode<<8)
	}
	return f.Message + "\n"
}
