package redisbroker

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// sameMoment is how far two times of one moment may lie apart that two
// processes of RQ, or RQ and Redis, have written.
const sameMoment = 2 * time.Second

// stockJob is what Redis holds of a job that a worker of RQ's own may have run,
// as it was at one moment.
type stockJob struct {
	id      string
	fields  map[string]string     // its hash; empty: there is none
	execs   []string              // RQ 2's executions that run
	entries []rueidis.XRangeEntry // the newest of rq:results, the newest first
}

// followed is an attempt that was seen running, or a job where something is
// likely to happen soon.
type followed struct {
	queue   string
	run     string // empty: none was seen running
	started string // started_at as RQ wrote it; empty: not known
	at      time.Time
	worker  string
	retries int  // that were left, -1: not known
	deleted bool // what finishes is deleted at once, and nothing else is

	state   string        // of the hash when it was looked at
	read    bool          // its entries were
	entry   string        // the newest of them; empty: there was none
	settled time.Duration // monotonic: it is looked at until then, where nothing runs
}

// attempt is one attempt with the evidence for it.
type attempt struct {
	broker.StockRun
	entry int // index of the entry that tells of its end; -1: none
}

// stockRuns is what a job tells of attempts on workers of RQ's own, in the order
// of broker.StockLook; was is what was seen of it before, and busy says that a worker still
// names it. It returns what is to be followed; nil: nothing.
//
// Every attempt that RQ left a trace of is in it, each once, except those that
// Distro's own workers made: their entries hold the token of their claim, and
// their last result is wireResult.isOf's.
func (c *codec) stockRuns(j stockJob, was *followed, busy bool) ([]broker.StockRun, *followed) {
	job := c.stockRecord(j)
	if job.Queue == "" && was != nil {
		job.Queue = was.queue
	}
	last := c.lastAttempt(&job, j)
	var runs []broker.StockRun
	var now *followed
	if last != nil {
		now = was.recognize(last, &job, j)
		runs = append(runs, last.StockRun)
	}
	entries := c.entryRuns(&job, j, last, was)
	told := func(run broker.StockRun) bool { return run.Execution.Run == was.run }
	switch {
	case was == nil || was.run == "" || slices.ContainsFunc(runs, told) || slices.ContainsFunc(entries, told):
	case busy && (j.isGone() || job.Status == distro.StatusCanceled):
		now = was // RQ's worker does not notice that before the end
	case was.spentRetry(last, &job) && !j.isGone():
		runs = append(runs, unseenEnd(&job, j, was)) // it was tried again: no entry is its
	default:
		entries = append(entries, unseenEnd(&job, j, was))
	}
	return append(runs, entries...), now
}

// entryRuns are the attempts that entries tell of, the oldest first, but for the
// last one.
func (c *codec) entryRuns(job *distro.Job, j stockJob, last *attempt, was *followed) []broker.StockRun {
	var runs []broker.StockRun
	for i, entry := range j.entries {
		if was != nil && was.read && entry.ID == was.entry {
			break // it and those before were read
		}
		if last != nil && last.entry == i {
			continue
		}
		if run, ok := c.entryRun(job, entry); ok {
			run.New = was != nil && was.read
			runs = append(runs, run)
		}
	}
	slices.Reverse(runs)
	return runs
}

// recognize names the last attempt as it was seen running, if it was, and returns
// what is to be followed.
func (f *followed) recognize(last *attempt, job *distro.Job, j stockJob) *followed {
	if f.saw(last, job, j) {
		last.Execution.Run = f.run
	}
	if last.Execution.State == distro.ExecutionStarted {
		return following(last, job, j)
	}
	last.Near = f == nil || !f.read // else it is known which one it is
	return nil
}

// isGone reports whether the job was deleted. A worker may have left some
// fields of it.
func (j stockJob) isGone() bool { return j.fields["data"] == "" }

// stockRecord is the job without its result; without its payload where that
// was not read as a whole.
func (c *codec) stockRecord(j stockJob) distro.Job {
	if _, short := j.fields["distro_cut_data"]; short {
		return c.decodeListed(j.id, j.fields)
	}
	return c.decodeJob(j.id, j.fields)
}

func following(last *attempt, job *distro.Job, j stockJob) *followed {
	return &followed{
		queue: job.Queue, run: last.Execution.Run, started: j.fields["started_at"], at: job.StartedAt, worker: job.Worker,
		retries: job.RetriesLeft, deleted: job.ResultTTL == 0 && job.FailureTTL != 0,
	}
}

// saw reports whether the last attempt of a job is the one that was seen
// running. RQ writes the start into the hash when the job begins, and another
// time when it has ended: that of its parent process, where that has killed the
// job's, else that of a moment later. That it was not another attempt is told by
// the retries that are left, and by the entries.
func (f *followed) saw(last *attempt, job *distro.Job, j stockJob) bool {
	switch e := &last.Execution; {
	case f == nil || f.run == "":
		return false
	case e.Run == f.run || f.started != "" && job.StartedAt.Equal(f.at):
		return true
	case isExecution(e.Run) && isExecution(f.run), e.State == distro.ExecutionStarted, job.StartedAt.Sub(f.at).Abs() > sameMoment:
		return false
	case f.hasEntry(last, j):
		return false
	case f.retries < 0:
		return true
	case e.State == distro.ExecutionRetried:
		return job.RetriesLeft == f.retries-1
	}
	return job.RetriesLeft == f.retries
}

// spentRetry reports whether more retries were spent than the last attempt, which
// is another one, has spent itself.
func (f *followed) spentRetry(last *attempt, job *distro.Job) bool {
	spent := f.retries - job.RetriesLeft
	if last != nil && last.Execution.State == distro.ExecutionRetried {
		spent--
	}
	return spent > 0
}

// hasEntry reports whether an entry tells that it ended before the last attempt
// began.
func (f *followed) hasEntry(last *attempt, j stockJob) bool {
	for i, entry := range j.entries {
		at, run := entryTime(entry.ID), entry.FieldValues["execution_id"]
		switch {
		case i == last.entry || entry.FieldValues[entryToken] != "":
		case run == f.run, run == "" && !at.Before(f.at) && at.Before(last.Execution.StartedAt):
			return true
		}
	}
	return false
}

// isExecution reports whether a Run is an ID of RQ 2.
func isExecution(run string) bool { return len(run) == 32 && executionPattern.MatchString(":"+run) }

// lastAttempt is the attempt that the hash of a job tells of; nil where there
// was none, or one of Distro's.
func (c *codec) lastAttempt(job *distro.Job, j stockJob) *attempt {
	if job.StartedAt.IsZero() {
		return nil
	}
	a := newAttempt(job, j)
	if job.Status == distro.StatusStarted {
		if isClaimed(j.fields) {
			return nil
		}
		a.Execution.State = distro.ExecutionStarted
		if n := len(j.execs); n > 0 {
			a.Execution.Run = strings.ToValidUTF8(j.execs[n-1], "\uFFFD")
		}
		return a
	}
	w, token, own := ownResult(job, j.fields)
	if own && token != "" {
		return nil
	}
	if own { // a stock worker died, and Distro has put that right
		r := c.own(w, token, stored{fields: j.fields})
		a.Execution.State, a.Execution.Worker, a.Execution.Failure = distro.ExecutionState(r.Outcome), r.Worker, r.Failure
		if len(j.entries) > 0 && near(entryTime(j.entries[0].ID), a.Execution.EndedAt) {
			a.entry = 0
		}
		return a
	}
	if len(j.entries) > 0 && c.belongs(&a.Execution, job, j) {
		a.entry = 0
		c.readEnd(a, job, j.entries[0])
		return a
	}
	if job.Status == distro.StatusCanceled && a.Execution.EndedAt.IsZero() {
		return nil // it runs on, and RQ's worker will say how it ended
	}
	c.guessEnd(a, job, j.fields)
	return a
}

// newAttempt is the last attempt with the times that are its own: RQ leaves
// others in the hash.
func newAttempt(job *distro.Job, j stockJob) *attempt {
	a := &attempt{entry: -1, StockRun: broker.StockRun{Job: *job, Last: job.Status.Ended(), Execution: distro.Execution{
		JobID: job.ID, Run: j.fields["started_at"], Queue: job.Queue, StartedAt: job.StartedAt, Worker: job.Worker, Stock: true,
	}}}
	if !job.EnqueuedAt.After(job.StartedAt) {
		a.Execution.EnqueuedAt = job.EnqueuedAt
	}
	if !job.EndedAt.Before(job.StartedAt) && job.Status != distro.StatusStarted {
		a.Execution.EndedAt = job.EndedAt
	}
	return a
}

// isClaimed reports whether a started job runs on a worker of Distro's. One
// that a stock worker took over meanwhile may still have an old claim.
func isClaimed(fields map[string]string) bool {
	_, process, ok := strings.Cut(fields[fieldClaim], " ")
	worker := fields["worker_name"]
	return ok && (worker == process || strings.HasPrefix(worker, process+"."))
}

// ownResult is the result that Distro wrote of the last attempt of a job, if it
// did, with the token of its claim; that is empty where a stock worker had made
// the attempt. A killed attempt on a stock worker leaves the end of the one
// before in the hash, so it has begun later than it ended.
func ownResult(job *distro.Job, fields map[string]string) (w wireResult, token string, own bool) {
	if fields[fieldResult] == "" || json.Unmarshal([]byte(fields[fieldResult]), &w) != nil || w.Outcome == "" {
		return w, "", false
	}
	// Given back by Distro: the hash tells of the attempt before again.
	back := w.StartedAt != "" && w.StartedAt == fields["started_at"]
	if !back && (!w.isOf(job, fields) || job.StartedAt.After(job.EndedAt)) {
		return w, "", false
	}
	token, _, _ = strings.Cut(fields[fieldSettled], " ")
	return w, token, true
}

// belongs reports whether the newest entry tells of the last attempt, as far as
// the hash knows of it. Entries have the time of Redis unless RQ wrote more.
func (c *codec) belongs(e *distro.Execution, job *distro.Job, j stockJob) bool {
	fields := j.entries[0].FieldValues
	if fields[entryToken] != "" {
		return false
	}
	at := entryTime(j.entries[0].ID)
	if ended := parseUnix(fields["execution_ended_at"]); !ended.IsZero() {
		at = ended
	}
	at = at.Add(time.Millisecond) // it has no more digits
	switch job.Status {
	case distro.StatusFinished:
		return true // or RQ would have deleted the job
	case distro.StatusFailed, distro.StatusStopped:
		if c.inflateText(j.fields["exc_info"]) == "" { // it was not abandoned
			at = at.Add(sameMoment)
		}
		return fields["type"] != rqSuccessful && !at.Before(e.StartedAt)
	}
	// It may have been tried again without any trace: then the entry is that
	// of an earlier attempt, which ended before this one began.
	if !at.Before(e.StartedAt) {
		return true
	}
	_, retries := j.fields["retries_left"]
	return !retries && near(at, e.EndedAt)
}

// near reports whether two times that are known are those of one moment.
func near(a, b time.Time) bool {
	return !a.IsZero() && !b.IsZero() && a.Sub(b).Abs() <= sameMoment
}

// readEnd completes the last attempt by its entry.
func (c *codec) readEnd(a *attempt, job *distro.Job, entry rueidis.XRangeEntry) {
	run, ok := c.entryRun(job, entry)
	if !ok {
		c.guessEnd(a, job, nil)
		return
	}
	e, told := &a.Execution, &run.Execution
	e.State, e.Result, e.Failure = told.State, told.Result, told.Failure
	if !strings.HasPrefix(told.Run, broker.StockEntry) {
		e.Run = told.Run
	}
	if e.EndedAt.IsZero() {
		e.EndedAt = told.EndedAt
	}
	if told.Worker != "" {
		e.Worker = told.Worker
	}
	if job.Status == distro.StatusStopped {
		e.State = distro.ExecutionStopped
		if e.Failure != nil {
			e.Failure.Kind = distro.FailureStopped
		}
	}
}

// guessEnd says how the last attempt ended where no entry does.
func (c *codec) guessEnd(a *attempt, job *distro.Job, fields map[string]string) {
	e := &a.Execution
	switch job.Status {
	case distro.StatusFinished:
		e.State = distro.ExecutionFinished
	case distro.StatusFailed, distro.StatusStopped:
		e.State = distro.ExecutionState(job.Status)
		e.Failure = readFailure(c.inflateText(fields["exc_info"]))
		if e.Failure.Kind == distro.FailureLost {
			e.State = distro.ExecutionLost
		}
		if job.Status == distro.StatusStopped {
			e.Failure.Kind = distro.FailureStopped
		}
	default:
		e.State = distro.ExecutionRetried
	}
}

// entryRun is the attempt that an entry tells of; false for one of Distro's.
func (c *codec) entryRun(job *distro.Job, entry rueidis.XRangeEntry) (broker.StockRun, bool) {
	f := entry.FieldValues
	if f[entryToken] != "" {
		return broker.StockRun{}, false
	}
	value, hasValue := f["return_value"]
	outcome, view, failure, ok := readOutcome(f["type"], c.decodeExcString(f["exc_string"]), decodeBase64(value), hasValue)
	if !ok {
		return broker.StockRun{}, false
	}
	if _, short := f["distro_cut_return_value"]; short {
		view = distro.View{Truncated: true}
	}
	e := distro.Execution{
		JobID: job.ID, Queue: job.Queue, State: distro.ExecutionState(outcome), Stock: true,
		Run:       strings.ToValidUTF8(f["execution_id"], "\uFFFD"),
		StartedAt: parseUnix(f["execution_started_at"]), EndedAt: parseUnix(f["execution_ended_at"]),
		Worker: strings.ToValidUTF8(f["worker_name"], "\uFFFD"), Result: view, Failure: failure,
	}
	if e.EndedAt.IsZero() {
		e.EndedAt = entryTime(entry.ID)
	}
	if e.Run == "" {
		e.Run = broker.StockEntry + entry.ID
	}
	return broker.StockRun{Execution: e, Job: *job}, true
}

// unseenEnd ends an attempt that was seen running and that the hash tells of no
// more. It is what is left to say where no entry tells of it either.
func unseenEnd(job *distro.Job, j stockJob, was *followed) broker.StockRun {
	run := broker.StockRun{Job: *job, Execution: distro.Execution{
		JobID: j.id, Run: was.run, Queue: was.queue, State: distro.ExecutionRetried,
		StartedAt: was.at, Worker: was.worker, Stock: true,
	}}
	switch {
	case j.isGone() && was.deleted:
		run.Execution.State, run.Last = distro.ExecutionFinished, true
	case j.isGone(), job.Status == distro.StatusCanceled:
		run.Execution.State, run.Last = distro.ExecutionLost, true
		run.Execution.Failure = &distro.Failure{Kind: distro.FailureLost, Message: "its end was not seen"}
	}
	return run
}
