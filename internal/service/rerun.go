package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// RerunRequest says in what a new job differs from the one it is made after.
// Refusals name its fields in lower case.
type RerunRequest struct {
	Args   []byte // JSON list; nil: as before
	Kwargs []byte // JSON object; nil: as before
	Queue  string // empty: as before
	Typed  bool   // as Request.Typed, of all arguments

	ID     string // of the new job, makes the request repeatable; empty: random
	Caller string // who asks, as distro.Job has it
}

// Rerun makes a new job after an earlier one, whatever became of that. Where
// neither args nor kwargs are given, the call of a job that the queue still has
// is copied byte for byte, also one that nobody here can read; its limits go with
// it, and retries that are spent stay spent. With other arguments the call is
// held against the catalog as that of a new job is. Of a job that the queue has
// forgotten history knows the call, if its arguments are plain data, or values
// that its signature asks for, and were short enough to be kept whole; such a job
// gets the configured limits.
func (s *Service) Rerun(ctx context.Context, id string, r RerunRequest) (distro.Job, error) {
	if r.ID != "" && !distro.ValidID(r.ID) {
		return distro.Job{}, distro.Invalid("id", "must be 1 to %d letters, digits, - or _", distro.MaxIDLen)
	}
	before, err := s.Get(ctx, id)
	var again distro.Job
	switch {
	case err == nil:
		again, err = s.again(ctx, before, r)
	case distro.ErrorCode(err) == distro.CodeNotFound:
		again, err = s.againOfHistory(ctx, id, r, err)
	}
	if err != nil {
		return distro.Job{}, err
	}
	again.ID, again.Fingerprint = distro.NewID(), ""
	if r.ID != "" {
		again.ID, again.Fingerprint = r.ID, rerunFingerprint(id, again)
	}
	again.Trigger, again.Caller = distro.TriggerRerun, cutCaller(r.Caller)
	if err := s.enqueueJob(ctx, again); err != nil {
		return distro.Job{}, err
	}
	s.opts.Logger.InfoContext(ctx, "job operated", "action", "rerun", "job_id", id, "new_job_id", again.ID, "queue", again.Queue)
	return again, nil
}

// again is a new job after one of the queue.
func (s *Service) again(ctx context.Context, before distro.Job, r RerunRequest) (distro.Job, error) {
	again := distro.Job{
		Queue: before.Queue, Function: before.Function, Payload: before.Payload,
		Timeout: before.Timeout, TTL: before.TTL, ResultTTL: before.ResultTTL, FailureTTL: before.FailureTTL,
		RetriesLeft: before.RetriesLeft, RetryIntervals: slices.Clone(before.RetryIntervals),
		OnSuccess: before.OnSuccess, OnFailure: before.OnFailure, OnStopped: before.OnStopped,
	}
	var err error
	if r.Queue != "" {
		if again.Queue, err = s.queue(r.Queue); err != nil {
			return distro.Job{}, err
		}
	}
	if r.Args != nil || r.Kwargs != nil {
		again.Function, again.Payload, err = s.callAgain(ctx, before, r)
	}
	return again, err
}

// callAgain is the call of a job with other arguments.
func (s *Service) callAgain(ctx context.Context, before distro.Job, r RerunRequest) (string, distro.Payload, error) {
	args, kwargs, method := argumentsOf(before.Payload)
	if r.Typed && (args == nil || kwargs == nil) {
		args, kwargs = s.recalled(ctx, before)
	}
	if method {
		return "", distro.Payload{}, distro.Errorf(distro.CodeConflict,
			"job %.128q calls a method of an object, which is known to Python only: rerun it without other arguments", before.ID)
	}
	if r.Args != nil {
		args = r.Args
	}
	if r.Kwargs != nil {
		kwargs = r.Kwargs
	}
	for _, part := range []struct {
		name string
		text []byte
	}{{"args", args}, {"kwargs", kwargs}} {
		if part.text == nil {
			return "", distro.Payload{}, distro.Invalid(part.name,
				"those of the job are no plain data, or too long, and cannot be kept: give them too, or rerun it with nothing changed")
		}
	}
	t, a, err := s.call(ctx, Request{Function: before.Function, Args: args, Kwargs: kwargs})
	if err != nil {
		return "", distro.Payload{}, err
	}
	if before.Payload.Serializer == distro.SerializerJSON && r.Typed {
		return "", distro.Payload{}, distro.Invalid("typed", "the workers of job %.128q read JSON, which has no such values", before.ID)
	}
	if before.Payload.Serializer == distro.SerializerJSON { // as the workers of its queue expect it
		name, err := json.Marshal(t.name())
		if err != nil {
			return "", distro.Payload{}, fmt.Errorf("encode the call of %s: %w", t.name(), err)
		}
		data := fmt.Appendf(nil, `[%s, null, %s, %s]`, name, a.args, a.kwargs)
		return t.name(), distro.Payload{Serializer: distro.SerializerJSON, Data: data}, nil
	}
	data, err := encode(t, a, r.Typed)
	return t.name(), data, err
}

// recalled are the arguments of a job that has typed values, each nil where they
// are not known to the last one.
func (s *Service) recalled(ctx context.Context, before distro.Job) (args, kwargs []byte) {
	t, err := s.target(ctx, Request{Function: before.Function})
	if err != nil {
		return nil, nil // which is refused when the call is checked
	}
	known := newTyping(t).recall(before.Payload)
	if known.Partly {
		return nil, nil
	}
	return known.Args, known.Kwargs
}

// argumentsOf are the arguments of a payload as JSON, each nil where it is no
// plain data; method reports that an object is called beside them.
func argumentsOf(p distro.Payload) (args, kwargs []byte, method bool) {
	if len(p.Data) > maxShown {
		return nil, nil, false
	}
	if p.Serializer == distro.SerializerJSON {
		args, kwargs = showJSON(p.Data)
		return args, kwargs, args != nil && !slices.Contains([]string{"", "null"}, instanceOf(p.Data))
	}
	view, err := pickle.Call(p.Data)
	if err != nil {
		return nil, nil, false
	}
	args, _ = view.Args.JSON(maxJSON)
	kwargs, _ = view.Kwargs.JSON(maxJSON)
	return args, kwargs, view.Instance != ""
}

// instanceOf is the JSON text of the object whose method a JSON payload calls.
func instanceOf(data []byte) string {
	at := 0
	for part := range jsonscan.Elements(data) {
		if at++; at == 2 {
			return string(part)
		}
	}
	return ""
}

// againOfHistory is a new job after one that the queue has forgotten: missing
// says so.
func (s *Service) againOfHistory(ctx context.Context, id string, r RerunRequest, missing error) (distro.Job, error) {
	if s.opts.History == nil || id == "" || len(id) > maxForeignID {
		return distro.Job{}, missing
	}
	list, err := s.opts.History.Attempts(ctx, id)
	if err != nil {
		return distro.Job{}, historyFault(err)
	}
	if len(list) == 0 {
		return distro.Job{}, missing
	}
	e := list[len(list)-1]
	if e.Function == "" {
		return distro.Job{}, distro.Errorf(distro.CodeConflict,
			"the queue has forgotten job %.128q, and history does not know what it called: create a new job", id)
	}
	args, kwargs, typed, err := s.remembered(ctx, id, e, r)
	if err != nil {
		return distro.Job{}, err
	}
	queue := r.Queue
	if queue == "" {
		queue = e.Queue
	}
	return s.job(ctx, Request{Function: dottedName(e.Module, e.Function), Args: args, Kwargs: kwargs, Queue: queue, Typed: typed})
}

// remembered are the arguments that a request gives, and else those of an
// attempt.
func (s *Service) remembered(ctx context.Context, id string, e distro.Execution, r RerunRequest) (args, kwargs []byte, typed bool, err error) {
	if r.Args != nil && r.Kwargs != nil {
		return r.Args, r.Kwargs, r.Typed, nil
	}
	args, kwargs, ok := signature.Arguments(e.Arguments, pickle.MaxArgument)
	typed = r.Typed
	if !ok && (r.Typed || r.Args == nil && r.Kwargs == nil) {
		args, kwargs, ok = s.recalledText(ctx, e)
		typed = true
	}
	if !ok {
		return nil, nil, false, distro.Invalid("args",
			"the queue has forgotten job %.128q, and history does not know its arguments exactly: give args and kwargs", id)
	}
	if r.Args != nil {
		args = r.Args
	}
	if r.Kwargs != nil {
		kwargs = r.Kwargs
	}
	return args, kwargs, typed, nil
}

// recalledText are the arguments of an attempt that had typed values; ok is
// false where they are not known to the last one.
func (s *Service) recalledText(ctx context.Context, e distro.Execution) (args, kwargs []byte, ok bool) {
	t, err := s.target(ctx, Request{Function: dottedName(e.Module, e.Function)})
	if err != nil {
		return nil, nil, false
	}
	known := newTyping(t).recallText(e.Arguments)
	return known.Args, known.Kwargs, known.Args != nil && known.Typed && !known.Partly
}

// rerunFingerprint is equal for two requests that ask for the same.
func rerunFingerprint(of string, again distro.Job) string {
	h := sha256.New()
	fmt.Fprintf(h, "rerun %q %q %q ", of, again.Queue, again.Payload.Serializer)
	h.Write(again.Payload.Data)
	return hex.EncodeToString(h.Sum(nil))
}
