package store

import (
	"context"
	"fmt"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// Forget removes executions that never came to run: those of the same JobID and
// Run that are recorded as started and nothing more. Others stay. Forgetting one
// twice changes nothing.
func (s *Store) Forget(ctx context.Context, executions []distro.Execution) error {
	if len(executions) == 0 {
		return nil
	}
	wanted := make(map[key]bool, len(executions))
	keys := make([]int64, len(executions))
	for i, e := range executions {
		e = normal(e)
		wanted[key{e.JobID, e.Run}] = true
		keys[i] = hash(e.JobID)
	}
	err := s.change(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		found, err := s.load(ctx, tx, "job_key", keys, true)
		if err != nil {
			return fmt.Errorf("read what is known: %w", err)
		}
		var ids []int64
		var t totals
		for _, f := range found {
			if wanted[f.row.key()] && f.e.State == distro.ExecutionStarted {
				ids = append(ids, f.row.id)
				t.executions--
				t.bytes -= f.row.size
			}
		}
		if err := s.remove(ctx, tx, ids); err != nil {
			return err
		}
		return t.write(ctx, tx)
	})
	return wrap(err, "forget %d executions", len(executions))
}
