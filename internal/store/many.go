package store

import (
	"context"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// many runs a statement that ends in rows of values for all of them, with as
// few executions as can be: much of the cost of a row is the statement around
// it. Sizes are few, so that statements are prepared once. first is the first
// row, which tells PostgreSQL the types of the values, rest are the others.
//
// SQLite gets placeholders without numbers: it looks numbered ones up in a list
// for each value, which for hundreds of them takes longer than all the rest. And
// it is spared the means to undo the statement alone, since any error ends the
// transaction here.
func (d dialect) many(ctx context.Context, tx *sqldb.Tx, values [][]any, before, first, rest, after string) error {
	for len(values) > 0 {
		n := 1
		for _, size := range []int{32, 8} {
			if len(values) >= size {
				n = size
				break
			}
		}
		text := d.unprotected(before) + first + strings.Repeat(", "+rest, n-1) + after
		if d.engine == sqldb.Postgres {
			text = numbered(text, 1)
		}
		if _, err := tx.Exec(ctx, text, slices.Concat(values[:n]...)...); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

// unprotected is a statement that may leave the transaction rolled back.
func (d dialect) unprotected(text string) string {
	if d.engine == sqldb.Postgres {
		return text
	}
	verb, rest, _ := strings.Cut(text, " ")
	return verb + " OR ROLLBACK " + rest
}

// repeated is a row of n times the same.
func repeated(value string, n int) string {
	return "(" + strings.TrimSuffix(strings.Repeat(value+", ", n), ", ") + ")"
}

// listed is a row.
func listed(values ...string) string { return "(" + strings.Join(values, ", ") + ")" }

// excluded sets columns, without the first, to what could not be inserted.
func excluded(columns string) string {
	var set []string
	for _, name := range strings.Split(columns, ",")[1:] {
		name = strings.TrimSpace(name)
		set = append(set, name+" = excluded."+name)
	}
	return strings.Join(set, ", ")
}
