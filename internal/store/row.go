package store

import (
	"context"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
)

// ordinalBits are the low bits of an execution's id. Above them is the
// microsecond of its anchor.
const ordinalBits = 10

// ordinals is how many executions of the same microsecond keep it; further
// ones stand among those of the next.
const ordinals = 1 << ordinalBits

// firstID is the lowest id of the executions at t.
func firstID(t time.Time) int64 { return micros(t) << ordinalBits }

// hash is a number for a text that is the same in every process.
func hash(texts ...string) int64 {
	h := fnv.New64a()
	for _, text := range texts {
		_, _ = h.Write([]byte(text)) // never fails
		_, _ = h.Write([]byte{0})
	}
	return int64(h.Sum64())
}

// headLen is how much of a result stands in the row itself and is listed.
const headLen = 400

// Flags of the column result_flags.
const (
	resultJSON = 1 << iota
	resultTruncated
	resultLonger // than its head
)

// row is an execution as the database holds it.
type row struct {
	id   int64
	e    distro.Execution
	more bool // has a row of details
	size int64
}

// key tells executions apart.
type key struct{ job, run string }

func (r *row) key() key { return key{r.e.JobID, r.e.Run} }

// newRow is e, which is normal, as it is stored under id.
func newRow(id int64, e distro.Execution) *row {
	r := &row{id: id, e: e}
	texts := len(e.JobID) + len(e.Run) + 2*len(e.Arguments) + len(e.Result.Text)
	if f := e.Failure; f != nil {
		texts += 2*(len(f.Type)+len(f.Message)) + len(f.Traceback)
		r.more = f.Traceback != ""
	}
	r.more = r.more || len(e.Result.Text) > headLen
	r.size = rowSize + int64(texts)
	return r
}

// rowSize is what a row and its places in indexes take beside its texts, about.
const rowSize = 350

// numbered columns of a row, in the order of rowColumns.
type rowNames struct {
	function, queue, worker, host, python, codeHash, commit, origin, caller int64
}

// rowColumns are the columns of distro_executions, in the order of values.
const rowColumns = `id, job_key, job_id, run, attempt, function, queue, worker, host, python, code_hash, commit_hash,
	origin, caller, state, stock, enqueued_at, started_at, ended_at, took, arguments, result, result_flags,
	kind, type, message, exit_code, signal, peak_memory, cpu_time, more, size`

// columns is how many they are.
const columns = 32

// values are those of rowColumns.
func (r *row) values(n rowNames) []any {
	e := &r.e
	f := e.Failure
	if f == nil {
		f = &distro.Failure{}
	}
	return []any{
		r.id, hash(e.JobID), e.JobID, e.Run, e.Attempt, n.function, n.queue, n.worker, n.host, n.python, n.codeHash, n.commit,
		n.origin, n.caller, stateNumber(e.State), number(e.Stock), micros(e.EnqueuedAt), micros(e.StartedAt), micros(e.EndedAt),
		r.took(), e.Arguments, r.head(), r.resultFlags(), string(f.Kind), f.Type, f.Message, f.ExitCode, f.Signal,
		e.PeakMemory, e.CPUTime.Nanoseconds(), number(r.more), r.size,
	}
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// took is in microseconds, -1 where it is not known.
func (r *row) took() int64 {
	if r.e.StartedAt.IsZero() || r.e.EndedAt.IsZero() {
		return -1
	}
	return r.e.Took().Microseconds()
}

func (r *row) head() string { return clean(r.e.Result.Text, headLen) }

func (r *row) resultFlags() int {
	flags := 0
	if r.e.Result.JSON {
		flags |= resultJSON
	}
	if r.e.Result.Truncated {
		flags |= resultTruncated
	}
	if len(r.e.Result.Text) > headLen {
		flags |= resultLonger
	}
	return flags
}

// details are the whole result, where it is longer than its head, and the
// traceback.
func (r *row) details() (result, traceback string) {
	if len(r.e.Result.Text) > headLen {
		result = r.e.Result.Text
	}
	if r.e.Failure != nil {
		traceback = r.e.Failure.Traceback
	}
	return result, traceback
}

// scanned is where a row of rowColumns, and of the columns result and traceback
// of distro_details where they are asked for, is read to.
type scanned struct {
	row
	n                         rowNames
	jobKey, took              int64
	state, stock, flags, more int
	enqueued, started, ended  int64
	failure                   distro.Failure
	cpu                       int64
	kind                      string
	wholeResult, wholeTrace   *string
}

func (s *scanned) dest(details bool) []any {
	d := []any{
		&s.id, &s.jobKey, &s.e.JobID, &s.e.Run, &s.e.Attempt, &s.n.function, &s.n.queue, &s.n.worker, &s.n.host, &s.n.python,
		&s.n.codeHash, &s.n.commit, &s.n.origin, &s.n.caller, &s.state, &s.stock, &s.enqueued, &s.started, &s.ended, &s.took,
		&s.e.Arguments, &s.e.Result.Text, &s.flags, &s.kind, &s.failure.Type, &s.failure.Message, &s.failure.ExitCode,
		&s.failure.Signal, &s.e.PeakMemory, &s.cpu, &s.more, &s.size,
	}
	if details {
		d = append(d, &s.wholeResult, &s.wholeTrace)
	}
	return d
}

// row is what was read, still without the names of its numbers.
func (s *scanned) finish() *scanned {
	r := *s
	r.e.State = stateWord(r.state)
	r.e.Stock = r.stock != 0
	r.e.EnqueuedAt, r.e.StartedAt, r.e.EndedAt = moment(r.enqueued), moment(r.started), moment(r.ended)
	r.e.Result.JSON, r.e.Result.Truncated = r.flags&resultJSON != 0, r.flags&resultTruncated != 0
	r.e.CPUTime = time.Duration(r.cpu)
	r.row.more = r.more != 0
	f := r.failure
	f.Kind = distro.FailureKind(r.kind)
	switch {
	case r.wholeResult != nil && *r.wholeResult != "":
		r.e.Result.Text = *r.wholeResult
	case r.flags&resultLonger != 0:
		r.e.Result.Truncated = true
	}
	if r.wholeTrace != nil {
		f.Traceback = *r.wholeTrace
	}
	if f != (distro.Failure{}) {
		r.e.Failure = &f
	}
	return &r
}

// name gives the executions of rows the names of their numbers.
func (s *Store) name(ctx context.Context, on reader, rows []*scanned) error {
	var names, functions []int64
	for _, r := range rows {
		names = append(names, r.n.queue, r.n.worker, r.n.host, r.n.python, r.n.codeHash, r.n.commit, r.n.origin, r.n.caller)
		functions = append(functions, r.n.function)
	}
	g, err := s.resolve(ctx, on, unique(names), unique(functions))
	if err != nil {
		return err
	}
	for _, r := range rows {
		f := g.functions[r.n.function]
		r.e.Module, r.e.Function = f.module, f.name
		r.e.Queue, r.e.Worker, r.e.Host, r.e.Python = g.texts[r.n.queue], g.texts[r.n.worker], g.texts[r.n.host], g.texts[r.n.python]
		r.e.CodeHash, r.e.Commit = g.texts[r.n.codeHash], g.texts[r.n.commit]
		r.e.Trigger, r.e.Caller = g.texts[r.n.origin], g.texts[r.n.caller]
	}
	return nil
}

// prefixed is rowColumns with the table's alias.
func prefixed() string {
	names := strings.Split(rowColumns, ",")
	for i, name := range names {
		names[i] = "e." + strings.TrimSpace(name)
	}
	return strings.Join(names, ", ")
}

// load reads rows, whole or as they are listed. Those of ids that are not there
// are left out; they come in no order.
func (s *Store) load(ctx context.Context, on reader, column string, ids []int64, whole bool) ([]*scanned, error) {
	text := "SELECT " + prefixed() + " FROM distro_executions e WHERE e." + column + " IN ("
	if whole {
		text = "SELECT " + prefixed() + ", d.result, d.traceback FROM distro_executions e LEFT JOIN distro_details d ON d.id = e.id WHERE e." + column + " IN ("
	}
	var rows []*scanned
	for part := range slices.Chunk(unique(slices.Clone(ids)), maxIn) {
		// Few texts, so that statements are prepared once.
		for len(part)%10 != 0 {
			part = append(slices.Clip(part), part[0])
		}
		into := &scanned{}
		err := on.Query(ctx, text+placeholders(1, len(part))+")", anys(part), into.dest(whole), func() error {
			rows = append(rows, into.finish())
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return rows, s.name(ctx, on, rows)
}
