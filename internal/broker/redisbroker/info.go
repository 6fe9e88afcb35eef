package redisbroker

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

// Info is what an operator should know of the Redis.
type Info struct {
	Where     string // address, without user and password
	Version   string // empty where the server does not tell
	Replica   bool   // it takes no writes
	Eviction  string // maxmemory-policy; empty where the server does not tell
	MaxMemory int64  // bytes; 0: no limit
	AOF       bool
	Saves     string        // the setting "save"; empty: it never saves by itself, or does not tell
	SaveFails bool          // the last attempt to write to disk failed
	ClockSkew time.Duration // by how much its clock is ahead of ours
}

// maxSkew is how far clocks may differ. A running job counts as abandoned for
// RQ by the clocks of its workers, 60 s after it was last heard of.
const maxSkew = 10 * time.Second

// Info asks Redis about itself.
func (b *Broker) Info(ctx context.Context) (Info, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	c := b.client.B()
	before := b.opts.Clock.Now()
	answers := b.client.DoMulti(ctx, c.Time().Build(), c.Info().Build(), c.ConfigGet().Parameter("save").Build())
	middle := before.Add(b.opts.Clock.Now().Sub(before) / 2)
	clock, err := answers[0].AsStrSlice()
	if err != nil {
		return Info{}, fmt.Errorf("ask Redis for the time: %w", unavailable(err))
	}
	info := Info{Where: b.target.String()}
	if len(clock) == 2 {
		info.ClockSkew = parseUnix(clock[0] + "." + fmt.Sprintf("%06s", clock[1])).Sub(middle)
	}
	// Hosted servers refuse these: then there is nothing to say.
	if text, err := answers[1].ToString(); err == nil {
		info.read(infoFields(text))
	}
	if settings, err := answers[2].AsStrMap(); err == nil {
		info.Saves = settings["save"]
	}
	return info, nil
}

func (i *Info) read(fields map[string]string) {
	i.Version, i.Eviction = fields["redis_version"], fields["maxmemory_policy"]
	i.Replica = fields["role"] == "slave"
	i.MaxMemory = int64(intField(fields, "maxmemory"))
	i.AOF = fields["aof_enabled"] == "1"
	i.SaveFails = fields["rdb_last_bgsave_status"] == "err" || fields["aof_last_write_status"] == "err"
}

// Warnings are lines that say what to do, one for each thing that may lose
// jobs.
func (i Info) Warnings() []string {
	var list []string
	warn := func(wrong bool, format string, args ...any) {
		if wrong {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	warn(i.Replica, "Redis %s is a replica and takes no writes: name its master, or Sentinel, in redis_url", i.Where)
	warn(i.Eviction != "" && i.Eviction != "noeviction",
		"Redis %s evicts keys when memory is full, and jobs with them (maxmemory-policy is %s): run CONFIG SET maxmemory-policy noeviction, and set it in redis.conf", i.Where, i.Eviction)
	warn(!i.AOF && i.Saves == "" && i.Eviction != "",
		"Redis %s keeps nothing on disk: a restart loses all jobs; run CONFIG SET appendonly yes, and set it in redis.conf", i.Where)
	warn(!i.AOF && i.Saves != "",
		"Redis %s writes to disk only now and then (save %s): a crash loses the jobs since; run CONFIG SET appendonly yes, and set it in redis.conf", i.Where, i.Saves)
	warn(i.SaveFails, "Redis %s could not write to disk: see its log, and make room", i.Where)
	warn(i.ClockSkew.Abs() > maxSkew,
		"the clocks of Redis %s and of this machine differ by %s: synchronize them (NTP), or RQ's workers take running jobs for abandoned", i.Where, i.ClockSkew.Abs().Round(time.Second))
	return list
}

// HoldsQueues reports whether the Redis at an address, which needs no password,
// holds queues of RQ.
func HoldsQueues(ctx context.Context, address string) (bool, error) {
	t := target{network: "tcp", addresses: []string{address}}
	client, err := rueidis.NewClient(t.clientOption())
	if err != nil {
		return false, fmt.Errorf("connect to Redis %s: %w", &t, unavailable(err))
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	n, err := client.Do(ctx, client.B().Exists().Key(keyQueues).Build()).AsInt64()
	if err != nil {
		return false, fmt.Errorf("look for queues in Redis %s: %w", &t, unavailable(err))
	}
	return n > 0, nil
}
