package main

import (
	"cmp"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/worker"
)

// workerFlags are the flags of `rq worker`, of all its versions, and our own.
type workerFlags struct {
	url, name, pid     string
	path               []string
	serializer         string
	burst, schedule    bool
	dequeue            string
	maxJobs, maxIdle   int
	resultTTL          int
	workerTTL          int
	monitorEvery       int
	verbose, quiet     bool
	loggingLevel       string
	modules, isolation string
	python             string
	install            bool
	concurrency        int
}

// Values of flags that are RQ's defaults.
const (
	defaultRedis     = "redis://localhost:6379/0"
	defaultResultTTL = 500
)

var (
	namePattern   = regexp.MustCompile(`^[^\s\x00-\x1f\x7f]{0,200}$`)
	dottedPattern = regexp.MustCompile(`^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?$`)
)

// add adds the flags to the command. Those that have no effect are there to
// be taken.
func (f *workerFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.url, "url", "u", "", "`URL` of the Redis")
	flags.StringVarP(&f.name, "name", "n", "", "`NAME` of the worker; several slots are NAME.1, NAME.2 … (default: a random one)")
	flags.IntVar(&f.concurrency, "concurrency", 1, "jobs at a time")
	flags.StringVar(&f.isolation, "isolation", "", "process of a job: fork, pool or spawn (default: fork on Linux, else spawn)")
	flags.StringVar(&f.modules, "modules", ".", "`DIR` that jobs import from")
	flags.StringArrayVarP(&f.path, "path", "P", nil, "`DIR` to import from too, behind all others; may be repeated")
	flags.StringVar(&f.python, "python", "auto", "interpreter: a `PATH`, a name, or auto for $VIRTUAL_ENV, .venv, venv, python3")
	flags.BoolVar(&f.install, "install", false, "prepare an environment from requirements.txt of --modules and run jobs in it")
	flags.StringVarP(&f.serializer, "serializer", "S", "", "json, pickle or the dotted path of a serializer of RQ (default: pickle)")
	flags.BoolVarP(&f.burst, "burst", "b", false, "end when the queues are empty")
	flags.BoolVarP(&f.schedule, "with-scheduler", "s", false, "queue the delayed jobs of these queues when they are due")
	flags.StringVar(&f.dequeue, "dequeue-strategy", string(worker.InOrder), "-ds: order of the queues: default (as given), round_robin or random")
	flags.IntVar(&f.maxJobs, "max-jobs", 0, "end after `N` jobs")
	flags.IntVar(&f.maxIdle, "max-idle-time", 0, "end after `SECONDS` without a job")
	flags.IntVar(&f.resultTTL, "results-ttl", defaultResultTTL, "`SECONDS` to keep the results of jobs that do not say; -1: for ever")
	flags.IntVar(&f.workerTTL, "worker-ttl", 0, "`SECONDS` after which an idle worker that is not heard of is off RQ's lists (default 420)")
	flags.IntVar(&f.monitorEvery, "job-monitoring-interval", 0, "`SECONDS` after which a running job that is not heard of is late (default 30)")
	flags.StringVar(&f.pid, "pid", "", "`FILE` to write the process ID to")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log each job")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "log warnings and errors only")
	flags.StringVar(&f.loggingLevel, "logging_level", "INFO", "`LEVEL` of the log: DEBUG, INFO, WARNING, ERROR or CRITICAL")
	flags.Bool("disable-job-desc-logging", false, "arguments of jobs are not logged anyway")
	for _, class := range classes() {
		flags.StringP(class.flag, class.short, "", "taken where it is RQ's own: "+class.own[0])
	}
	for _, u := range withoutEffect() {
		switch {
		case u.many:
			flags.StringArrayP(u.flag, u.short, nil, "no effect: "+u.why)
		case u.toggle:
			flags.BoolP(u.flag, u.short, false, "no effect: "+u.why)
		default:
			flags.StringP(u.flag, u.short, "", "no effect: "+u.why)
		}
	}
}

// spelled writes RQ's flag of two letters as others know it.
func spelled(args []string) []string {
	if len(args) == 0 || args[0] != "worker" {
		return args
	}
	args = slices.Clone(args)
	for i, arg := range args {
		switch {
		case arg == "--":
			return args
		case arg == "-ds" || strings.HasPrefix(arg, "-ds="):
			args[i] = "--dequeue-strategy" + strings.TrimPrefix(arg, "-ds")
		}
	}
	return args
}

// class is a class that `rq worker` may be told to use in place of its own.
type class struct {
	flag, short, env string
	own              []string          // names of RQ's or redis-py's own
	instead          map[string]string // what to do for some others
	why              string            // others cannot be used
}

func classes() []class {
	return []class{{
		flag: "worker-class", short: "w", env: "RQ_WORKER_CLASS", own: []string{"rq.Worker", "rq.worker.Worker"},
		instead: map[string]string{
			"SimpleWorker":     "--isolation pool reuses processes",
			"SpawnWorker":      "--isolation spawn starts a new interpreter for each job",
			"RoundRobinWorker": "pass --dequeue-strategy round_robin", "RandomWorker": "pass --dequeue-strategy random",
			"HerokuWorker": "SIGTERM lets running jobs end here too",
		},
		why: "the loop of this worker is not written in Python",
	}, {
		flag: "job-class", short: "j", env: "RQ_JOB_CLASS", own: []string{"rq.job.Job", "rq.Job"},
		why: "what a job stores is written by this worker, not by the class",
	}, {
		flag: "queue-class", env: "RQ_QUEUE_CLASS", own: []string{"rq.Queue", "rq.queue.Queue"},
		why: "the queues are read by this worker, not by the class",
	}, {
		flag: "connection-class", env: "RQ_CONNECTION_CLASS", own: []string{"redis.Redis", "redis.client.Redis", "redis.StrictRedis"},
		why: "this worker connects to Redis by itself",
	}}
}

// ineffective is a flag of `rq worker` that changes nothing here.
type ineffective struct {
	flag, short, env string
	why              string
	toggle, many     bool
}

func withoutEffect() []ineffective {
	const form, sentry = "the log has its own form", "nothing is sent to Sentry"
	return []ineffective{
		{flag: "config", short: "c", env: "RQ_CONFIG", why: "settings modules are not read: pass --url, --name and the queues"},
		{flag: "exception-handler", why: "a job that raises has failed", many: true},
		{flag: "disable-default-exception-handler", short: "d", why: "a job that raises has failed", toggle: true},
		{flag: "maintenance-interval", why: "the queues are looked after all the time"},
		{flag: "log-format", why: form},
		{flag: "date-format", why: form},
		{flag: "sentry-dsn", env: "RQ_SENTRY_DSN", why: sentry},
		{flag: "sentry-ca-certs", env: "RQ_SENTRY_CA_CERTS", why: sentry},
		{flag: "sentry-debug", env: "RQ_SENTRY_DEBUG", why: sentry},
	}
}

// unused names what was given and has no effect.
func (f *workerFlags) unused(con *console, cmd *cobra.Command) []string {
	var list []string
	for _, u := range withoutEffect() {
		switch {
		case cmd.Flags().Changed(u.flag):
			list = append(list, "--"+u.flag+" ("+u.why+")")
		case u.env != "" && con.getenv(u.env) != "":
			list = append(list, u.env+" ("+u.why+")")
		}
	}
	return list
}

// check looks at the values of the flags.
func (f *workerFlags) check(con *console, cmd *cobra.Command) error {
	for _, c := range classes() {
		if err := c.check(con, cmd.Flags()); err != nil {
			return err
		}
	}
	switch strategies := []worker.Strategy{worker.InOrder, worker.RoundRobin, worker.AtRandom}; {
	case !slices.Contains(strategies, f.strategy()):
		// As RQ it ends with status 1.
		return distro.Errorf(distro.CodeConflict, "--dequeue-strategy: %q is none: use default, round_robin or random", f.dequeue)
	case f.isolation != "" && !slices.Contains([]string{"fork", "pool", "spawn"}, f.isolation):
		return usage("--isolation: %q is not fork, pool or spawn", f.isolation)
	case f.concurrency < 1 || f.concurrency > maxConcurrency:
		return usage("--concurrency: %d is not from 1 to %d: start more workers beside", f.concurrency, maxConcurrency)
	case f.resultTTL < -1 || f.resultTTL > maxSeconds:
		return usage("--results-ttl: %d is not from -1 to %d", f.resultTTL, maxSeconds)
	case !namePattern.MatchString(f.name):
		return usage("--name: %q is not a word of at most 200 characters", f.name)
	case !dottedPattern.MatchString(f.serializer):
		return usage("--serializer: %q is not json, pickle or a dotted path like rq.serializers.JSONSerializer", f.serializer)
	}
	return f.checkCounts(cmd.Flags())
}

// checkCounts looks at those flags that must be positive where they are given.
func (f *workerFlags) checkCounts(flags *pflag.FlagSet) error {
	for flag, n := range map[string]int{
		"max-jobs": f.maxJobs, "max-idle-time": f.maxIdle, "worker-ttl": f.workerTTL, "job-monitoring-interval": f.monitorEvery,
	} {
		if flags.Changed(flag) && (n < 1 || n > maxSeconds) {
			return usage("--%s: %d is not from 1 to %d", flag, n, maxSeconds)
		}
	}
	return nil
}

// check refuses other classes than RQ's own.
func (c class) check(con *console, flags *pflag.FlagSet) error {
	origin, name := c.env, con.getenv(c.env)
	if flag := flags.Lookup(c.flag); flag.Changed {
		origin, name = "--"+c.flag, flag.Value.String()
	}
	if name == "" || slices.Contains(c.own, name) {
		return nil
	}
	advice := "leave it out, or run `rq worker` for it"
	if instead := c.instead[name[strings.LastIndexByte(name, '.')+1:]]; instead != "" {
		advice = instead
	}
	return usage("%s: %q cannot be used: %s; %s", origin, name, c.why, advice)
}

func (f *workerFlags) strategy() worker.Strategy { return worker.Strategy(f.dequeue) }

// level is the level of the log.
func (f *workerFlags) level() (slog.Level, error) {
	levels := map[string]slog.Level{
		"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARNING": slog.LevelWarn, "ERROR": slog.LevelError, "CRITICAL": slog.LevelError + 4,
	}
	level, known := levels[strings.ToUpper(f.loggingLevel)]
	switch {
	case f.verbose && f.quiet:
		return 0, usage("--verbose and --quiet exclude each other: keep one of them")
	case f.verbose:
		return slog.LevelDebug, nil
	case f.quiet:
		return slog.LevelWarn, nil
	case !known:
		return 0, usage("--logging_level: %q is not DEBUG, INFO, WARNING, ERROR or CRITICAL", f.loggingLevel)
	}
	return level, nil
}

// resultTTL is how long results are kept; 0: the default.
func resultTTL(cmd *cobra.Command, seconds int) time.Duration {
	switch {
	case !cmd.Flags().Changed("results-ttl"):
		return 0
	case seconds < 0:
		return distro.Forever
	}
	// RQ deletes the job at once for 0; here that moment lasts a second.
	return max(whole(seconds), time.Second)
}

// Bounds of numbers on the command line.
const (
	maxConcurrency = 100           // each slot is a worker for RQ, kept up in one call
	maxSeconds     = 10 * 31536000 // 10 years
)

// redisURL finds the Redis where RQ does, and says what named it. A URL that
// holds a password may stand in a file, which the variable of the same name with
// _FILE behind it names.
func (f *workerFlags) redisURL(getenv func(string) string) (redis, origin string, err error) {
	if f.url != "" {
		return f.url, "--url", nil
	}
	for _, name := range []string{"RQ_REDIS_URL", "REDIS_URL"} {
		if redis := getenv(name); redis != "" {
			return redis, name, nil
		}
		if file := getenv(name + config.FileSuffix); file != "" {
			name += config.FileSuffix
			if redis, err = config.ReadSecret(file); err != nil {
				return "", name, usage("%s: %v", name, err)
			}
			return redis, name, nil
		}
	}
	return redisParts(getenv), "REDIS_HOST and the like", nil
}

// redisParts puts the URL together that RQ's variables spell out.
func redisParts(getenv func(string) string) string {
	host, port, db, password := getenv("REDIS_HOST"), getenv("REDIS_PORT"), getenv("REDIS_DB"), getenv("REDIS_PASSWORD")
	secure := slices.Contains([]string{"y", "yes", "t", "true", "on", "1"}, strings.ToLower(getenv("REDIS_SSL")))
	if host+port+db+password == "" && !secure {
		return defaultRedis
	}
	u := url.URL{Scheme: "redis", Host: net.JoinHostPort(cmp.Or(host, "localhost"), cmp.Or(port, "6379")), Path: "/" + cmp.Or(db, "0")}
	if password != "" {
		u.User = url.UserPassword("", password)
	}
	if secure {
		u.Scheme = "rediss"
		query := url.Values{}
		for option, name := range map[string]string{
			"ssl_ca_certs": "REDIS_SSL_CA_CERTS", "ssl_cert_reqs": "REDIS_SSL_CERT_REQS", "ssl_ca_data": "REDIS_SSL_CA_DATA",
			"ssl_keyfile": "REDIS_SSL_KEYFILE", "ssl_certfile": "REDIS_SSL_CERTFILE",
		} {
			if value := getenv(name); value != "" {
				query.Set(option, value)
			}
		}
		u.RawQuery = query.Encode()
	}
	return u.String()
}
