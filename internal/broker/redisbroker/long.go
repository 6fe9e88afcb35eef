package redisbroker

import (
	"context"
	"slices"
	"strconv"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// long reads a page of a list that is too long to be sorted: source by source,
// each from its newest job on.
type long struct {
	b       *Broker
	query   broker.ListQuery
	sources []source
	lengths map[string]int64
	before  *age // jobs that are not older were listed already; nil: none

	jobs    []distro.Job
	scanned int
}

// partCursor is a place in a source, which may have changed when it is used.
type partCursor struct {
	Status distro.Status `json:"t"`
	Queue  []byte        `json:"q"`
	Key    []byte        `json:"k"`

	Behind *age `json:"b,omitempty"` // in a source that is read by creation

	Score  string `json:"s,omitempty"` // in a sorted set: of Member, the last one before the place
	Member []byte `json:"m,omitempty"`

	// In a list: how many jobs lay before the place and in all, what is known
	// of the last one before it, and the last IDs, the nearest one first.
	Seen    int64    `json:"n,omitempty"`
	Length  int64    `json:"l,omitempty"`
	Joined  string   `json:"j,omitempty"`
	Seq     int64    `json:"o,omitempty"`
	Nearest [][]byte `json:"i,omitempty"`
}

func (c *partCursor) source() source {
	return source{status: c.Status, queue: string(c.Queue), key: string(c.Key)}
}

// read fills jobs and returns where to go on, nil at the end.
func (l *long) read(ctx context.Context, from *partCursor) (*partCursor, error) {
	for i, s := range l.sources {
		place := &partCursor{Status: s.status, Queue: []byte(s.queue), Key: []byte(s.key)}
		if from != nil {
			switch order := compareSources(s, from.source()); {
			case order < 0:
				continue
			case order == 0:
				place = from
			}
		}
		for more := l.lengths[s.key] > 0; more; {
			var err error
			if place, more, err = l.part(ctx, s, place); err != nil {
				return nil, err
			}
			if len(l.jobs) == l.query.Limit || l.scanned >= maxScanned {
				if !more && l.rest(i+1) {
					return nil, nil
				}
				return place, nil
			}
		}
	}
	return nil, nil
}

// rest reports whether the sources from i on are empty.
func (l *long) rest(i int) bool {
	return !slices.ContainsFunc(l.sources[i:], func(s source) bool { return l.lengths[s.key] > 0 })
}

// part reads on in one source. It returns the place behind what it read, and
// whether something may follow.
func (l *long) part(ctx context.Context, s source, place *partCursor) (*partCursor, bool, error) {
	// The order of the started registry is that of the heartbeats, and changes
	// with each.
	if s.status == distro.StatusStarted && (place.Behind != nil || place.Member == nil && l.lengths[s.key] <= maxSorted) {
		return l.byCreation(ctx, s, place)
	}
	members, next, more, err := l.members(ctx, s, place)
	if err != nil {
		return nil, false, err
	}
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = s.jobID(m.name)
	}
	rows, err := l.b.rows(ctx, ids)
	if err != nil {
		return nil, false, err
	}
	for i, r := range rows {
		l.scanned++
		next.pass(s, members[i], r)
		if r == nil || !l.shows(s, r) {
			continue
		}
		if l.jobs = append(l.jobs, r.Job); len(l.jobs) == l.query.Limit {
			return next, more || i < len(rows)-1, nil
		}
	}
	return next, more, nil
}

// byCreation reads a source that is sorted by creation.
func (l *long) byCreation(ctx context.Context, s source, place *partCursor) (*partCursor, bool, error) {
	q := l.query
	q.Limit -= len(l.jobs)
	from := place.Behind
	if l.before != nil && (from == nil || l.before.compare(*from) < 0) {
		from = l.before
	}
	jobs, behind, err := l.b.sorted(ctx, q, []source{s}, l.lengths, from)
	if err != nil {
		return nil, false, err
	}
	for i := range jobs {
		if home(jobs[i].Status) == s.status || home(jobs[i].Status) == "" {
			l.jobs = append(l.jobs, jobs[i])
		}
	}
	l.scanned += len(jobs)
	next := *place
	next.Behind = behind
	return &next, behind != nil, nil
}

// shows reports whether a job is listed where it stands in s. One that stands
// in several sources is listed in that of its status.
func (l *long) shows(s source, r *row) bool {
	at := home(r.Status)
	return (at == "" || at == s.status) && selects(&l.query, &r.Job) && (l.before == nil || r.age.compare(*l.before) < 0)
}

// member is an element of a source.
type member struct {
	name  string
	score string
}

// members reads the elements behind a place. The place that it returns is still
// before them.
func (l *long) members(ctx context.Context, s source, place *partCursor) ([]member, *partCursor, bool, error) {
	count := l.query.Limit - len(l.jobs)
	if l.query.Function != "" || l.query.Status != "" {
		count = max(count, 4*rowStep)
	}
	args := []string{keyJob, "set", strconv.Itoa(count)}
	width := 2
	if s.list {
		args[1], width = "list", 1
	}
	answer, err := l.b.inspect(ctx, "part", []string{s.key}, append(args, place.args(s)...))
	if err != nil {
		return nil, nil, false, err
	}
	parts, err := answer.ToArray()
	if err != nil || len(parts) != 3 {
		return nil, nil, false, malformed("part", err)
	}
	next := *place
	if next.Seen, err = parts[0].AsInt64(); err == nil {
		next.Length, err = parts[1].AsInt64()
	}
	names, errNames := texts(&parts[2])
	if err != nil || errNames != nil {
		return nil, nil, false, malformed("part", err)
	}
	var list []member
	for i := 0; i+width <= len(names); i += width {
		m := member{name: names[i]}
		if width == 2 {
			m.score = names[i+1]
		}
		list = append(list, m)
	}
	return list, &next, next.Seen+int64(len(list)) < next.Length, nil
}

// args are the place as part.lua reads it, none at the beginning.
func (c *partCursor) args(s source) []string {
	switch {
	case !s.list && c.Member != nil:
		return []string{c.Score, string(c.Member)}
	case s.list && c.Seen > 0:
		list := []string{strconv.FormatInt(c.Seen, 10), strconv.FormatInt(c.Length, 10), c.Joined, strconv.FormatInt(c.Seq, 10)}
		for _, id := range c.Nearest {
			list = append(list, string(id))
		}
		return list
	}
	return nil
}

const (
	nearest   = 3   // IDs that a place remembers
	nearestID = 128 // their length; longer ones are not remembered
)

// pass moves the place behind an element.
func (c *partCursor) pass(s source, m member, r *row) {
	if !s.list {
		c.Score, c.Member = m.score, []byte(m.name)
		return
	}
	c.Seen++
	if len(m.name) <= nearestID {
		c.Nearest = append([][]byte{[]byte(m.name)}, c.Nearest[:min(len(c.Nearest), nearest-1)]...)
	}
	if r != nil {
		c.Joined, c.Seq = rqTime(r.EnqueuedAt), r.age.Seq
	}
}
