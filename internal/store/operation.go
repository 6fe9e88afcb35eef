package store

import (
	"context"
	"time"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// OperationState is where a bulk operation stands.
type OperationState string

// The states of an operation. The last three are ends.
const (
	OperationWaiting  OperationState = "waiting"
	OperationRunning  OperationState = "running"
	OperationDone     OperationState = "done"
	OperationCanceled OperationState = "canceled"
	OperationFailed   OperationState = "failed"
)

// Operation is one action on many jobs, which the server carries out in steps.
type Operation struct {
	ID     string
	Action string // requeue, cancel, delete
	Filter string // what it is done to, as JSON; for who carries it out
	State  OperationState

	Total   int // jobs it is for; 0: not known yet
	Done    int
	Skipped int // in a status that does not allow it, or gone
	Failed  int

	Cursor string // where it goes on; for who carries it out
	Sample string // one of the errors
	Caller string // who asked for it

	CreatedAt time.Time
	StartedAt time.Time
	EndedAt   time.Time

	CancelRequested bool
}

const operationColumns = `id, action, filter, state, total, done, skipped, failed, position, sample, caller, cancel,
	created_at, started_at, ended_at`

func (o *Operation) values() []any {
	return []any{
		clean(o.ID, maxID), clean(o.Action, maxName), clean(o.Filter, maxResult), string(o.State), o.Total, o.Done, o.Skipped, o.Failed,
		clean(o.Cursor, maxMessage), clean(o.Sample, maxMessage), clean(o.Caller, maxName), number(o.CancelRequested),
		micros(o.CreatedAt), micros(o.StartedAt), micros(o.EndedAt),
	}
}

// CreateOperation writes a new operation, durably. One of the same ID is
// ErrConflict.
func (s *Store) CreateOperation(ctx context.Context, o Operation) error {
	err := s.db.WriteSynced(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, "INSERT INTO distro_operations ("+operationColumns+") VALUES ("+placeholders(1, 15)+") ON CONFLICT (id) DO NOTHING",
			o.values()...)
		if err == nil && n == 0 {
			err = ErrConflict
		}
		return err
	})
	return wrap(err, "create operation %q", o.ID)
}

// SaveOperation writes the progress of an operation: its state, counts, cursor,
// sample and times. It returns the operation as it stands then, which says
// whether somebody asked to cancel it: a request is never taken back. An
// operation that has ended is left as it is. One that is not there is
// ErrNotFound.
func (s *Store) SaveOperation(ctx context.Context, o Operation) (Operation, error) {
	var saved Operation
	err := s.db.Write(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE distro_operations SET state = $1, total = $2, done = $3, skipped = $4, failed = $5,
				position = $6, sample = $7, started_at = $8, ended_at = $9
			WHERE id = $10 AND state NOT IN ('done', 'canceled', 'failed')`,
			string(o.State), o.Total, o.Done, o.Skipped, o.Failed, clean(o.Cursor, maxMessage), clean(o.Sample, maxMessage),
			micros(o.StartedAt), micros(o.EndedAt), clean(o.ID, maxID))
		if err != nil {
			return err
		}
		saved, err = operation(ctx, tx, o.ID)
		return err
	})
	return saved, wrap(err, "save operation %q", o.ID)
}

// CancelOperation asks, durably, whoever carries out an operation to stop; one
// that has ended is left as it is. It returns the operation as it stands then.
// One that is not there is ErrNotFound.
func (s *Store) CancelOperation(ctx context.Context, id string) (Operation, error) {
	var canceled Operation
	err := s.db.WriteSynced(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE distro_operations SET cancel = 1 WHERE id = $1 AND state NOT IN ('done', 'canceled', 'failed')", clean(id, maxID))
		if err != nil {
			return err
		}
		canceled, err = operation(ctx, tx, id)
		return err
	})
	return canceled, wrap(err, "cancel operation %q", id)
}

// Operation reads one. One that is not there is ErrNotFound.
func (s *Store) Operation(ctx context.Context, id string) (Operation, error) {
	o, err := operation(ctx, s.db, id)
	return o, wrap(err, "read operation %q", id)
}

// Operations are the newest ones, the newest first: at most limit of them, which
// is clamped to 1…MaxLimit.
func (s *Store) Operations(ctx context.Context, limit int) ([]Operation, error) {
	found, err := operations(ctx, s.db, "ORDER BY created_at DESC, id LIMIT $1", min(max(limit, 1), MaxLimit))
	return found, wrap(err, "list operations")
}

// UnfinishedOperations are those that have not ended, the oldest first.
func (s *Store) UnfinishedOperations(ctx context.Context) ([]Operation, error) {
	found, err := operations(ctx, s.db, "WHERE state NOT IN ('done', 'canceled', 'failed') ORDER BY created_at, id LIMIT $1", MaxLimit)
	return found, wrap(err, "list unfinished operations")
}

func operation(ctx context.Context, on reader, id string) (Operation, error) {
	found, err := operations(ctx, on, "WHERE id = $1", clean(id, maxID))
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Operation{}, err
	}
	return found[0], nil
}

func operations(ctx context.Context, on reader, which string, args ...any) ([]Operation, error) {
	var found []Operation
	var o Operation
	var cancel int
	var created, started, ended int64
	dest := []any{
		&o.ID, &o.Action, &o.Filter, &o.State, &o.Total, &o.Done, &o.Skipped, &o.Failed, &o.Cursor, &o.Sample, &o.Caller, &cancel,
		&created, &started, &ended,
	}
	err := on.Query(ctx, "SELECT "+operationColumns+" FROM distro_operations "+which, args, dest, func() error {
		o.CancelRequested = cancel != 0
		o.CreatedAt, o.StartedAt, o.EndedAt = moment(created), moment(started), moment(ended)
		found = append(found, o)
		return nil
	})
	return found, err
}

// Answer is what a request with an idempotency key was answered.
type Answer struct {
	Fingerprint string // of the request
	Response    []byte
}

// Remember keeps, durably, what the request with a key was answered, for ttl.
// Doing so again changes nothing; with another fingerprint, as long as the first
// is kept, it is ErrConflict.
func (s *Store) Remember(ctx context.Context, key, fingerprint string, response []byte, ttl time.Duration) error {
	now := s.now()
	key, fingerprint = clean(key, maxID), clean(fingerprint, maxName)
	if response == nil {
		response = []byte{}
	}
	err := s.db.WriteSynced(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO distro_answers (id, fingerprint, response, expires_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, response = excluded.response,
				expires_at = excluded.expires_at WHERE distro_answers.expires_at <= $5`,
			key, fingerprint, response, micros(now.Add(ttl)), micros(now))
		if err != nil || n > 0 {
			return err
		}
		known := ""
		if err := tx.Row(ctx, "SELECT fingerprint FROM distro_answers WHERE id = $1", []any{key}, &known); err != nil {
			return err
		}
		if known != fingerprint {
			return ErrConflict
		}
		return nil
	})
	return wrap(err, "remember answer %q", key)
}

// Recall is what Remember kept. What is not there, or has expired, is
// ErrNotFound.
func (s *Store) Recall(ctx context.Context, key string) (Answer, error) {
	var a Answer
	key = clean(key, maxID)
	found := false
	err := s.db.Query(ctx, "SELECT fingerprint, response FROM distro_answers WHERE id = $1 AND expires_at > $2",
		[]any{key, micros(s.now())}, []any{&a.Fingerprint, &a.Response}, func() error {
			found = true
			return nil
		})
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return Answer{}, wrap(err, "recall answer %q", key)
	}
	return a, nil
}
