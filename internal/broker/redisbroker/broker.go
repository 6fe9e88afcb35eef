// Package redisbroker keeps jobs on Redis in the layout of RQ, side by side
// with RQ's own producers, workers, schedulers and dashboards. docs/rq-wire.md
// specifies what it reads and writes.
//
// Every change is one script (scripts/*.lua), so it is atomic, and costs one
// round trip. The scripts share scripts/lib.lua and take the time from the
// caller's clock.
package redisbroker

import (
	"cmp"
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro/internal/broker"
)

var _ broker.Broker = (*Broker)(nil)

// sources are the scripts, one per kind of change.
//
//go:embed scripts/*.lua
var sources embed.FS

// Options configure a Broker.
type Options struct {
	// URL names the Redis: redis://, rediss://, unix:// or sentinel://, as
	// docs/rq-wire.md lists. It may hold a password and is never logged.
	URL   string
	Clock broker.Clock
	// Schedule names the queues whose delayed jobs this process moves when
	// they are due, unless another scheduler, of whatever make, does.
	Schedule []string
	// Queues names those that this process looks after: it deletes there what
	// has expired, and repairs what dead processes left. Default: all.
	Queues []string
	// Feed says that this process reads the change feed: it is written from now
	// on. Else it is from the first Changes on.
	Feed bool
	// Quiet says that this process writes nothing until it acts: it reads the
	// change feed only where others have it written.
	Quiet bool

	FeedKeep     int           // entries of the change feed that are kept at least; default 100,000
	ResultTTL    time.Duration // of finished jobs that say none; default 500 s
	WorkerTTL    time.Duration // an idle worker that is not heard of is off RQ's lists after this and a minute; default 420 s
	MonitorEvery time.Duration // a running job that is not heard of counts as abandoned for RQ after this and a minute; default 30 s
	Timeout      time.Duration // of one call where the caller sets none; default 1.5 s

	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.FeedKeep = cmp.Or(o.FeedKeep, 100_000)
	o.ResultTTL = cmp.Or(o.ResultTTL, 500*time.Second)
	o.WorkerTTL = cmp.Or(o.WorkerTTL, 420*time.Second)
	o.MonitorEvery = cmp.Or(o.MonitorEvery, 30*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 1500*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Broker is a broker.Broker on Redis.
type Broker struct {
	opts      Options
	client    rueidis.Client
	codec     codec
	target    *target
	scripts   map[string]*rueidis.Lua
	wanted    []string      // fields of a job that a worker is given
	instance  string        // tells this value from others that use a worker's name
	lookAgain time.Duration // the constant, but in tests
	lock      string        // value of the scheduler's locks: a number, which every RQ can read

	life context.Context //nolint:containedctx // ends with Close; its goroutines have no caller
	end  context.CancelFunc
	wg   sync.WaitGroup

	signals *signals
	lost    readings

	mu      sync.Mutex
	workers map[string]*registered
	reader  time.Duration // when the feed's reader was last announced
	queues  int           // where the next look for what has expired begins
	upkeep  time.Duration // when maintenance was last done

	deflater deflater
}

// Open connects to Redis and checks that it can be used.
func Open(ctx context.Context, opts Options) (*Broker, error) {
	opts = opts.withDefaults()
	client, where, err := connect(ctx, opts)
	if err != nil {
		return nil, err
	}
	b := &Broker{
		opts: opts, client: client, target: where, scripts: map[string]*rueidis.Lua{},
		wanted: wantedFields(), lookAgain: lookAgain, instance: randomHex(8), lock: randomNumber(), workers: map[string]*registered{},
	}
	for _, name := range []string{"rows", "part", "stock"} {
		text, err := sources.ReadFile("scripts/" + name + ".lua")
		if err != nil {
			client.Close()
			return nil, fmt.Errorf("read script %q: %w", name, err)
		}
		b.scripts[name] = rueidis.NewLuaScript(string(text))
	}
	for _, name := range []string{"enqueue", "exchange", "act", "due", "rescue", "expire", "empty", "maintain", "release", "alive", "ship", "take", "hold", "compact"} {
		if b.scripts[name], err = script(name); err != nil {
			client.Close()
			return nil, err
		}
	}
	b.life, b.end = context.WithCancel(context.WithoutCancel(ctx))
	b.signals = newSignals(b)
	if err := b.signals.start(ctx); err != nil {
		b.end()
		b.wg.Wait()
		client.Close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	if opts.Feed {
		b.announceReader(ctx, true)
	}
	return b, nil
}

// Close gives the scheduler's locks back and ends all waits.
func (b *Broker) Close() error {
	ctx, cancel := context.WithTimeout(b.life, b.opts.Timeout)
	b.unlock(ctx)
	cancel()
	b.end()
	b.wg.Wait()
	b.client.Close()
	return nil
}

// ChildURL is the URL of this Redis for the processes of jobs, as redis-py
// reads it. It may hold a password.
func (b *Broker) ChildURL() string { return b.target.childURL() }

func script(name string) (*rueidis.Lua, error) {
	text := prelude()
	for _, part := range []string{"lib", name} {
		source, err := sources.ReadFile("scripts/" + part + ".lua")
		if err != nil {
			return nil, fmt.Errorf("read script %q: %w", part, err)
		}
		text += string(source)
	}
	return rueidis.NewLuaScript(text), nil
}

// bound limits a call whose caller has set no time for it.
func (b *Broker) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, b.opts.Timeout)
}

// run runs a script with the arguments that all of them begin with.
func (b *Broker) run(ctx context.Context, name string, args *arguments) (rueidis.RedisResult, error) {
	ctx, cancel := b.bound(ctx)
	defer cancel()
	result := b.scripts[name].Exec(ctx, b.client, nil, args.list)
	return result, unavailable(result.Error())
}

// arguments are those of a script, in the order in which it reads them.
type arguments struct {
	list []string
}

// begin starts the arguments of a script with what lib.lua reads.
func (b *Broker) begin(now time.Time, size int) *arguments {
	a := &arguments{list: make([]string, 0, size+8)}
	a.text(strconv.FormatInt(now.UnixMicro(), 10), rqTime(now))
	a.number(b.opts.FeedKeep)
	a.number(seconds(b.opts.ResultTTL))
	a.number(seconds(b.opts.MonitorEvery) + 60)
	a.text(b.wakeChannel())
	return a
}

func (a *arguments) text(values ...string) { a.list = append(a.list, values...) }
func (a *arguments) number(n int)          { a.list = append(a.list, strconv.Itoa(n)) }

func (a *arguments) flag(set bool) {
	if set {
		a.text("1")
	} else {
		a.text("0")
	}
}

// many adds a list with its length.
func (a *arguments) many(values []string) {
	a.number(len(values))
	a.text(values...)
}

func (b *Broker) wakeChannel() string { return ownWake + strconv.Itoa(b.target.db) }

// now is the time as Redis keeps it.
func (b *Broker) now() time.Time { return b.opts.Clock.Now().UTC().Truncate(time.Microsecond) }

// seconds rounds up; distro.Forever is RQ's -1.
func seconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int((d + time.Second - 1) / time.Second)
}

func randomHex(n int) string {
	p := make([]byte, n)
	_, _ = rand.Read(p) // never fails: see crypto/rand
	return hex.EncodeToString(p)
}

func randomNumber() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<52))
	if err != nil {
		panic("unreachable: crypto/rand does not fail")
	}
	return n.String()
}
