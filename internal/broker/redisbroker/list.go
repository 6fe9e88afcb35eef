package redisbroker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

const (
	// maxSorted is how many jobs a selection may have to be listed by creation.
	// RQ keeps no such order: all of them are looked at for each page.
	maxSorted = 5000
	// maxScanned bounds the jobs that are looked at for one page. A page may be
	// shorter than it could be, and be followed by another one.
	maxScanned = 2000
	// rowStep is how many jobs one call reads: others wait for no more than that.
	rowStep = 50
	// rowCut is how many bytes of a field a list shows.
	rowCut = 4096
)

// List implements broker.Broker: by creation up to maxSorted jobs, else source
// by source, each from its newest job on.
func (b *Broker) List(ctx context.Context, q broker.ListQuery) (broker.Page, error) {
	if err := q.Check(); err != nil {
		return broker.Page{}, err
	}
	limit, err := broker.PageLimit(q.Limit)
	if err != nil {
		return broker.Page{}, err
	}
	q.Limit = limit
	cursor, err := parseListCursor(q.Cursor)
	if err != nil {
		return broker.Page{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	page, err := b.list(ctx, q, cursor)
	if err != nil {
		return broker.Page{}, fmt.Errorf("list jobs: %w", err)
	}
	return page, nil
}

func (b *Broker) list(ctx context.Context, q broker.ListQuery, cursor listCursor) (broker.Page, error) {
	queues, walks, err := b.known(ctx)
	if err != nil {
		return broker.Page{}, err
	}
	if q.Queue != "" {
		queues = []string{q.Queue}
	}
	var sources []source
	for _, queue := range queues {
		sources = append(sources, sourcesOf(queue, q.Status, walks)...)
	}
	slices.SortFunc(sources, compareSources)
	lengths, err := b.lengths(ctx, sources)
	if err != nil {
		return broker.Page{}, err
	}
	var total int64
	for _, n := range lengths {
		total += n
	}
	var page broker.Page
	var next listCursor
	if cursor.Part == nil && total <= maxSorted {
		page.Jobs, next.Behind, err = b.sorted(ctx, q, sources, lengths, cursor.Behind)
	} else {
		// Pages by creation that were shown before are not shown again.
		l := long{b: b, query: q, sources: sources, lengths: lengths, before: cursor.Behind}
		next.Part, err = l.read(ctx, cursor.Part)
		if page.Jobs = l.jobs; next.Part != nil {
			next.Behind = cursor.Behind
		}
	}
	if err == nil {
		err = b.setDue(ctx, page.Jobs)
	}
	page.Next = next.String()
	return page, err
}

// age orders jobs by creation.
type age struct {
	Created int64  `json:"c"` // microseconds
	Seq     int64  `json:"s,omitempty"`
	ID      []byte `json:"i"` // its beginning
}

func newAge(id string, fields map[string]string) age {
	seq, _ := strconv.ParseInt(fields[fieldSeq], 10, 64)
	a := age{Seq: seq, ID: []byte(id[:min(len(id), 200)])}
	if at := parseRQTime(fields["created_at"]); !at.IsZero() {
		a.Created = at.UnixMicro()
	}
	return a
}

func (a age) compare(b age) int {
	return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Seq, b.Seq), bytes.Compare(a.ID, b.ID))
}

// listCursor says where a list goes on.
type listCursor struct {
	// Behind is the last job that was listed by creation.
	Behind *age `json:"b,omitempty"`
	// Part is the place in a long list.
	Part *partCursor `json:"p,omitempty"`
}

// String is empty for the end of the list.
func (c listCursor) String() string {
	if c.Behind == nil && c.Part == nil {
		return ""
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic("unreachable: texts and numbers become JSON")
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseListCursor(s string) (listCursor, error) {
	var c listCursor
	if s == "" {
		return c, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil || c.String() != s {
		return listCursor{}, distro.Invalid("cursor", "not a cursor of this list")
	}
	return c, nil
}

// sorted lists the jobs of sources by creation, the newest first, from behind a
// job on. The second result is nil at the end.
func (b *Broker) sorted(ctx context.Context, q broker.ListQuery, sources []source, lengths map[string]int64, behind *age) ([]distro.Job, *age, error) {
	ids, err := b.idsOf(ctx, sources, lengths)
	if err != nil {
		return nil, nil, err
	}
	records, err := b.hashes(ctx, ids, "created_at", fieldSeq)
	if err != nil {
		return nil, nil, err
	}
	type entry struct {
		id string
		age
	}
	var entries []entry
	for i, id := range ids {
		e := entry{id, newAge(id, records[i])}
		if behind == nil || e.compare(*behind) < 0 {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return b.compare(a.age) })
	var jobs []distro.Job
	var last *age
	step := min(q.Limit+1, rowStep)
	for scanned := 0; len(entries) > 0; scanned += step {
		if scanned >= maxScanned {
			return jobs, last, nil
		}
		part := entries[:min(step, len(entries))]
		ids := make([]string, len(part))
		for i := range part {
			ids[i] = part[i].id
		}
		rows, err := b.rows(ctx, ids)
		if err != nil {
			return nil, nil, err
		}
		for i, row := range rows {
			if row != nil && selects(&q, &row.Job) {
				if len(jobs) == q.Limit { // so there is another page
					return jobs, last, nil
				}
				jobs = append(jobs, row.Job)
			}
			last = &part[i].age
		}
		entries = entries[len(part):]
	}
	return jobs, nil, nil
}

func selects(q *broker.ListQuery, j *distro.Job) bool {
	return (q.Status == "" || j.Status == q.Status) && (q.Function == "" || j.Function == q.Function)
}

// idsOf are the jobs that stand in sources, each once.
func (b *Broker) idsOf(ctx context.Context, sources []source, lengths map[string]int64) ([]string, error) {
	var commands rueidis.Commands
	var read []source
	for _, s := range sources {
		if lengths[s.key] == 0 {
			continue
		}
		read = append(read, s)
		if s.list {
			commands = append(commands, b.client.B().Lrange().Key(s.key).Start(0).Stop(-1).Build())
		} else {
			commands = append(commands, b.client.B().Zrange().Key(s.key).Min("0").Max("-1").Build())
		}
	}
	var ids []string
	seen := map[string]bool{}
	for i, answer := range b.doMulti(ctx, commands) {
		members, err := readable(answer.AsStrSlice())
		if err != nil {
			return nil, err
		}
		for _, member := range members {
			if id := read[i].jobID(member); !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

// row is what a list knows of a job.
type row struct {
	distro.Job
	age age
}

// rowFields are the fields that decodeListed and newAge read, beside data.
func rowFields() []string {
	return []string{
		"status", "created_at", "origin", "enqueued_at", "started_at", "ended_at", "timeout", "ttl", "result_ttl", "failure_ttl",
		"worker_name", "retries_left", "retry_intervals", "number_of_retries",
		"success_callback_name", "success_callback_timeout", "failure_callback_name", "failure_callback_timeout",
		"stopped_callback_name", "stopped_callback_timeout", "description",
		fieldSeq, fieldPrint, fieldTrigger, fieldCaller, fieldDue, fieldAttempt,
	}
}

// rows reads jobs for a list; nil for an ID without a job.
func (b *Broker) rows(ctx context.Context, ids []string) ([]*row, error) {
	names := rowFields()
	rows := make([]*row, 0, len(ids))
	for part := range slices.Chunk(ids, rowStep) {
		args := append([]string{strconv.Itoa(rowCut), keyJob, strconv.Itoa(len(names))}, names...)
		answer, err := b.inspect(ctx, "rows", nil, append(args, part...))
		if err != nil {
			return nil, err
		}
		list, err := answer.ToArray()
		if err != nil || len(list) != len(part) {
			return nil, malformed("rows", err)
		}
		for i := range list {
			r, err := b.row(part[i], &list[i], names)
			if err != nil {
				return nil, err
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func (b *Broker) row(id string, m *rueidis.RedisMessage, names []string) (*row, error) {
	values, err := m.ToArray()
	if err != nil {
		return nil, malformed("rows", err)
	}
	if len(values) == 0 {
		return nil, nil
	}
	fields := make(map[string]string, len(values))
	for i := range values {
		name := "data"
		if i > 0 {
			name = names[i-1]
		}
		if text, err := values[i].ToString(); err == nil {
			fields[name] = text
		}
	}
	return &row{Job: b.codec.decodeListed(id, fields), age: newAge(id, fields)}, nil
}

// inspect runs a script that changes nothing.
func (b *Broker) inspect(ctx context.Context, name string, keys, args []string) (rueidis.RedisResult, error) {
	answer := b.scripts[name].Exec(ctx, b.client, keys, args)
	return answer, unavailable(answer.Error())
}
