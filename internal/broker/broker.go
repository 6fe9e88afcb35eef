// Package broker is the contract between Distro and whatever keeps its
// pending and running jobs: the embedded database now, Redis in RQ's layout
// and remote orchestrators later.
//
// Every sentence about a method is a promise that brokertest checks with one
// subtest for every implementation. "Atomic" means: after a crash at any
// moment either all of it happened or none. "Durable" means: what was answered
// survives the death of this process, and of the machine as far as the
// implementation's storage does.
package broker

import (
	"context"
	"errors"
	"time"

	"github.com/distro-orchestrator/distro"
)

// Limits of one call.
const (
	MaxExchange = 32  // settlements, and claims, in one Exchange
	MaxPage     = 500 // jobs in one List, changes in one Changes
	MaxEnqueue  = 500 // jobs in one Enqueue
)

// Errors of every implementation, tested with errors.Is.
var (
	// ErrNotFound: no job of that ID.
	ErrNotFound = errors.New("no such job")
	// ErrConflict: the job is not in a status that allows this, or another
	// job has this ID.
	ErrConflict = errors.New("the job's status does not allow this")
	// ErrCursorLost: the feed was trimmed beyond the cursor. The reader
	// starts anew from the oldest entry, after it looked at the jobs.
	ErrCursorLost = errors.New("the change feed no longer reaches back to this cursor")
	// ErrFull: there is no room left to store it. Nothing was stored.
	ErrFull = errors.New("no space left to store jobs")
	// ErrUnavailable: the store of the queue cannot be reached, or does not
	// answer in time. Whether a change happened is not known.
	ErrUnavailable = errors.New("the queue cannot be reached")
	// ErrNameTaken: another worker of this name is alive.
	ErrNameTaken = errors.New("a worker of this name is alive")
	// ErrClosed: the broker was closed.
	ErrClosed = errors.New("broker closed")
)

// Broker keeps jobs from enqueue to expiry. All methods are safe for
// concurrent use, and return soon after ctx ends; an ended ctx does not say
// whether the change happened.
type Broker interface {
	// Enqueue stores new jobs: to the back of Job.Queue, or as scheduled when
	// Job.DueAt lies ahead. It reads the fields that describe the call and its
	// policy; Status, Asked, Attempt, Result and the times but DueAt are its
	// own to set. All jobs of a call are stored in one atomic, durable step, and in
	// their order. A job whose ID exists is not stored: its result is
	// EnqueueRepeated when the fingerprints are equal and not empty, else
	// EnqueueConflict; the others are stored all the same. Of two jobs with
	// one ID in a call the first counts.
	Enqueue(ctx context.Context, jobs []distro.Job) ([]EnqueueResult, error)

	// Exchange is a worker's whole conversation: it beats, reports what began
	// and ended, gives claims back, and takes new ones, in that order and in
	// one atomic, durable step. See ExchangeRequest and ExchangeReply. It may
	// be repeated after a lost reply: what was settled answers
	// SettleAlready, and claims the worker does not know of are found by
	// Reconcile. A name belongs to one process: while another one beats under
	// it, ErrNameTaken.
	Exchange(ctx context.Context, req ExchangeRequest) (ExchangeReply, error)

	// Wait returns nil when what Interest names may have come about, and at
	// the latest when ctx ends, then with ctx's error. It may return early for
	// nothing, and never misses a change made after the last call that would
	// have seen it: whoever finds nothing and waits is woken.
	Wait(ctx context.Context, in Interest) error

	// Act applies one action to each job, each atomic and durable by itself
	// and none affecting another. The results stand in the order of ids; an
	// ID given twice is acted on twice.
	Act(ctx context.Context, action Action, ids []string) ([]error, error)

	// Get returns the jobs of ids that exist, in that order, whole: with
	// Payload, Result, and of the MaxEarlier attempts before that of Result
	// those that have ended here in Earlier. So a reader of the feed that comes
	// late finds of an attempt more than that it was.
	Get(ctx context.Context, ids []string) ([]distro.Job, error)

	// List returns a page of jobs without their Payload.Data and Result,
	// newest first by creation. Pages joined by their cursors hold every job
	// that matched throughout exactly once. A broker whose store keeps no
	// order of creation may list a large selection status by status and queue
	// by queue instead, each newest first.
	List(ctx context.Context, q ListQuery) (Page, error)

	// Places returns what stands in one of the lists of a queue, by place:
	// queued jobs from the front of the queue on, scheduled ones by due time,
	// those of another status in one order, which only they themselves change;
	// or from the end of the list on. A page has exactly PlaceQuery.Limit
	// entries where the list has as many behind PlaceQuery.Offset: an entry
	// whose record is gone keeps its place. Claimed jobs are in no list until
	// they begin, and stopped ones stand among the failed. It reads no more than
	// it shows, and at most the way to it from the nearer end.
	Places(ctx context.Context, q PlaceQuery) (Places, error)

	// Compact takes entries whose record is gone out of the list of a queue that
	// has jobs of a status, any that Places lists but distro.StatusStarted: it
	// looks at a bounded part, at most limit, of what stood there when the walk
	// began; an empty cursor begins one, and the walk is over when the returned
	// cursor is empty. Deep inside a long waiting list, where taking something
	// out would stop others, it leaves them: claiming passes them over. All other
	// entries keep their order.
	Compact(ctx context.Context, queue string, status distro.Status, cursor string, limit int) (dropped int, next string, err error)

	// Counts returns every queue that holds a job or is paused, by name, and
	// whether all workers are suspended.
	Counts(ctx context.Context) (Counts, error)

	// SetPaused pauses a queue or lets it go on; with queue "" it suspends all
	// workers or lets them go on. Nothing is claimed from a paused queue;
	// everything else goes on. Setting what is set changes nothing.
	SetPaused(ctx context.Context, queue string, paused bool) error

	// Empty deletes a bounded part, at most limit, of the jobs that stood in
	// the waiting list of queue when the walk began; an empty cursor begins
	// one, and the walk is over when the returned cursor is empty. Jobs that
	// are claimed, started, scheduled or deferred, and those enqueued after
	// the walk began, stay. Each step is atomic and durable.
	Empty(ctx context.Context, queue, cursor string, limit int) (deleted int, next string, err error)

	// Sweep does a bounded part, at most limit jobs, of what time asks for:
	// scheduled jobs whose time has come go to the back of their queue, never
	// early and each once however many sweep; claims of lost workers end as
	// Rescue says; jobs whose TTL, result or failure time has passed are
	// deleted, old feed entries too. A worker is lost when its beat counter
	// was the same in all readings of this broker value over LostAfter of its
	// monotonic clock; a reading that fails, or comes more than half of
	// LostAfter behind the one before, starts that time anew, and steps of the
	// wall clock change nothing.
	//
	// Rescue: a begun claim ends its attempt as distro.OutcomeLost, or as
	// distro.OutcomeStopped where a stop was asked for, and the job's retries
	// decide as in a settlement. A claim never begun goes to the
	// front of its queue and costs no attempt.
	Sweep(ctx context.Context, limit int) (Swept, error)

	// Workers returns the workers that beat lately, by name; those of other
	// software on the same queues too.
	Workers(ctx context.Context) ([]distro.Worker, error)

	// Changes returns entries of the feed behind cursor, oldest first, at most
	// limit; an empty cursor begins at the oldest kept. Every change of a
	// job's status is an entry, in an order in which each job's own changes
	// stand as they happened, written in the same atomic step as the change.
	// A cursor that was trimmed away answers ErrCursorLost.
	Changes(ctx context.Context, cursor string, limit int) ([]distro.Change, error)

	// FeedEnd returns the cursor of the newest entry of the feed, empty where
	// there is none: what changes from now on stands behind it.
	FeedEnd(ctx context.Context) (string, error)
}

// LostAfter is how long a worker's counter must stand still until its claims
// are rescued; workers beat every BeatEvery.
const (
	BeatEvery = 2 * time.Second
	LostAfter = 10 * time.Second
)

// EnqueueResult says what became of one job of an Enqueue.
type EnqueueResult int

// The results of an Enqueue.
const (
	Enqueued EnqueueResult = iota
	EnqueueRepeated
	EnqueueConflict
)

// Claim names a job a worker holds. Token is random, made by the worker when
// it asked, and the proof in everything it says about the job later.
type Claim struct {
	JobID string
	Token string
}

// ExchangeRequest is what a worker says. All parts may be empty.
type ExchangeRequest struct {
	Worker distro.Worker // registered at the first call, SeenAt and counts kept up by each
	Beat   uint64        // counter, larger in each call than in the one before
	Leave  bool          // the worker ends: it is forgotten; what it still holds is rescued at once

	Settle []Settlement // at most MaxExchange
	Begin  []Claim      // claims taken earlier that start to run now
	Return []Claim      // claims that have not run, begun or not: back to the front of their queue in their old order, no attempt spent

	// Reconcile compares the broker's claims of this worker with Held, after
	// Settle and Return were applied: those not in Held never reached the
	// worker and are returned; those in Held that are not the worker's any
	// more are answered in Lost.
	Reconcile bool
	Held      []Claim

	Want Want
}

// Want asks for claims, strictly in the order of Queues, and first in first
// out within a queue.
type Want struct {
	Queues []string
	Tokens []string // one per claim wanted, at most MaxExchange
	Begun  int      // so many of them, the first ones, begin in this step; the others are prefetched
}

// Settlement ends the attempt of a claim. With Result.Again the job is queued
// or scheduled after that delay, and Asked is one more. With an outcome that
// Retries and RetriesLeft > 0 it is queued at the back or scheduled after
// Job.RetryDelay, and RetriesLeft is one less. In both cases Result, without
// Again, stays readable. Else the job ends with the outcome's status and is
// kept as its TTLs say.
type Settlement struct {
	Claim
	Result distro.Result
}

// SettleStatus answers a Settlement.
type SettleStatus int

// The answers to a Settlement.
const (
	SettleDone    SettleStatus = iota // recorded now
	SettleAlready                     // recorded before: same token, same outcome
	SettleLost                        // the claim is not the worker's any more; nothing was recorded
	SettleGone                        // the job was deleted; nothing was recorded
)

// Claimed is a job handed to a worker. A prefetched one keeps StatusQueued
// until it is begun; a begun one has StatusStarted and the Attempt it spends.
type Claimed struct {
	Job   distro.Job // with Payload, without Result
	Token string
	Begun bool
}

// ExchangeReply is what the worker is told.
type ExchangeReply struct {
	Settled []SettleStatus // in the order of Settle
	Begun   []int          // attempt ordinals in the order of Begin; 0: lost, it must not run
	Claims  []Claimed      // new ones, in the order of Want.Tokens, at most as many
	Stop    []Claim        // begun claims of this worker that somebody wants stopped, until settled
	Lost    []Claim        // see Reconcile

	// Told once, and lost with a lost reply, as in RQ.
	Kill  []Kill // begun claims whose processes are to be killed at once
	Drain bool   // somebody wants the worker to end after its running jobs
}

// Kill asks for the end of an attempt without any grace.
type Kill struct {
	Claim
	Stopped bool // the attempt was stopped; else it failed by signal 9, and its retries count
}

// Interest names what Wait waits for: any of it.
type Interest struct {
	Queues []string // a job may be claimable from one of these
	Worker string   // a stop for a job of this worker, or what Kill and Drain tell, is new
	Due    bool     // the earliest due time may have become earlier
	Feed   bool     // the change feed may hold an entry behind Cursor
	Cursor string
}

// Action is what Act does to a job.
type Action string

// The actions. A job in another status answers ErrConflict, a missing one
// ErrNotFound.
const (
	// ActionCancel: queued (prefetched ones too), scheduled and deferred jobs
	// become canceled.
	ActionCancel Action = "cancel"
	// ActionRequeue: failed, stopped and canceled jobs go to the back of their
	// queue; retries that are spent stay spent.
	ActionRequeue Action = "requeue"
	// ActionDelete: every job that is not started is deleted with its result.
	ActionDelete Action = "delete"
	// ActionRunFirst: queued and scheduled jobs go to the front of their queue.
	ActionRunFirst Action = "run-first"
	// ActionStop: started jobs are asked to stop; their worker hears of it in
	// ExchangeReply.Stop. Asking twice is asking once.
	ActionStop Action = "stop"
)

// ListQuery selects jobs. Zero fields select everything.
type ListQuery struct {
	Queue    string
	Status   distro.Status
	Function string // exact
	Cursor   string
	Limit    int // 1 to MaxPage; 0: 50
}

// Page is a part of a list; Next is empty at the end.
type Page struct {
	Jobs []distro.Job
	Next string
}

// PlaceQuery names a part of a list.
type PlaceQuery struct {
	Queue    string
	Status   distro.Status // any but distro.StatusStopped
	Backward bool          // count and show from the end of the list
	Offset   int           // entries before the part
	Limit    int           // 1 to MaxPage; 0: 50
}

// Places is a part of a list.
type Places struct {
	Places []Place
	Total  int // entries of the whole list
}

// Place is an entry of a list.
type Place struct {
	// Job has its Description, and lacks Payload.Data. Of the Result of its last
	// attempt it has Outcome and Failure, with a Traceback of at most
	// MaxTraceback bytes; a job that finished may lack it. Of an entry that is
	// Gone only ID and Queue are known.
	Job  distro.Job
	Gone bool // the list names a job whose record is gone
}

// MaxEarlier is how many results are kept beside the last one of a job.
const MaxEarlier = 4

// MaxTraceback bounds a traceback in Places. What is longer lacks its middle,
// or its end.
const MaxTraceback = 16 << 10

// Counts is the state of all queues.
type Counts struct {
	Queues    []distro.QueueInfo
	Suspended bool
	// Idle names queues that hold nothing, as far as the store remembers them.
	Idle []string
}

// Swept says what a Sweep did.
type Swept struct {
	Due     int       // scheduled jobs queued
	Rescued int       // claims of lost workers
	Expired int       // jobs deleted
	More    bool      // the limit was reached: sweep again at once
	NextDue time.Time // earliest due time of what is scheduled; zero: nothing is
}

// Clock tells a broker the time. Both readings may be injected by tests.
type Clock interface {
	// Now is the wall clock, for what is stored and shown and for due times.
	Now() time.Time
	// Monotonic is the time since some fixed moment, never stepped.
	Monotonic() time.Duration
}

// SystemClock returns the clock of the machine.
func SystemClock() Clock { return systemClock{time.Now()} }

type systemClock struct{ start time.Time }

func (systemClock) Now() time.Time             { return time.Now().UTC() }
func (c systemClock) Monotonic() time.Duration { return time.Since(c.start) }
