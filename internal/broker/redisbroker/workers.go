package redisbroker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
)

// Workers implements broker.Broker. Reading cleans nothing up: workers that
// died are left to Sweep, and those of RQ to RQ.
func (b *Broker) Workers(ctx context.Context) ([]distro.Worker, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	list, err := b.processes(ctx)
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	stock, err := b.stockWorkers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list RQ's workers: %w", err)
	}
	list = append(list, stock...)
	slices.SortFunc(list, func(a, b distro.Worker) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// processes are the workers of Distro.
func (b *Broker) processes(ctx context.Context) ([]distro.Worker, error) {
	names, err := b.members(ctx, ownWorkers)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	c := b.client.B()
	commands := make(rueidis.Commands, 0, 2*len(names))
	for _, name := range names {
		commands = append(commands,
			c.Hmget().Key(ownWorker+name).Field("info", "seen", "finished", "failed").Build(), c.Hgetall().Key(ownClaims+name).Build())
	}
	answers := b.client.DoMulti(ctx, commands...)
	var list []distro.Worker
	var holder []int // of each claim, an index of list
	var tokens, ids []string
	for i, name := range names {
		fields, err := readable(columns(answers[2*i], "info", "seen", "finished", "failed"))
		if err != nil {
			return nil, err
		}
		claims, err := readable(answers[2*i+1].AsStrMap())
		if err != nil {
			return nil, err
		}
		if fields["seen"] == "" {
			continue // it left meanwhile
		}
		list = append(list, process(name, fields))
		for token, id := range claims {
			holder, tokens, ids = append(holder, len(list)-1), append(tokens, token), append(ids, id)
		}
	}
	jobs, err := b.hashes(ctx, ids, "status", fieldClaim)
	if err != nil {
		return nil, err
	}
	for i, job := range jobs {
		w := &list[holder[i]]
		if job["status"] == string(distro.StatusStarted) && job[fieldClaim] == tokens[i]+" "+w.Name {
			w.Running = append(w.Running, ids[i])
		}
	}
	for i := range list {
		slices.Sort(list[i].Running)
	}
	return list, nil
}

func process(name string, fields map[string]string) distro.Worker {
	var info workerInfo
	_ = json.Unmarshal([]byte(fields["info"]), &info) // what is no info tells nothing
	return distro.Worker{
		Name: name, Host: info.Host, PID: info.PID, Queues: info.Queues, Slots: info.Slots, Isolation: info.Isolation,
		Python: info.Python, Version: info.Version, StartedAt: info.StartedAt, Draining: info.Draining,
		SeenAt:   parseRQTime(fields["seen"]),
		Finished: int64(intField(fields, "finished")), Failed: int64(intField(fields, "failed")),
	}
}

// stockWorkers are the workers of RQ itself, those that have ended left out.
func (b *Broker) stockWorkers(ctx context.Context) ([]distro.Worker, error) {
	keys, err := b.members(ctx, keyWorkers)
	if err != nil {
		return nil, err
	}
	names := []string{
		"birth", "last_heartbeat", "queues", "pid", "hostname", "version", "python_version", "current_job",
		"successful_job_count", "failed_job_count", "shutdown_requested_date", "death", "distro_worker",
		"state", "total_working_time",
	}
	var list []distro.Worker
	for part := range slices.Chunk(keys, pipelineStep) {
		commands := make(rueidis.Commands, len(part))
		for i, key := range part {
			commands[i] = b.client.B().Hmget().Key(key).Field(names...).Build()
		}
		for i, answer := range b.client.DoMulti(ctx, commands...) {
			fields, err := readable(columns(answer, names...))
			if err != nil {
				return nil, err
			}
			name, ok := strings.CutPrefix(part[i], keyWorker)
			if !ok || len(fields) == 0 || fields["death"] != "" || fields["distro_worker"] != "" {
				continue
			}
			list = append(list, stockWorker(name, fields))
		}
	}
	return list, nil
}

func stockWorker(name string, fields map[string]string) distro.Worker {
	text := func(name string) string { return strings.ToValidUTF8(fields[name], "\uFFFD") }
	w := distro.Worker{
		Name: name, Host: text("hostname"), PID: intField(fields, "pid"), Slots: 1, Version: text("version"),
		StartedAt: parseRQTime(fields["birth"]), SeenAt: parseRQTime(fields["last_heartbeat"]),
		Draining: fields["shutdown_requested_date"] != "", Stock: true,
	}
	w.Build, w.State = text("python_version"), text("state")
	w.Python, _, _ = strings.Cut(w.Build, " ")
	if worked, err := strconv.ParseFloat(fields["total_working_time"], 64); err == nil && worked > 0 && worked < float64(maxSeconds)/2 {
		w.Worked = time.Duration(worked * float64(time.Second))
	}
	if queues := text("queues"); queues != "" {
		w.Queues = strings.Split(queues, ",")
	}
	if id := fields["current_job"]; id != "" {
		w.Running = []string{id}
	}
	good, _ := strconv.ParseInt(fields["successful_job_count"], 10, 64)
	w.Failed, _ = strconv.ParseInt(fields["failed_job_count"], 10, 64)
	w.Finished = good + w.Failed
	return w
}

// pipelineStep is how many commands are sent before their answers are read.
const pipelineStep = 500

// members are those of a set, in order.
func (b *Broker) members(ctx context.Context, key string) ([]string, error) {
	list, err := readable(b.client.Do(ctx, b.client.B().Smembers().Key(key).Build()).AsStrSlice())
	slices.Sort(list)
	return list, err
}

// hashes reads fields of the hashes of jobs; those that a hash lacks are
// missing.
func (b *Broker) hashes(ctx context.Context, ids []string, names ...string) ([]map[string]string, error) {
	list := make([]map[string]string, 0, len(ids))
	for part := range slices.Chunk(ids, pipelineStep) {
		commands := make(rueidis.Commands, len(part))
		for i, id := range part {
			commands[i] = b.client.B().Hmget().Key(keyJob + id).Field(names...).Build()
		}
		for _, answer := range b.client.DoMulti(ctx, commands...) {
			fields, err := readable(columns(answer, names...))
			if err != nil {
				return nil, err
			}
			list = append(list, fields)
		}
	}
	return list, nil
}

// columns names the values of an answer to HMGET, those that are missing left
// out.
func columns(answer rueidis.RedisResult, names ...string) (map[string]string, error) {
	values, err := answer.ToArray()
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string, len(names))
	for i := range min(len(values), len(names)) {
		if text, err := values[i].ToString(); err == nil {
			fields[names[i]] = text
		}
	}
	return fields, nil
}
