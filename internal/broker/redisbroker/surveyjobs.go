package redisbroker

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

// SurveyedJobs is what was read of single jobs.
type SurveyedJobs struct {
	Looked      int                  `json:"looked"`  // entries of lists
	Read        int                  `json:"read"`    // jobs whose call was read
	Sampled     bool                 `json:"sampled"` // there are more than were looked at
	Long        int                  `json:"long"`    // jobs whose call is too long to be read here
	Serializers map[string]int       `json:"serializers"`
	Functions   []SurveyedFunction   `json:"-"` // the most frequent first
	Unreadable  []SurveyedUnreadable `json:"unreadable,omitempty"`
	Writers     []SurveyedWriter     `json:"writers,omitempty"` // by the fields that each RQ writes
	Lost        []string             `json:"lost,omitempty"`    // queued for more than a minute, and in no list
	Timeouts    map[int]int          `json:"timeouts,omitempty"`
	ResultTTLs  map[int]int          `json:"result_ttls,omitempty"`
	Retries     map[int]int          `json:"retries,omitempty"` // that waiting jobs have left

	functions  map[SurveyedFunction]*SurveyedFunction
	unreadable map[string]*SurveyedUnreadable
	writers    map[string]int
}

// SurveyedFunction is what jobs call.
type SurveyedFunction struct {
	Name    string `json:"name"`            // dotted; of a method its name alone
	Class   string `json:"class,omitempty"` // of the object whose method is called
	Jobs    int    `json:"jobs"`
	Waiting int    `json:"waiting"` // of them, that are to run or run
}

// SurveyedUnreadable are jobs whose call cannot be read, for one reason.
type SurveyedUnreadable struct {
	Reason string   `json:"reason"`
	Jobs   int      `json:"jobs"`
	IDs    []string `json:"ids"`
}

// SurveyedWriter counts the jobs that some RQ has written.
type SurveyedWriter struct {
	RQ   string `json:"rq"`
	Jobs int    `json:"jobs"`
}

// surveyPart is what is looked at of one list or registry.
type surveyPart struct {
	source
	queue   *SurveyedQueue
	length  int64
	windows [][2]int64 // of places, both included
	members []string
}

// commands read the members of the part as they stand now.
func (p *surveyPart) commands(c rueidis.Builder) rueidis.Commands {
	var list rueidis.Commands
	for _, w := range p.windows {
		if p.list {
			list = append(list, c.Lrange().Key(p.key).Start(w[0]).Stop(w[1]).Build())
		} else {
			list = append(list, c.Zrange().Key(p.key).Min(strconv.FormatInt(w[0], 10)).Max(strconv.FormatInt(w[1], 10)).Build())
		}
	}
	return list
}

// partsOf are the lists of the queues that hold something.
func (l *surveyor) partsOf() []*surveyPart {
	var parts []*surveyPart
	for i := range l.survey.Queues {
		q := &l.survey.Queues[i]
		for _, s := range []struct {
			key    string
			status distro.Status
			list   bool
			length int64
		}{
			{keyStarted, distro.StatusStarted, false, q.Started}, {keyQueue, distro.StatusQueued, true, q.Queued},
			{keyMoving, distro.StatusQueued, true, q.Intermediate}, {ownHeld, distro.StatusQueued, false, q.Held},
			{keyScheduled, distro.StatusScheduled, false, q.Scheduled}, {keyDeferred, distro.StatusDeferred, false, q.Deferred},
			{keyFailed, distro.StatusFailed, false, q.Failed}, {keyFinished, distro.StatusFinished, false, q.Finished},
			{keyCanceled, distro.StatusCanceled, false, q.Canceled},
		} {
			if s.length == 0 {
				continue
			}
			key := s.key + q.Name
			if s.key == keyMoving {
				key = keyQueue + q.Name + keyMoving
			}
			parts = append(parts, &surveyPart{source: source{status: s.status, queue: q.Name, key: key, list: s.list}, queue: q, length: s.length})
		}
	}
	return parts
}

// entries looks at both ends of every list, and finds entries without a job.
func (l *surveyor) entries(ctx context.Context) error {
	l.parts, l.found, l.walked = l.partsOf(), map[string]bool{}, map[string]bool{}
	share := int64(min(max(surveyEntries/max(2*len(l.parts), 1), 1), surveyOfList))
	whole := map[string]bool{}
	for _, p := range l.parts {
		p.windows = [][2]int64{{0, share - 1}, {-share, -1}}
		if p.length <= 2*share {
			p.windows = [][2]int64{{0, 2*share - 1}}
		} else {
			p.queue.Sampled, l.survey.Jobs.Sampled = true, true
			whole[p.queue.Name] = whole[p.queue.Name] || p.status == distro.StatusQueued
		}
	}
	for _, q := range l.survey.Queues {
		l.walked[q.Name] = !whole[q.Name] && !l.emptied[q.Name]
	}
	if err := l.readParts(ctx); err != nil {
		return err
	}
	gone, err := l.without(ctx)
	if err != nil {
		return err
	}
	if len(gone) > 0 {
		if err := l.tellGone(ctx, gone); err != nil {
			return err
		}
	}
	return l.oldest(ctx)
}

// tellGone notes the entries without a job. Other programs go on meanwhile: what
// has left its list when it is read again was no such entry.
func (l *surveyor) tellGone(ctx context.Context, gone map[string]bool) error {
	if err := l.readParts(ctx); err != nil {
		return err
	}
	still, err := l.without(ctx)
	if err != nil {
		return err
	}
	for _, p := range l.parts {
		for _, member := range p.members {
			id := p.jobID(member)
			if !gone[id] || !still[id] {
				continue
			}
			p.queue.Gone++
			if len(p.queue.GoneIDs) < surveyIDs {
				p.queue.GoneIDs = append(p.queue.GoneIDs, strings.ToValidUTF8(id, "\uFFFD"))
			}
			delete(l.found, id)
		}
	}
	l.ids = slices.DeleteFunc(l.ids, func(id string) bool { _, is := l.found[id]; return !is })
	return nil
}

func (l *surveyor) readParts(ctx context.Context) error {
	var commands rueidis.Commands
	for _, p := range l.parts {
		p.members = nil
		p.queue.Looked = 0
		commands = append(commands, p.commands(l.b.client.B())...)
	}
	l.ids, l.found, l.survey.Jobs.Looked = nil, map[string]bool{}, 0
	answers := l.b.doMulti(ctx, commands)
	for _, p := range l.parts {
		for range p.windows {
			members, err := readable(answers[0].AsStrSlice())
			if err != nil {
				return err
			}
			answers = answers[1:]
			p.members = append(p.members, members...)
		}
		p.queue.Looked += len(p.members)
		l.survey.Jobs.Looked += len(p.members)
		active := p.status != distro.StatusFailed && p.status != distro.StatusFinished && p.status != distro.StatusCanceled
		for _, member := range p.members {
			id := p.jobID(member)
			if id != member {
				l.survey.clue("2.0 or later", "entries of rq:wip:"+p.queue.Name+" name an execution")
			}
			if _, known := l.found[id]; !known {
				l.ids = append(l.ids, id)
			}
			l.found[id] = l.found[id] || active
		}
		if p.key == keyQueue+p.queue.Name+keyMoving && len(p.members) > 0 {
			l.survey.clue("1.15 or later", p.key+" holds jobs")
		}
	}
	return nil
}

// without are those of the jobs that have no record.
func (l *surveyor) without(ctx context.Context) (map[string]bool, error) {
	lengths, err := l.callLengths(ctx, l.ids)
	gone := map[string]bool{}
	for i, n := range lengths {
		if n == 0 {
			gone[l.ids[i]] = true
		}
	}
	return gone, err
}

// callLengths are the lengths of the calls of jobs, 0 of those that are not
// there.
func (l *surveyor) callLengths(ctx context.Context, ids []string) ([]int64, error) {
	commands := make(rueidis.Commands, len(ids))
	for i, id := range ids {
		commands[i] = l.b.client.B().Hstrlen().Key(keyJob + id).Field("data").Build()
	}
	lengths := make([]int64, len(ids))
	for i, answer := range l.b.doMulti(ctx, commands) {
		var err error
		if lengths[i], err = readable(answer.AsInt64()); err != nil {
			return nil, err
		}
	}
	return lengths, nil
}

// oldest sets since when the job at the front of each queue waits.
func (l *surveyor) oldest(ctx context.Context) error {
	for i := range l.survey.Queues {
		q := &l.survey.Queues[i]
		if q.Queued == 0 {
			continue
		}
		answer := l.b.client.Do(ctx, l.b.client.B().Lindex().Key(keyQueue+q.Name).Index(0).Build())
		id, err := readable(answer.ToString())
		if err != nil {
			return err
		}
		jobs, err := l.b.hashes(ctx, []string{id}, "enqueued_at")
		if err != nil {
			return err
		}
		if at := parseRQTime(jobs[0]["enqueued_at"]); !at.IsZero() {
			q.OldestAt = &at
		}
	}
	return nil
}

// jobs reads the calls of a part of the jobs: as many of each list as of the
// others, as far as there are some.
func (l *surveyor) jobs(ctx context.Context) error {
	j := &l.survey.Jobs
	j.Serializers, j.Timeouts, j.ResultTTLs, j.Retries = map[string]int{}, map[int]int{}, map[int]int{}, map[int]int{}
	j.functions, j.unreadable, j.writers = map[SurveyedFunction]*SurveyedFunction{}, map[string]*SurveyedUnreadable{}, map[string]int{}
	ids := l.choose()
	lengths, err := l.callLengths(ctx, ids)
	if err != nil {
		return err
	}
	var batch []string
	var bytes, all int64
	for i, id := range ids {
		switch {
		case lengths[i] == 0:
			continue // it ended and went meanwhile
		case lengths[i] > surveyCall || all+lengths[i] > surveyBytes:
			j.Long++
			continue
		}
		if bytes+lengths[i] > surveyBatch || len(batch) == pipelineStep {
			if err := l.readCalls(ctx, batch); err != nil {
				return err
			}
			batch, bytes = nil, 0
		}
		batch, bytes, all = append(batch, id), bytes+lengths[i], all+lengths[i]
	}
	return l.readCalls(ctx, batch)
}

// choose picks whose calls are read.
func (l *surveyor) choose() []string {
	if len(l.ids) <= surveyCalls {
		return l.ids
	}
	l.survey.Jobs.Sampled = true
	share := max(surveyCalls/len(l.parts), 1)
	chosen, seen := make([]string, 0, surveyCalls), map[string]bool{}
	for _, p := range l.parts {
		step := max(len(p.members)/share, 1) // from all over what was looked at
		for i := 0; i < len(p.members) && len(chosen) < surveyCalls; i += step {
			if id := p.jobID(p.members[i]); !seen[id] {
				seen[id] = true
				chosen = append(chosen, id)
			}
		}
	}
	return chosen
}

// surveyFields are the fields of a job that are read: its call, and what tells
// who wrote it and what settings it was made with.
func surveyFields() []string {
	return []string{
		"data", "status", "timeout", "result_ttl", "retries_left", fieldSeq, "stopped_callback_name", "group_id",
		"number_of_retries", "repeats_left", "enqueue_at_front_on_retry", "webhooks",
	}
}

func (l *surveyor) readCalls(ctx context.Context, ids []string) error {
	jobs, err := l.b.hashes(ctx, ids, surveyFields()...)
	if err != nil {
		return err
	}
	j := &l.survey.Jobs
	for i, fields := range jobs {
		if fields["data"] == "" {
			continue
		}
		j.Read++
		j.call(ids[i], l.b.codec.inflatePayload(fields["data"]), l.found[ids[i]])
		if _, ours := fields[fieldSeq]; !ours {
			j.writers[writerOf(fields)]++
			j.setting(j.Timeouts, fields["timeout"])
			j.setting(j.ResultTTLs, cmp.Or(fields["result_ttl"], "500"))
			if l.found[ids[i]] {
				j.setting(j.Retries, cmp.Or(fields["retries_left"], "0"))
			}
		}
	}
	return nil
}

// maxValues is how many values of a setting are told apart.
const maxValues = 100

func (j *SurveyedJobs) setting(into map[int]int, text string) {
	if n, err := strconv.Atoi(text); err == nil && (len(into) < maxValues || into[n] > 0) {
		into[n]++
	}
}

// writerOf is the RQ that wrote a job, by the fields that it always writes, and
// by those that only some features do.
func writerOf(fields map[string]string) string {
	for _, sign := range [][2]string{
		{"webhooks", "2.10 or later"}, {"enqueue_at_front_on_retry", "2.8 or later"}, {"repeats_left", "2.3 or later"},
		{"number_of_retries", "2.1 or later"}, {"group_id", "2.0 or later"}, {"stopped_callback_name", "1.15 or 1.16"},
	} {
		if _, has := fields[sign[0]]; has {
			return sign[1]
		}
	}
	return "1.14 or earlier"
}

// call notes a call, or why it cannot be read.
func (j *SurveyedJobs) call(id string, data []byte, waits bool) {
	f, serializer, reason := readCall(data)
	if reason != "" {
		u := j.unreadable[reason]
		if u == nil {
			u = &SurveyedUnreadable{Reason: reason}
			j.unreadable[reason] = u
		}
		if u.Jobs++; len(u.IDs) < surveyIDs {
			u.IDs = append(u.IDs, strings.ToValidUTF8(id, "\uFFFD"))
		}
	}
	j.Serializers[serializer]++
	if f.Name == "" {
		return
	}
	seen := j.functions[f]
	if seen == nil {
		if len(j.functions) == surveyNames {
			j.Sampled = true
			return
		}
		seen = &SurveyedFunction{Name: f.Name, Class: f.Class}
		j.functions[f] = seen
	}
	if seen.Jobs++; waits {
		seen.Waiting++
	}
}

// readCall reads a call without running anything of it.
func readCall(data []byte) (f SurveyedFunction, serializer, reason string) {
	switch {
	case len(data) > 0 && data[0]&0x0f == 8 && len(data) > 1 && (int(data[0])<<8|int(data[1]))%31 == 0:
		return f, "unknown", "its compressed data is damaged or cut off"
	case isJSON(data):
		f.Name = cutName(calledFunction(data))
		var parts []json.RawMessage
		switch err := json.Unmarshal(data, &parts); {
		case err != nil:
			reason = "its JSON is damaged or cut off"
		case len(parts) != 4 || f.Name == "":
			reason = "its JSON is no call of RQ"
		}
		return f, distro.SerializerJSON, reason
	}
	view, err := pickle.Call(data)
	if err == nil {
		return SurveyedFunction{Name: cutName(view.Function), Class: cutName(view.Instance)}, distro.SerializerPickle, ""
	}
	f.Name = cutName(pickle.Function(data))
	if f.Name == "" && (len(data) == 0 || data[0] != 0x80) {
		return f, "unknown", "it was written by a serializer that is neither pickle nor RQ's JSON"
	}
	return f, distro.SerializerPickle, "its " + clipped(err.Error())
}

// cutName is a name that a call holds, cut.
func cutName(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), 200)], "\uFFFD")
}

// clipped is why a pickle cannot be read, without the place, so that equal
// reasons are counted together.
func clipped(text string) string {
	text = strings.TrimPrefix(text, "read ")
	if before, rest, ok := strings.Cut(text, "before byte "); ok {
		if _, what, found := strings.Cut(rest, ": "); found {
			text = before + what
		}
	}
	return strings.ToValidUTF8(text[:min(len(text), 120)], "\uFFFD")
}

// maxReasons is how many kinds of unreadable calls are told.
const maxReasons = 20

// finish orders what was counted, the most frequent first.
func (j *SurveyedJobs) finish() {
	for _, key := range slices.SortedFunc(maps.Keys(j.functions), func(a, b SurveyedFunction) int {
		return cmp.Or(cmp.Compare(j.functions[b].Jobs, j.functions[a].Jobs), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Class, b.Class))
	}) {
		j.Functions = append(j.Functions, *j.functions[key])
	}
	for _, u := range j.unreadable {
		j.Unreadable = append(j.Unreadable, *u)
	}
	slices.SortFunc(j.Unreadable, func(a, b SurveyedUnreadable) int {
		return cmp.Or(cmp.Compare(b.Jobs, a.Jobs), cmp.Compare(a.Reason, b.Reason))
	})
	j.Unreadable = j.Unreadable[:min(len(j.Unreadable), maxReasons)]
	for rq, n := range j.writers {
		j.Writers = append(j.Writers, SurveyedWriter{RQ: rq, Jobs: n})
	}
	slices.SortFunc(j.Writers, func(a, b SurveyedWriter) int {
		return cmp.Or(cmp.Compare(b.Jobs, a.Jobs), cmp.Compare(a.RQ, b.RQ))
	})
}

// maxLost is how many jobs in no list are named.
const maxLost = 1000

// popped is how long a job that a stock worker has popped may stand nowhere.
const popped = time.Minute

// lost finds jobs that say they are queued and stand in no list: a stock worker
// of several queues that dies between taking one and beginning it leaves such.
// It looks at a part of the keys, and at queues all of whose jobs are known.
func (l *surveyor) lost(ctx context.Context) error {
	known := map[string]bool{}
	for _, p := range l.parts {
		if p.status == distro.StatusQueued {
			for _, id := range p.members {
				known[id] = true
			}
		}
	}
	cursor := uint64(0)
	for range surveyKeys {
		entry, err := l.b.client.Do(ctx, l.b.client.B().Scan().Cursor(cursor).Match(keyJob+"*").Count(500).Build()).AsScanEntry()
		if err != nil {
			return unavailable(err)
		}
		var ids []string
		for _, key := range entry.Elements {
			if id := strings.TrimPrefix(key, keyJob); !known[id] && !strings.HasSuffix(id, keyDependents) && !strings.HasPrefix(key, keyParents) {
				ids = append(ids, id)
			}
		}
		if err := l.addLost(ctx, ids); err != nil {
			return err
		}
		if cursor = entry.Cursor; cursor == 0 {
			return nil
		}
	}
	l.survey.Jobs.Sampled = true
	return nil
}

func (l *surveyor) addLost(ctx context.Context, ids []string) error {
	jobs, err := l.b.hashes(ctx, ids, "status", "origin", "enqueued_at", fieldClaim)
	if err != nil {
		return err
	}
	j := &l.survey.Jobs
	for i, fields := range jobs {
		at := parseRQTime(fields["enqueued_at"])
		if fields["status"] != string(distro.StatusQueued) || fields[fieldClaim] != "" || at.IsZero() || l.survey.At.Sub(at) < popped || !l.walked[fields["origin"]] {
			continue
		}
		if len(j.Lost) == maxLost {
			return nil
		}
		j.Lost = append(j.Lost, strings.ToValidUTF8(ids[i], "\uFFFD"))
	}
	return nil
}
