package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/store"
)

// MaxSelected is how many jobs one operation may name by ID.
const MaxSelected = 10_000

// maxSelection bounds a selection as it is kept, in bytes.
const maxSelection = 1 << 20

// Selection says what an operation is done to: jobs by ID; else those of a
// status, of one queue or of all; else those whose executions a search finds.
type Selection struct {
	IDs    []string      `json:"ids,omitempty"`
	Queue  string        `json:"queue,omitempty"`
	Status distro.Status `json:"status,omitempty"`
	Query  string        `json:"query,omitempty"`
}

// Operation is one action on many jobs, carried out in the background.
type Operation struct {
	store.Operation

	Selection Selection
}

// operationActions are the actions that may be done to many jobs at once.
func operationActions() []broker.Action {
	return []broker.Action{broker.ActionRequeue, broker.ActionCancel, broker.ActionDelete}
}

// ways is by how many things it selects.
func (sel *Selection) ways() int {
	n := 0
	for _, given := range []bool{len(sel.IDs) > 0, sel.Queue != "" || sel.Status != "", sel.Query != ""} {
		if given {
			n++
		}
	}
	return n
}

// checkSelection refuses selections that select by nothing or by two things, and actions
// that no job of the selection allows.
func (s *Service) checkSelection(action broker.Action, sel Selection) error {
	if !slices.Contains(operationActions(), action) {
		return distro.Invalid("action", "must be one of requeue, cancel and delete")
	}
	if action == broker.ActionDelete {
		if err := s.checkDelete(); err != nil {
			return err
		}
	}
	switch {
	case sel.ways() != 1:
		return distro.Invalid("ids", "select by ids, by status (and queue), or by query, and by one of them only")
	case len(sel.IDs) > MaxSelected:
		return distro.Invalid("ids", "must be at most %d; select more by status or query", MaxSelected)
	case sel.Queue != "" && sel.Status == "":
		return distro.Invalid("status", "is required with queue")
	case sel.Status != "" && !sel.Status.Valid():
		return distro.Invalid("status", "%q is none", sel.Status)
	case sel.Status != "" && !allows(action, sel.Status):
		return distro.Invalid("status", "no job that is %s can be %s", sel.Status, pastOf(action))
	}
	if sel.Query != "" {
		if s.opts.History == nil {
			return errForgets()
		}
		_, err := s.parse("query", sel.Query)
		return err
	}
	return nil
}

// allows reports whether jobs of a status can be acted on so.
func allows(action broker.Action, status distro.Status) bool {
	switch action {
	case broker.ActionRequeue:
		return slices.Contains([]distro.Status{distro.StatusFailed, distro.StatusStopped, distro.StatusCanceled}, status)
	case broker.ActionCancel:
		return slices.Contains([]distro.Status{distro.StatusQueued, distro.StatusScheduled, distro.StatusDeferred}, status)
	default:
		return status != distro.StatusStarted
	}
}

func pastOf(action broker.Action) string {
	return map[broker.Action]string{
		broker.ActionRequeue: "requeued", broker.ActionCancel: "canceled", broker.ActionDelete: "deleted",
	}[action]
}

// Preview is what an operation would be done to.
type Preview struct {
	Total  int
	Exact  bool     // else there may be more
	Sample []string // IDs of some of the jobs
}

// previewed is how many jobs a preview names.
const previewed = 5

// PreviewOperation says what an operation would be done to, and does nothing.
func (s *Service) PreviewOperation(ctx context.Context, action broker.Action, sel Selection) (Preview, error) {
	if err := s.checkSelection(action, sel); err != nil {
		return Preview{}, err
	}
	total, exact, err := s.selected(ctx, sel)
	if err != nil {
		return Preview{}, err
	}
	ids, _, err := s.selectStep(ctx, sel, "", previewed)
	if err != nil {
		return Preview{}, err
	}
	return Preview{Total: total, Exact: exact, Sample: ids[:min(len(ids), previewed)]}, nil
}

// selected counts what a selection selects now.
func (s *Service) selected(ctx context.Context, sel Selection) (n int, exact bool, err error) {
	switch {
	case len(sel.IDs) > 0:
		return len(sel.IDs), true, nil
	case sel.Query != "":
		expr, err := s.parse("query", sel.Query)
		if err != nil {
			return 0, false, err
		}
		return s.count(ctx, expr)
	}
	counts, err := s.opts.Broker.Counts(ctx)
	if err != nil {
		return 0, false, fault(fmt.Errorf("count jobs: %w", err))
	}
	for _, q := range counts.Queues {
		if sel.Queue == "" || sel.Queue == q.Name {
			n += q.Jobs[sel.Status]
		}
	}
	return n, true, nil
}

// StartOperation begins an action on many jobs. It is carried out by whoever is
// in RunOperations, with a history also after this process was killed. With an id, beginning it
// again returns it as it is; empty: a random one.
func (s *Service) StartOperation(ctx context.Context, id string, action broker.Action, sel Selection, caller string) (Operation, error) {
	if err := s.checkSelection(action, sel); err != nil {
		return Operation{}, err
	}
	total, _, err := s.selected(ctx, sel)
	if err != nil {
		return Operation{}, err
	}
	if sel.Query != "" { // "today" is the day of the request, however long the operation takes
		expr, err := s.parse("query", sel.Query)
		if err != nil {
			return Operation{}, err
		}
		sel.Query = expr.String()
	}
	text, err := json.Marshal(sel)
	if err != nil {
		return Operation{}, fmt.Errorf("encode selection: %w", err)
	}
	if len(text) > maxSelection {
		return Operation{}, distro.Invalid("ids", "take %d bytes together; at most %d are accepted", len(text), maxSelection)
	}
	if id == "" {
		id = distro.NewID()
	}
	o := Operation{Selection: sel, Operation: store.Operation{
		ID: id, Action: string(action), Filter: string(text), State: store.OperationWaiting,
		Total: total, Caller: caller, CreatedAt: s.opts.Now().UTC().Truncate(time.Microsecond),
	}}
	err = s.operations.CreateOperation(ctx, o.Operation)
	if errors.Is(err, store.ErrConflict) {
		return s.Operation(ctx, id)
	}
	if err != nil {
		return Operation{}, historyFault(err)
	}
	s.opts.Logger.InfoContext(ctx, "operation started", "operation", o.ID, "action", o.Action, "jobs", total, "caller", caller)
	select {
	case s.begun <- struct{}{}:
	default:
	}
	return o, nil
}

// Operation returns one operation.
func (s *Service) Operation(ctx context.Context, id string) (Operation, error) {
	o, err := s.operations.Operation(ctx, id)
	return showOperation(o), operationFault(id, err)
}

// Operations returns the newest operations.
func (s *Service) Operations(ctx context.Context, limit int) ([]Operation, error) {
	found, err := s.operations.Operations(ctx, limit)
	list := make([]Operation, len(found))
	for i, o := range found {
		list[i] = showOperation(o)
	}
	return list, historyFault(err)
}

// CancelOperation lets an operation end behind its next step. What is done
// stays done.
func (s *Service) CancelOperation(ctx context.Context, id string) (Operation, error) {
	o, err := s.operations.CancelOperation(ctx, id)
	return showOperation(o), operationFault(id, err)
}

func operationFault(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return distro.Errorf(distro.CodeNotFound, "there is no operation %.128q", id)
	}
	return historyFault(err)
}

func showOperation(o store.Operation) Operation {
	shown := Operation{Operation: o}
	_ = json.Unmarshal([]byte(o.Filter), &shown.Selection) // it was written by StartOperation
	return shown
}

const (
	operationStep  = 200         // jobs between two notes of the progress
	lookForOthers  = time.Minute // operations that another process left
	firstPause     = 100 * time.Millisecond
	afterTrouble   = 2 * time.Second
	maxOperationOf = 1 << 30
)

// RunOperations carries out operations, the oldest first, until ctx ends.
func (s *Service) RunOperations(ctx context.Context) error {
	for {
		wait := lookForOthers
		unfinished, err := s.operations.UnfinishedOperations(ctx)
		for _, o := range unfinished {
			if err == nil {
				err = s.carryOut(ctx, o)
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			s.opts.Logger.Warn("an operation cannot go on now; trying on", "reason", err)
			wait = afterTrouble
		} else if len(unfinished) > 0 {
			continue // others may have come meanwhile
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.begun:
		case <-time.After(wait):
		}
	}
}

// carryOut does one operation from where it stands. An error says that it can
// go on later.
func (s *Service) carryOut(ctx context.Context, o store.Operation) error {
	var sel Selection
	if err := json.Unmarshal([]byte(o.Filter), &sel); err != nil {
		return s.endOperation(ctx, o, store.OperationFailed, "its selection cannot be read")
	}
	if o.State == store.OperationWaiting {
		o.State, o.StartedAt = store.OperationRunning, s.opts.Now().UTC()
	}
	for !o.CancelRequested {
		ids, next, err := s.selectStep(ctx, sel, o.Cursor, operationStep)
		if err != nil && !passes(err) {
			return s.endOperation(ctx, o, store.OperationFailed, err.Error())
		}
		if err == nil {
			err = s.actOnStep(ctx, &o, ids)
		}
		if err != nil {
			return err
		}
		if o.Cursor = next; next == "" {
			o.Total = o.Done + o.Skipped + o.Failed
			return s.endOperation(ctx, o, store.OperationDone, o.Sample)
		}
		saved, err := s.saveOperation(ctx, o)
		if err != nil {
			return err
		}
		o.CancelRequested = saved.CancelRequested
	}
	return s.endOperation(ctx, o, store.OperationCanceled, o.Sample)
}

func (s *Service) endOperation(ctx context.Context, o store.Operation, state store.OperationState, sample string) error {
	o.State, o.Sample, o.EndedAt = state, sample, s.opts.Now().UTC()
	if _, err := s.saveOperation(ctx, o); err != nil {
		return err
	}
	s.opts.Logger.InfoContext(ctx, "operation ended", "operation", o.ID, "action", o.Action, "state", string(state),
		"done", o.Done, "skipped", o.Skipped, "failed", o.Failed)
	return nil
}

// passes reports whether an error that clients would be told is of a kind that
// passes: later the same may go well.
func passes(err error) bool {
	code := distro.ErrorCode(err)
	return code == distro.CodeUnavailable || code == distro.CodeFull
}

// saveOperation keeps the progress of an operation, and tries on while history
// cannot take it. The step that was done last is not in it yet: whoever began
// there again would find its jobs acted on, and count them as skipped.
func (s *Service) saveOperation(ctx context.Context, o store.Operation) (store.Operation, error) {
	for pause := firstPause; ; pause = min(2*pause, afterTrouble) {
		saved, err := s.operations.SaveOperation(ctx, o)
		if err == nil || ctx.Err() != nil || !passes(historyFault(err)) {
			return saved, err
		}
		if pause == firstPause {
			s.opts.Logger.WarnContext(ctx, "the progress of an operation cannot be saved now; trying on", "operation", o.ID, "reason", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// actOnStep acts on some jobs and counts what came of it.
func (s *Service) actOnStep(ctx context.Context, o *store.Operation, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	results, err := s.opts.Broker.Act(ctx, broker.Action(o.Action), ids)
	if err != nil {
		return fault(fmt.Errorf("%s %d jobs: %w", o.Action, len(ids), err))
	}
	for i, err := range results {
		if err == nil && o.Action == string(broker.ActionDelete) {
			err = s.forget(ids[i])
		}
		switch {
		case err == nil:
			o.Done++
		case errors.Is(err, broker.ErrConflict), errors.Is(err, broker.ErrNotFound):
			o.Skipped++
		default:
			o.Failed++
			o.Sample = fmt.Sprintf("job %.128q: %v", ids[i], err)
		}
	}
	o.Total = max(o.Total, min(o.Done+o.Skipped+o.Failed, maxOperationOf))
	return nil
}

// selectStep returns the next jobs of a selection and where to go on; an empty
// cursor is the beginning, and the end.
func (s *Service) selectStep(ctx context.Context, sel Selection, cursor string, limit int) (ids []string, next string, err error) {
	switch {
	case len(sel.IDs) > 0:
		return selectIDs(sel.IDs, cursor, limit)
	case sel.Query != "":
		return s.selectFound(ctx, sel.Query, cursor, limit)
	}
	page, err := s.opts.Broker.List(ctx, broker.ListQuery{Queue: sel.Queue, Status: sel.Status, Cursor: cursor, Limit: limit})
	if err != nil {
		return nil, "", fault(fmt.Errorf("list jobs: %w", err))
	}
	for i := range page.Jobs {
		ids = append(ids, page.Jobs[i].ID)
	}
	return ids, page.Next, nil
}

// selectIDs goes through a list; the cursor is how far it went.
func selectIDs(all []string, cursor string, limit int) (ids []string, next string, err error) {
	from := 0
	if cursor != "" {
		if _, err := fmt.Sscan(cursor, &from); err != nil || from < 0 || from > len(all) {
			return nil, "", distro.Errorf(distro.CodeInternal, "%q is no place in a selection", cursor)
		}
	}
	to := min(from+limit, len(all))
	if to < len(all) {
		next = fmt.Sprint(to)
	}
	return all[from:to], next, nil
}

// selectFound goes through what a search finds in history. A job with several
// executions comes more than once: it is skipped then.
func (s *Service) selectFound(ctx context.Context, query, cursor string, limit int) (ids []string, next string, err error) {
	expr, err := s.parse("query", query)
	if err != nil {
		return nil, "", err
	}
	page, err := s.lookUp(ctx, expr, cursor, limit)
	if err != nil {
		return nil, "", err
	}
	for i := range page.Executions {
		if id := page.Executions[i].JobID; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, page.Next, nil
}

// parse reads a search, and points at what is wrong with it.
func (s *Service) parse(field, text string) (search.Expr, error) {
	expr, err := search.Parse(text, search.Options{Now: s.opts.Now(), Zone: s.opts.Zone})
	if err != nil {
		return nil, distro.Invalid(field, "%v", err)
	}
	return expr, nil
}
