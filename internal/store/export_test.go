package store

import (
	"context"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// Hurry makes searches go, on a history of a few executions, the ways that they
// go on a large one.
func (s *Store) Hurry(few, recent, window int) {
	s.effort = effort{few: few, sample: recent, spread: recent, recent: recent, window: int64(window)}
}

// Usual undoes Hurry, and sets how long a search may take.
func (s *Store) Usual(o Options) {
	s.effort, s.patience = usualEffort(), o.withDefaults().Patience
}

// Clear deletes all executions and counts.
func (s *Store) Clear(ctx context.Context) error {
	return s.change(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		for _, text := range []string{
			"DELETE FROM distro_executions", "DELETE FROM distro_details", "DELETE FROM distro_argument_words", "DELETE FROM distro_error_words",
			"DELETE FROM distro_tallies", "UPDATE distro_totals SET executions = 0, bytes = 0",
		} {
			if _, err := tx.Exec(ctx, text); err != nil {
				return err
			}
		}
		return nil
	})
}

// ArgumentWords are the words that arguments are found by.
func ArgumentWords(arguments string) []string { return argumentWords(texts{arguments}) }
