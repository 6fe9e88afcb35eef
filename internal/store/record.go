package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// Record writes executions, and with them the cursor of the feed that they were
// read from, in one transaction: a cursor that is found says that everything
// before it was recorded. A failure of power may take back what was recorded
// last, cursor and executions together.
//
// An execution is known by JobID and Run. Recording one again adds to what is
// known of it, in any order and any number of times: an ended state is never
// overwritten by started, nor how it ended by lost or retried, nor what is
// there by what is empty. What comes with an equal or a stronger state replaces
// what is there, except the start, which stays as it first was known. Without
// executions only the cursor is stored; without a feed only the executions are.
//
// A call takes as long as it has executions: a few hundred are a good number.
// An execution without JobID or of an unknown state is ErrInvalid.
func (s *Store) Record(ctx context.Context, executions []distro.Execution, feed, cursor string) error {
	next := make([]distro.Execution, len(executions))
	for i, e := range executions {
		if e.JobID == "" || stateNumber(e.State) < 0 {
			return fmt.Errorf("record execution %q of job %q, state %q: %w", e.Run, e.JobID, e.State, ErrInvalid)
		}
		next[i] = normal(e)
	}
	numbers := newNumbers(s)
	err := s.change(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		r := &recording{s: s, tx: tx, numbers: numbers, rows: map[key]*change{}}
		if err := r.record(ctx, next); err != nil {
			return err
		}
		if feed == "" {
			return nil
		}
		_, err := tx.Exec(ctx, `INSERT INTO distro_cursors (feed, position) VALUES ($1, $2)
			ON CONFLICT (feed) DO UPDATE SET position = excluded.position`, feed, cursor)
		return err
	})
	if err != nil {
		return wrap(err, "record %d executions", len(executions))
	}
	numbers.committed()
	return nil
}

// Cursor is what Record stored last for a feed; empty when it never did.
func (s *Store) Cursor(ctx context.Context, feed string) (string, error) {
	cursor := ""
	err := s.db.Query(ctx, "SELECT position FROM distro_cursors WHERE feed = $1", []any{feed}, []any{&cursor},
		func() error { return nil })
	return cursor, wrap(err, "read cursor of feed %q", feed)
}

// change runs a transaction that reads and then writes, in turn with the others
// of its kind, of other processes too.
func (s *Store) change(ctx context.Context, run func(context.Context, *sqldb.Tx) error) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		if s.dialect.lock != "" {
			if _, err := tx.Exec(ctx, s.dialect.lock); err != nil {
				return fmt.Errorf("take turns: %w", err)
			}
		}
		return run(ctx, tx)
	})
}

// change is what becomes of one execution.
type change struct {
	old *row // nil: it is not there yet
	new *row
}

// recording is one Record within its transaction.
type recording struct {
	s       *Store
	tx      *sqldb.Tx
	numbers *numbers
	rows    map[key]*change
	order   []*change // of rows, as they came
}

func (r *recording) record(ctx context.Context, executions []distro.Execution) error {
	if len(executions) == 0 {
		return nil
	}
	if err := r.read(ctx, executions); err != nil {
		return fmt.Errorf("read what is known: %w", err)
	}
	for _, e := range executions {
		r.merge(e)
	}
	changed := slices.DeleteFunc(r.order, func(c *change) bool { return c.old != nil && same(c.old.e, c.new.e) })
	if err := r.place(ctx, changed); err != nil {
		return fmt.Errorf("find places: %w", err)
	}
	return r.write(ctx, changed)
}

// read loads what is known of the executions.
func (r *recording) read(ctx context.Context, executions []distro.Execution) error {
	keys := make([]int64, len(executions))
	for i, e := range executions {
		keys[i] = hash(e.JobID)
	}
	found, err := r.s.load(ctx, r.tx, "job_key", keys, true)
	if err != nil {
		return err
	}
	for _, f := range found {
		r.rows[f.key()] = &change{old: &f.row}
	}
	return nil
}

func (r *recording) merge(e distro.Execution) {
	k := key{e.JobID, e.Run}
	c := r.rows[k]
	switch {
	case c == nil:
		c = &change{new: newRow(0, e)}
		r.rows[k] = c
		r.order = append(r.order, c)
	case c.new == nil:
		c.new = newRow(c.old.id, merge(c.old.e, e))
		r.order = append(r.order, c)
	default:
		c.new = newRow(c.new.id, merge(c.new.e, e))
	}
}

// place finds the ids of executions that are new, or whose anchor moved.
func (r *recording) place(ctx context.Context, changed []*change) error {
	homeless := []*change{}
	for _, c := range changed {
		if c.old == nil || micros(anchor(&c.old.e)) != micros(anchor(&c.new.e)) {
			// An ordinal that depends on nothing but the execution makes the
			// order the same whatever came first.
			c.new.id = firstID(anchor(&c.new.e)) + hash(c.new.e.JobID, c.new.e.Run)&(ordinals-1)
			homeless = append(homeless, c)
		}
	}
	asked := make([]int64, len(homeless))
	for i, c := range homeless {
		asked[i] = c.new.id
	}
	taken, err := r.present(ctx, asked)
	if err != nil {
		return err
	}
	var from, to int64 // of these all ids that are there are in taken
	for _, c := range homeless {
		for ; taken[c.new.id]; c.new.id++ {
			if next := c.new.id + 1; next < from || next >= to {
				if from, to, err = next, next+ordinals, r.presentFrom(ctx, next, next+ordinals, taken); err != nil {
					return err
				}
			}
		}
		taken[c.new.id] = true
	}
	return nil
}

// presentFrom adds to there which ids are there, of those from from on and
// below to.
func (r *recording) presentFrom(ctx context.Context, from, to int64, there map[int64]bool) error {
	var id int64
	return r.tx.Query(ctx, "SELECT id FROM distro_executions WHERE id >= $1 AND id < $2", []any{from, to}, []any{&id}, func() error {
		there[id] = true
		return nil
	})
}

// present says which of ids are there.
func (r *recording) present(ctx context.Context, ids []int64) (map[int64]bool, error) {
	there := map[int64]bool{}
	var id int64
	for part := range slices.Chunk(unique(ids), maxIn) {
		for len(part)%10 != 0 {
			part = append(slices.Clip(part), part[0])
		}
		text := "SELECT id FROM distro_executions WHERE id IN (" + placeholders(1, len(part)) + ")"
		err := r.tx.Query(ctx, text, anys(part), []any{&id}, func() error {
			there[id] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return there, nil
}

func (r *recording) write(ctx context.Context, changed []*change) error {
	var gone []int64       // ids that moved away
	var whole, ends []*row // to be written as a whole, or only how they ended
	var totals totals
	tallies := tallies{}
	for _, c := range changed {
		totals.add(c)
		switch {
		case c.old == nil:
			whole = append(whole, c.new)
		case c.old.id != c.new.id:
			gone = append(gone, c.old.id)
			whole = append(whole, c.new)
		case onlyEnded(&c.old.e, &c.new.e):
			ends = append(ends, c.new)
		default:
			whole = append(whole, c.new)
		}
		if err := r.count(ctx, tallies, c); err != nil {
			return fmt.Errorf("count executions: %w", err)
		}
	}
	if err := r.s.remove(ctx, r.tx, gone); err != nil {
		return fmt.Errorf("move executions: %w", err)
	}
	if err := r.put(ctx, whole); err != nil {
		return fmt.Errorf("write executions: %w", err)
	}
	if err := r.end(ctx, ends); err != nil {
		return fmt.Errorf("end executions: %w", err)
	}
	if err := r.putDetails(ctx, changed); err != nil {
		return fmt.Errorf("write details: %w", err)
	}
	if err := r.index(ctx, argumentTable, (*row).argumentText, argumentWords, changed); err != nil {
		return fmt.Errorf("index words of arguments: %w", err)
	}
	if err := r.index(ctx, errorTable, (*row).errorText, errorWords, changed); err != nil {
		return fmt.Errorf("index words of errors: %w", err)
	}
	if err := tallies.write(ctx, r.tx, r.s.dialect); err != nil {
		return fmt.Errorf("write counts: %w", err)
	}
	return totals.write(ctx, r.tx)
}

// onlyEnded reports whether two states of an execution differ in nothing but
// what the end of it brings.
func onlyEnded(a, b *distro.Execution) bool {
	x, y := *a, *b
	for _, e := range []*distro.Execution{&x, &y} {
		e.State, e.EndedAt, e.Result, e.Failure = "", a.EndedAt, distro.View{}, nil
		e.PeakMemory, e.CPUTime = 0, 0
	}
	return same(x, y)
}

// put writes rows, new or not.
func (r *recording) put(ctx context.Context, rows []*row) error {
	var values [][]any
	for _, row := range rows {
		n, err := r.rowNames(ctx, &row.e)
		if err != nil {
			return fmt.Errorf("name %q: %w", row.e.JobID, err)
		}
		values = append(values, row.values(n))
	}
	return r.s.dialect.many(ctx, r.tx, values, "INSERT INTO distro_executions ("+rowColumns+") VALUES ",
		repeated("?", columns), repeated("?", columns), " ON CONFLICT (id) DO UPDATE SET "+excluded(rowColumns))
}

func (r *recording) rowNames(ctx context.Context, e *distro.Execution) (rowNames, error) {
	var n rowNames
	var err error
	if n.function, err = r.numbers.function(ctx, r.tx, function{e.Module, e.Function}); err != nil {
		return n, err
	}
	for _, c := range []struct {
		id   *int64
		text string
	}{
		{&n.queue, e.Queue}, {&n.worker, e.Worker}, {&n.host, e.Host}, {&n.python, e.Python},
		{&n.codeHash, e.CodeHash}, {&n.commit, e.Commit}, {&n.origin, e.Trigger}, {&n.caller, e.Caller},
	} {
		if *c.id, err = r.numbers.name(ctx, r.tx, c.text); err != nil {
			return n, err
		}
	}
	return n, nil
}

// end writes how executions ended that are there. Indexes of columns that it
// does not name are left alone, which is most of what a whole row costs.
func (r *recording) end(ctx context.Context, rows []*row) error {
	var values [][]any
	for _, row := range rows {
		f := row.e.Failure
		if f == nil {
			f = &distro.Failure{}
		}
		values = append(values, []any{
			row.id, stateNumber(row.e.State), micros(row.e.EndedAt), row.took(), row.head(), row.resultFlags(),
			string(f.Kind), f.Type, f.Message, f.ExitCode, f.Signal,
			row.e.PeakMemory, row.e.CPUTime.Nanoseconds(), number(row.more), row.size,
		})
	}
	n, t := "CAST(? AS BIGINT)", "CAST(? AS TEXT)"
	return r.s.dialect.many(ctx, r.tx, values, `UPDATE distro_executions SET state = v.column2, ended_at = v.column3, took = v.column4,
		result = v.column5, result_flags = v.column6, kind = v.column7, type = v.column8, message = v.column9,
		exit_code = v.column10, signal = v.column11, peak_memory = v.column12, cpu_time = v.column13,
		more = v.column14, size = v.column15 FROM (VALUES `,
		listed(n, n, n, n, t, n, t, t, t, n, n, n, n, n, n), repeated("?", 15),
		") AS v WHERE distro_executions.id = v.column1")
}

// putDetails writes the details of those that have some, and removes those of
// executions that have none any more.
func (r *recording) putDetails(ctx context.Context, changed []*change) error {
	var values [][]any
	var gone []int64
	for _, c := range changed {
		result, trace := c.new.details()
		oldResult, oldTrace := "", ""
		if c.old != nil && c.old.id == c.new.id {
			oldResult, oldTrace = c.old.details()
		}
		switch {
		case result == oldResult && trace == oldTrace:
		case c.new.more:
			values = append(values, []any{c.new.id, result, trace})
		default:
			gone = append(gone, c.new.id)
		}
	}
	if err := r.s.removeFrom(ctx, r.tx, "distro_details", "id", gone); err != nil {
		return err
	}
	return r.s.dialect.many(ctx, r.tx, values, "INSERT INTO distro_details (id, result, traceback) VALUES ",
		repeated("?", 3), repeated("?", 3), " ON CONFLICT (id) DO UPDATE SET result = excluded.result, traceback = excluded.traceback")
}

// Tables of words.
const (
	argumentTable = "distro_argument_words"
	errorTable    = "distro_error_words"
)

// texts are what words are taken from.
type texts [2]string

func (r *row) argumentText() texts { return texts{r.e.Arguments} }

func (r *row) errorText() texts {
	if r.e.Failure == nil {
		return texts{}
	}
	return texts{r.e.Failure.Type, r.e.Failure.Message}
}

// index writes the words of executions where what they are taken from changed.
func (r *recording) index(ctx context.Context, table string, text func(*row) texts, words func(texts) []string, changed []*change) error {
	var values [][]any
	var gone []int64
	for _, c := range changed {
		now := text(c.new)
		if c.old != nil && c.old.id == c.new.id {
			before := text(c.old)
			if now == before {
				continue
			}
			if before != (texts{}) {
				gone = append(gone, c.new.id)
			}
		}
		if found := words(now); len(found) > 0 {
			values = append(values, []any{c.new.id, r.s.dialect.document(found)})
		}
	}
	id := r.s.dialect.wordsID
	if err := r.s.removeFrom(ctx, r.tx, table, id, gone); err != nil {
		return err
	}
	row := "(?, " + r.s.dialect.wordsValue + ")"
	// One by one on SQLite, which writes what it gathered of an index of words
	// to disk before any statement of several rows.
	for part := range slices.Chunk(values, r.s.dialect.wordsAtOnce) {
		if err := r.s.dialect.many(ctx, r.tx, part, "INSERT INTO "+table+" ("+id+", words) VALUES ", row, row, ""); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes executions with all that belongs to them, except from the
// counts.
func (s *Store) remove(ctx context.Context, tx *sqldb.Tx, ids []int64) error {
	for _, t := range [][2]string{
		{"distro_executions", "id"}, {"distro_details", "id"},
		{argumentTable, s.dialect.wordsID}, {errorTable, s.dialect.wordsID},
	} {
		if err := s.removeFrom(ctx, tx, t[0], t[1], ids); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) removeFrom(ctx context.Context, tx *sqldb.Tx, table, column string, ids []int64) error {
	for part := range slices.Chunk(ids, maxIn) {
		for len(part)%10 != 0 {
			part = append(slices.Clip(part), part[0])
		}
		if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE "+column+" IN ("+placeholders(1, len(part))+")", anys(part)...); err != nil {
			return fmt.Errorf("delete from %s: %w", table, err)
		}
	}
	return nil
}
