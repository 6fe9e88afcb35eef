// Package service is the policy of Distro: which calls may be enqueued and
// what becomes of them, and what an operator can do to jobs, queues and
// workers. The HTTP API and the dashboard ask it the same questions and get
// the same answers; what it refuses is a *distro.Error that names the field.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Limits of one request.
const (
	MaxDelay   = 3650 * 24 * time.Hour // from the request to the due time
	MaxTimeout = MaxDelay              // of one attempt
	MaxRetries = 100
	MaxDepth   = 64     // levels of lists and objects in an argument
	MaxKwargs  = 10_000 // keyword arguments of a call
	MaxBatch   = broker.MaxEnqueue
	MaxWait    = time.Minute // of one Wait
)

// Options are what a Service works with. Broker is required. Without the three
// behind it the service watches a queue of others: what needs them is refused.
type Options struct {
	Broker  broker.Broker
	Catalog Catalog
	Output  Output
	Queues  []string // names accepted, highest priority first

	Commands  Commands         // to single workers; nil: those of this queue hear none
	Artifacts Artifacts        // files that jobs left; nil: there are none
	Uploads   Uploads          // files that people give to jobs; nil: none are taken
	History   History          // what ran; nil: nothing is remembered, and operations end with the process
	Behind    func() time.Time // since when history lacks what happens; nil: it never does
	Commit    func() string    // what is checked out in modules_path, empty: nothing; nil: not known
	Zone      *time.Location   // of days and times in searches; default UTC

	Arrivals      Arrivals         // nil: all output is in Output as soon as it is printed
	Retries       int              // of jobs whose request names none
	RetryInterval time.Duration    // pause before each retry; 0: at once
	JobTimeout    time.Duration    // of jobs whose request names none; default 30 minutes
	ResultTTL     time.Duration    // how long a finished job's record is kept; 0: not at all
	FailureTTL    time.Duration    // the same for failed and stopped jobs; default a year, as RQ
	DisableDelete bool             // no job is deleted at anybody's request
	MaxArguments  int              // bytes of the arguments of one job; default 32 MiB
	MaxUpload     int64            // bytes of the files of one request; 0: none are taken
	Now           func() time.Time // default time.Now
	Logger        *slog.Logger     // hears what operators do; default: none
}

func (o Options) withDefaults() Options {
	if o.JobTimeout == 0 {
		o.JobTimeout = 30 * time.Minute
	}
	if o.FailureTTL == 0 {
		o.FailureTTL = 365 * 24 * time.Hour
	}
	if o.MaxArguments == 0 {
		o.MaxArguments = 32 << 20
	}
	if o.Behind == nil {
		o.Behind = func() time.Time { return time.Time{} }
	}
	if o.Commit == nil {
		o.Commit = func() string { return "" }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Catalog == nil {
		o.Catalog = absentCatalog{}
	}
	if o.Output == nil {
		o.Output = absentOutput{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Queues = slices.Clone(o.Queues)
	return o
}

// Service answers requests about jobs, queues, workers and functions. It is
// safe for concurrent use. It runs a goroutine only while somebody is in Wait
// or FollowLog.
type Service struct {
	opts       Options
	operations Operations
	follower   *follower
	searching  chan struct{} // holds one for each search that runs
	begun      chan struct{} // there is a new operation
	glance     shared[Current]
	work       shared[[]Operation]
	offers     offers
}

// New returns a Service.
func New(opts Options) (*Service, error) {
	if opts.Broker == nil {
		return nil, errors.New("a service needs a broker")
	}
	if len(opts.Queues) == 0 && opts.Catalog != nil {
		return nil, errors.New("a service with automations needs at least one queue")
	}
	if opts.Retries < 0 || opts.Retries > MaxRetries {
		return nil, fmt.Errorf("%d retries: must be 0 to %d", opts.Retries, MaxRetries)
	}
	s := &Service{opts: opts.withDefaults(), follower: newFollower(opts.Broker), searching: make(chan struct{}, maxSearches), begun: make(chan struct{}, 1)}
	if s.operations = Operations(&held{}); opts.History != nil {
		s.operations = opts.History
	}
	return s, nil
}

// DeleteDisabled reports whether no job is deleted at anybody's request.
func (s *Service) DeleteDisabled() bool { return s.opts.DisableDelete }

func (s *Service) checkDelete() error {
	if s.opts.DisableDelete {
		return distro.Errorf(distro.CodeForbidden, "deleting jobs is disabled here")
	}
	return nil
}

// DefaultQueue is the queue of requests that name none: "default" where it is
// configured, else the one of the lowest priority.
func (s *Service) DefaultQueue() string {
	if len(s.opts.Queues) == 0 || slices.Contains(s.opts.Queues, "default") {
		return "default"
	}
	return s.opts.Queues[len(s.opts.Queues)-1]
}

// QueueNames are the names that requests may name, highest priority first.
func (s *Service) QueueNames() []string { return slices.Clone(s.opts.Queues) }

// fault gives an error of the broker the code it has for clients. Errors that
// have one keep it.
func fault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, broker.ErrFull):
		return &distro.Error{Code: distro.CodeFull, Message: "there is no room left to store jobs; free some disk space", Err: err}
	case errors.Is(err, broker.ErrUnavailable):
		return &distro.Error{Code: distro.CodeUnavailable, Message: "the queue cannot be reached (" + reason(err) + "); try again", Err: err}
	case errors.Is(err, broker.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &distro.Error{Code: distro.CodeUnavailable, Message: "the queue cannot be reached; try again", Err: err}
	}
	return err
}

// maxReason bounds what clients are told of a cause.
const maxReason = 200

// reason is why the queue cannot be reached, for people.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "it does not answer in time"
	}
	_, cause, found := strings.Cut(err.Error(), broker.ErrUnavailable.Error()+": ")
	if !found || cause == "" {
		return "no reason is known"
	}
	return strings.ToValidUTF8(cause[:min(len(cause), maxReason)], "")
}
