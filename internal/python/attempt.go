package python

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/distro-orchestrator/distro"
)

// Call is what an attempt runs.
type Call struct {
	JobID     string
	Queue     string
	Worker    string // name of the worker, for RQ_WORKER_ID
	Attempt   int
	Payload   distro.Payload
	Timeout   time.Duration // distro.Forever: none
	Artifacts string        // path of the folder for files the job leaves, below Options.Artifacts; empty: they are dropped

	// Serializer is what the worker takes all payloads for: json, pickle, or
	// the dotted name of something with loads and dumps. Empty: Payload says.
	Serializer string
	// Redis is the URL under which the job reaches its queue, as redis-py reads
	// it: rq.get_current_job and callbacks need it. Empty: an embedded queue.
	Redis string
	Asked int // attempts that the function asked for before this one

	OnSuccess distro.Callback // called as (job, connection, result)
	OnFailure distro.Callback // called as (job, connection, type, value, traceback)
	// Stopped, where it has a name, is called as (job, connection) in place of
	// the function: the job was stopped before.
	Stopped distro.Callback

	// Note takes a line for whoever reads the output, about the environment
	// that the attempt waits for or runs in. It is called by Run, before there
	// is output. Nil: nobody reads it.
	Note func(line string)
}

// callbackTimeout is RQ's, where a callback has none of its own.
const callbackTimeout = time.Minute

// Output takes what an attempt prints: stderr says which stream. It is called
// by one goroutine per stream, and holds the process back while it blocks.
type Output func(stderr bool, p []byte)

// Attempt is a call to run once.
type Attempt struct {
	host   host
	call   Call
	output Output
	stops  chan stopOrder

	// Only Run touches these.
	runners *Runners
	result  distro.Result
	kind    distro.FailureKind // why the process was ended; empty: it was not
	timer   *time.Timer        // until the kill that follows
	// timeout is that of the function, or of the callback that runs.
	timeout time.Duration
	kept    bool // the job left files, which stand in the folder for them
}

// host says where attempts run.
type host interface {
	// enter returns the Runners for an attempt that begins now, which calls
	// leave when it is over. It may wait; then it returns the stop order that
	// comes instead, if one does.
	enter(ctx context.Context, a *Attempt) (r *Runners, leave func(), order *stopOrder)
}

func (r *Runners) enter(context.Context, *Attempt) (*Runners, func(), *stopOrder) {
	return r, func() {}, nil
}

type stopOrder struct {
	kind  distro.FailureKind
	grace time.Duration
}

// before is the failure of an attempt that was stopped before it ran.
func (o stopOrder) before() *distro.Failure {
	return &distro.Failure{Kind: o.kind, Message: "ended before it ran"}
}

// Attempt prepares an attempt; Run runs it.
func (r *Runners) Attempt(call Call, output Output) *Attempt { return newAttempt(r, call, output) }

func newAttempt(h host, call Call, output Output) *Attempt {
	if call.Stopped.Name != "" {
		call.Timeout = cmp.Or(call.Stopped.Timeout, callbackTimeout)
	}
	if call.Note == nil {
		call.Note = func(string) {}
	}
	return &Attempt{host: h, call: call, output: output, stops: make(chan stopOrder, 4)}
}

// Stop ends the attempt: at once when grace is 0, else by SIGTERM first. The
// kind is what the failure says then: FailureStopped, or FailureLost where the
// worker ends. An attempt that finishes all the same is finished. It may be
// called before Run, and by any goroutine.
func (a *Attempt) Stop(kind distro.FailureKind, grace time.Duration) {
	select {
	case a.stops <- stopOrder{kind, grace}:
	default: // so many orders stand already that one more changes nothing
	}
}

// Run runs the attempt and returns what it left behind. Then Output has had
// everything, and nothing lives any more of an attempt that did not finish; the
// process of a finished one may still be going. The context bounds the wait for
// an environment and a process only.
func (a *Attempt) Run(ctx context.Context) distro.Result {
	a.result = distro.Result{Attempt: a.call.Attempt, Worker: a.call.Worker, StartedAt: time.Now().UTC()}
	runners, leave, order := a.host.enter(ctx, a)
	if order != nil {
		a.fail(order.before())
		return a.result
	}
	defer leave()
	a.runners = runners
	p, f, failure := a.hand(ctx)
	if failure != nil {
		a.fail(failure)
		return a.result
	}
	if !a.runners.spare() {
		a.runners.refill()
	}
	if f == nil {
		f = a.watch(p)
	}
	serves := a.take(p, f)
	switch {
	case serves:
		a.release(p)
		a.runners.put(p)
	case a.result.Outcome == distro.OutcomeFinished:
		a.release(p)
		a.runners.dying <- struct{}{}
		a.runners.refill()
		a.runners.tails.Go(func() {
			a.outlive(p)
			a.runners.ended(p)
			<-a.runners.dying
		})
	default:
		a.outlive(p)
		a.release(p)
		a.salvage(p)
		a.runners.ended(p)
	}
	return a.result
}

// Kept reports whether the attempt left files, which are in the folder of
// Call.Artifacts now. It is known when Run has returned.
func (a *Attempt) Kept() bool { return a.kept }

// salvage keeps the files of a process that was ended before it could keep them
// itself: what led to its end may be among them. Nothing that writes there lives
// any more.
func (a *Attempt) salvage(p *runner) {
	left := p.scratch.Artifacts
	if a.kept || a.call.Artifacts == "" || left == "" || untouched(left) {
		return
	}
	info, err := os.Lstat(left)
	if err != nil || !info.IsDir() { // the job has put something else in its place
		return
	}
	folder := a.folder()
	err = removeAll(folder) // of a deleted job that had this ID
	if err == nil {
		err = os.MkdirAll(filepath.Dir(folder), 0o700)
	}
	if err == nil {
		err = os.Rename(left, folder)
	}
	if err != nil {
		a.output(true, fmt.Appendf(nil, "distro: files left in DISTRO_ARTIFACTS are lost: %v\n", err))
		return
	}
	a.kept = true
}

// folder is where the files that the attempt leaves are to be; empty: nowhere.
func (a *Attempt) folder() string {
	if a.call.Artifacts == "" {
		return ""
	}
	return filepath.Join(a.runners.opts.Artifacts, a.call.Artifacts)
}

// hand gives the call to a process. A pooled process may decline because a
// file has changed; the next one is asked then. A frame that came with the
// answer is returned.
func (a *Attempt) hand(ctx context.Context) (*runner, *frame, *distro.Failure) {
	job, err := appendFrame(make([]byte, 0, 512+len(a.call.Payload.Data)), kindJob, a.header(), a.call.Payload.Data)
	if err != nil {
		return nil, nil, &distro.Failure{Kind: distro.FailureStart, Message: err.Error()}
	}
	for range 3 * (a.runners.opts.Slots + 2) {
		p, order, err := a.runners.take(ctx, a.stops)
		switch {
		case err != nil:
			return nil, nil, &distro.Failure{Kind: distro.FailureStart, Message: "no Python process: " + err.Error()}
		case order != nil:
			return nil, nil, order.before()
		}
		p.stdout.direct(func(b []byte) { a.output(false, b) })
		p.stderr.direct(func(b []byte) { a.output(true, b) })
		a.result.StartedAt = time.Now().UTC()
		if err := p.send(job); err == nil {
			if a.runners.Isolation() != Pool {
				return p, nil, nil
			}
			f := a.watch(p)
			if f == nil || f.kind != kindDecline {
				return p, f, nil
			}
		}
		a.outlive(p)
		a.release(p)
		a.runners.ended(p)
		if a.kind != "" {
			return nil, nil, stopOrder{kind: a.kind}.before()
		}
	}
	return nil, nil, &distro.Failure{Kind: distro.FailureStart, Message: "no Python process took the job: they end before they run it"}
}

func (a *Attempt) header() jobHeader {
	header := jobHeader{
		ID: a.call.JobID, Queue: a.call.Queue, Attempt: a.call.Attempt, Worker: a.call.Worker,
		Serializer: builtIn(cmp.Or(a.call.Serializer, a.call.Payload.Serializer)),
		Timeout:    inSeconds(a.call.Timeout),
		Artifacts:  a.folder(),
		Asked:      a.call.Asked,
		Redis:      a.call.Redis,
		OnSuccess:  callback(a.call.OnSuccess),
		OnFailure:  callback(a.call.OnFailure),
		Stopped:    callback(a.call.Stopped),
	}
	return header
}

func inSeconds(timeout time.Duration) *float64 {
	if timeout <= 0 {
		return nil
	}
	seconds := timeout.Seconds()
	return &seconds
}

func callback(c distro.Callback) *callbackHeader {
	if c.Name == "" {
		return nil
	}
	return &callbackHeader{Name: c.Name, Timeout: inSeconds(cmp.Or(c.Timeout, callbackTimeout))}
}

// builtIn is the short name of RQ's own serializers, for which a job needs
// nothing of RQ.
func builtIn(serializer string) string {
	switch serializer {
	case "rq.serializers.JSONSerializer":
		return distro.SerializerJSON
	case "rq.serializers.DefaultSerializer", "rq.serializers.PickleSerializer":
		return distro.SerializerPickle
	}
	return serializer
}

// watch waits for the answer of the process and ends it when its time, its
// memory or somebody's patience is over. It returns nil when the process ended
// without an answer.
func (a *Attempt) watch(p *runner) *frame {
	a.timer = time.NewTimer(time.Hour)
	defer a.timer.Stop()
	a.timer.Stop()
	var memory <-chan time.Time
	if a.runners.opts.MemoryLimit > 0 {
		ticker := time.NewTicker(memoryEvery)
		defer ticker.Stop()
		memory = ticker.C
	}
	a.limit(a.call.Timeout)
	for {
		select {
		case f, ok := <-p.frames:
			switch {
			case !ok:
				<-a.exitOf(p)
				return nil
			case f.kind != kindCallback:
				return &f
			}
			a.called(f)
		case order := <-a.stops:
			a.obey(p, order)
		case <-memory:
			if residentTree(p.pid) > a.runners.opts.MemoryLimit {
				a.kill(p, distro.FailureMemory)
			}
		case <-a.timer.C:
			a.kill(p, distro.FailureTimeout)
		}
	}
}

// limit lets what runs now last for timeout.
func (a *Attempt) limit(timeout time.Duration) {
	a.timeout = timeout
	a.timer.Stop()
	if timeout > 0 {
		a.timer.Reset(timeout + a.runners.opts.KillGrace)
	}
}

// called gives a callback its own time, unless the process is to end anyway.
func (a *Attempt) called(f frame) {
	var h callbackHeader
	if err := json.Unmarshal(f.header, &h); err != nil || a.kind != "" {
		return
	}
	if h.Timeout == nil {
		a.limit(distro.Forever)
	} else {
		a.limit(fromSeconds(*h.Timeout))
	}
}

// fromSeconds is for what Python sent: a number of any size.
func fromSeconds(seconds float64) time.Duration {
	const longest = 100 * 365 * 24 * time.Hour
	return time.Duration(min(max(seconds, 0), longest.Seconds()) * float64(time.Second))
}

func (a *Attempt) obey(p *runner, order stopOrder) {
	if order.grace <= 0 {
		a.kill(p, order.kind)
		return
	}
	if a.kind == "" {
		a.kind = order.kind
		p.signal(syscall.SIGTERM)
		a.timer.Reset(order.grace)
	}
}

// kill ends the process. The first reason counts.
func (a *Attempt) kill(p *runner, kind distro.FailureKind) {
	if a.kind == "" {
		a.kind = kind
	}
	p.signal(syscall.SIGKILL)
}

// exitWithin is how long a process that has answered, or has closed its
// channel, may take to end by itself.
const exitWithin = time.Second

// exitOf kills the process if it does not end soon, and returns its end.
func (a *Attempt) exitOf(p *runner) <-chan struct{} {
	timer := time.NewTimer(exitWithin)
	defer timer.Stop()
	for {
		select {
		case <-p.exited:
			return p.exited
		case order := <-a.stops:
			a.obey(p, order)
		case <-timer.C:
			p.signal(syscall.SIGKILL)
			timer.Reset(exitWithin)
		}
	}
}

// take turns the answer of the process into the result. It reports whether
// the process serves on.
func (a *Attempt) take(p *runner, f *frame) (serves bool) {
	defer func() { a.result.EndedAt = time.Now().UTC() }()
	if f == nil {
		a.fail(a.died(p))
		return false
	}
	var h resultHeader
	if err := json.Unmarshal(f.header, &h); err != nil || f.kind != kindResult {
		a.kill(p, distro.FailureExit)
		a.fail(&distro.Failure{Kind: distro.FailureExit, Message: "the job's process sent something that is no result"})
		return false
	}
	a.runners.source.learned(h.Sources)
	a.kept = h.Artifacts
	a.result.PeakMemory = h.MaxRSS
	a.result.CPUTime = time.Duration(h.CPU) * time.Microsecond
	serves = a.runners.Isolation() == Pool && h.Retire == "" && a.kind == ""
	if h.OK {
		a.result.Outcome = distro.OutcomeFinished
		a.result.View = distro.View{Text: h.View, JSON: h.JSON, Truncated: h.Truncated}
		a.result.Pickle = f.body // where the value cannot be encoded: what RQ's readers get in its place
		return serves
	}
	kind := distro.FailureKind(h.Kind)
	if a.kind != "" && a.kind != distro.FailureTimeout {
		kind = a.kind
	}
	if h.Again != nil && a.kind == "" {
		a.result.Again = &distro.Again{Delay: fromSeconds(h.Again.Delay), Front: h.Again.Front}
	}
	a.fail(&distro.Failure{Kind: kind, Type: h.Type, Message: h.Message, Traceback: h.Traceback, ExitCode: h.ExitCode})
	return serves
}

func (a *Attempt) fail(f *distro.Failure) {
	a.result.Failure = f
	switch f.Kind {
	case distro.FailureStopped:
		a.result.Outcome = distro.OutcomeStopped
	case distro.FailureLost:
		a.result.Outcome = distro.OutcomeLost
	default:
		a.result.Outcome = distro.OutcomeFailed
	}
	a.result.EndedAt = time.Now().UTC()
}

// died says why a process ended without an answer.
func (a *Attempt) died(p *runner) *distro.Failure {
	a.result.PeakMemory, a.result.CPUTime = p.exit.maxRSS, p.exit.cpu
	f := &distro.Failure{Kind: a.kind, ExitCode: p.exit.code, Signal: p.exit.signal}
	switch {
	case a.kind == distro.FailureStopped:
		f.Message = "stopped"
	case a.kind == distro.FailureLost:
		f.Message = "the worker shut down before the job ended"
	case a.kind == distro.FailureMemory:
		f.Message = fmt.Sprintf("used more than the memory limit of %d MB", a.runners.opts.MemoryLimit>>20)
	case a.kind == distro.FailureTimeout:
		f.Message = fmt.Sprintf("did not end %s after its timeout of %s", a.runners.opts.KillGrace, a.timeout)
	case p.exit.unknown:
		f.Kind, f.Message = distro.FailureLost, "the job's process was lost together with its parent"
	case p.exit.signal != 0:
		f.Kind = distro.FailureSignal
		f.Message = fmt.Sprintf("signal %d (%s) ended the job's process", p.exit.signal, syscall.Signal(p.exit.signal))
	default:
		f.Kind = distro.FailureExit
		f.Message = fmt.Sprintf("the job's process ended with exit code %d before the function returned", p.exit.code)
	}
	return f
}

// outlive waits until the process is gone.
func (a *Attempt) outlive(p *runner) { <-a.exitOf(p) }

// release passes the last output on and takes the process off the output.
func (a *Attempt) release(p *runner) {
	p.drain()
	p.stdout.direct(nil)
	p.stderr.direct(nil)
}
