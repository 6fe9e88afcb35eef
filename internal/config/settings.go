package config

import (
	"runtime"
	"slices"
	"strconv"
	"time"
)

//go:generate go run ./gen

// Setting is a row of the table of settings: parsing, help texts and
// docs/configuration.md are made of it.
type Setting struct {
	Name    string
	Alias   string // another name that is accepted; may be empty
	Flag    string // of "distro up", without dashes; empty: it has none
	Meaning string // a phrase for people
	Accepts string // what may be written
	Hint    string // the same in one word, where there is a Flag
	Default string // as shown to people; empty: none
	Secret  bool   // its value is never shown

	initial string // text of the default, read when a source sets nothing
	value   value
}

// Settings returns the table in the order people read it.
func Settings() []Setting {
	table := slices.Concat(automations(), storage(), workers(), limits(), listeners(), access(), alerts())
	for i := range table {
		s := &table[i]
		s.Accepts, s.Hint = s.value.accepts, s.value.hint
		if s.Default == "" {
			s.Default = s.initial
		}
	}
	return table
}

func automations() []Setting {
	return []Setting{{
		Name: "modules_path", Flag: "modules", Default: "none: `distro up` needs it",
		Meaning: "folder of the automations, relative to the settings file",
		value:   path("folder", false, func(c *Config) *string { return &c.ModulesPath }),
	}, {
		Name: "task_retries", initial: "0",
		Meaning: "how often a job is tried again after a failure, a timeout, an exit or the loss of its worker; a request may say otherwise",
		value:   whole(0, 100, func(c *Config) *int { return &c.TaskRetries }),
	}, {
		Name: "retry_interval", initial: "0s",
		Meaning: "pause before a retry; 0 puts the job to the back of its queue at once",
		value:   duration(0, maxDuration, "", func(c *Config) *time.Duration { return &c.RetryInterval }),
	}, {
		Name: "queues", initial: "high, default, low",
		Meaning: "names of the queues that are accepted, highest priority first",
		value:   names("queue name", queuePattern, 1, func(c *Config) *[]string { return &c.Queues }),
	}}
}

func storage() []Setting {
	return []Setting{{
		Name: "postgre_url", Alias: "postgres_url", Secret: true, Default: "empty: SQLite in `data_dir`",
		Meaning: "PostgreSQL that keeps the history of what ran",
		value: link(func(c *Config) *string { return &c.PostgreURL },
			"postgres://", "postgresql://", "postgresql+psycopg2://"),
	}, {
		Name: "redis_url", Flag: "redis-url", Secret: true, Default: "empty: a queue embedded in `data_dir`",
		Meaning: "Redis that holds the queues, in RQ's layout, beside RQ's own producers and workers",
		value: link(func(c *Config) *string { return &c.RedisURL },
			"redis://", "rediss://", "unix://", "sentinel://", "redis+sentinel://", "rediss+sentinel://"),
	}, {
		Name: "data_dir", Flag: "data", initial: ".distro", Default: "`.distro` beside the settings file",
		Meaning: "folder of the embedded queue, history and output; one `distro up` owns it at a time",
		value:   path("folder", true, func(c *Config) *string { return &c.DataDir }),
	}, {
		Name: "retention", initial: "30d",
		Meaning: "how long the history, the output and the files of a job are kept, those that were uploaded for it included; 0 keeps them however old they are",
		value:   duration(0, maxDuration, "", func(c *Config) *time.Duration { return &c.Retention }),
	}, {
		Name: "retention_rows", initial: "10000000",
		Meaning: "attempts that history holds at most: the oldest go before their `retention` is over; 0 sets no limit",
		value:   whole(0, 1_000_000_000, func(c *Config) *int { return &c.RetentionRows }),
	}, {
		Name: "retention_size", initial: "10G",
		Meaning: "what the attempts in history take at most, about: the oldest go before their `retention` is over; 0 sets no limit",
		value:   size(1<<20, 1<<50, true, func(c *Config) *int64 { return &c.RetentionSize }),
	}, {
		Name: "output_size", initial: "20G",
		Meaning: "what the output of all jobs takes at most: the oldest goes before its `retention` is over; 0 sets no limit",
		value:   size(1<<20, 1<<50, true, func(c *Config) *int64 { return &c.OutputSize }),
	}}
}

func workers() []Setting {
	return []Setting{{
		Name: "workers", Flag: "workers", initial: strconv.Itoa(min(runtime.GOMAXPROCS(0), maxWorkers)), Default: "number of CPUs",
		Meaning: "jobs that `distro up` itself runs at a time; 0 runs none",
		value:   whole(0, maxWorkers, func(c *Config) *int { return &c.Workers }),
	}, {
		Name: "isolation", Flag: "isolation", initial: defaultIsolation, Default: "`fork` on Linux, else `spawn`",
		Meaning: "process of a job: `fork` is a fresh one made from a warm interpreter, `pool` takes job after job, `spawn` is a cold interpreter each time",
		value:   oneOf([]string{"fork", "pool", "spawn"}, func(c *Config) *string { return &c.Isolation }),
	}, {
		Name: "python", initial: "auto",
		Meaning: "interpreter that runs the jobs; `auto` takes `$VIRTUAL_ENV`, then `.venv` or `venv` of `modules_path`, then the environment of `environments`, then `python3`",
		value:   program(func(c *Config) *string { return &c.Python }),
	}, {
		Name: "environments", initial: "off",
		Meaning: "prepares an environment from `requirements.txt` of `modules_path`, with uv or with venv and pip, and runs the jobs in it; not where `python` is that of a virtual environment",
		value:   toggle(func(c *Config) *bool { return &c.Environments }),
	}, {
		Name: "kill_grace", initial: "10s",
		Meaning: "time between asking a job to end and killing its processes",
		value:   duration(0, time.Hour, "", func(c *Config) *time.Duration { return &c.KillGrace }),
	}, {
		Name: "drain_timeout", initial: "0s",
		Meaning: "how long running jobs may go on after `distro up` was asked to end; 0 waits until they end",
		value:   duration(0, maxDuration, "", func(c *Config) *time.Duration { return &c.DrainTimeout }),
	}}
}

func limits() []Setting {
	return []Setting{{
		Name: "job_timeout", initial: "30m",
		Meaning: "longest run of one attempt, where a request does not say",
		value:   duration(time.Second, maxDuration, "none", func(c *Config) *time.Duration { return &c.JobTimeout }),
	}, {
		Name: "result_ttl", initial: "500s",
		Meaning: "how long the queue itself keeps a finished job and its result",
		value:   duration(0, maxDuration, "forever", func(c *Config) *time.Duration { return &c.ResultTTL }),
	}, {
		Name: "job_memory", initial: "0",
		Meaning: "resident memory a job may take; 0 sets no limit",
		value:   size(8<<20, 1<<50, true, func(c *Config) *int64 { return &c.JobMemory }),
	}, {
		Name: "max_output", initial: "100M",
		Meaning: "output that is kept of a job",
		value:   size(1<<10, 1<<40, false, func(c *Config) *int64 { return &c.MaxOutput }),
	}, {
		Name: "max_artifacts", initial: "1G",
		Meaning: "files that are kept of an attempt which it left in `DISTRO_ARTIFACTS`: where they take more, the largest go; 0 sets no limit",
		value:   size(1<<10, 1<<50, true, func(c *Config) *int64 { return &c.MaxArtifacts }),
	}, {
		Name: "max_body", initial: "32M",
		Meaning: "largest body of a request",
		value:   size(1<<10, 1<<30, false, func(c *Config) *int64 { return &c.MaxBody }),
	}, {
		Name: "max_upload", initial: "100M",
		Meaning: "files that one form of the dashboard may send for parameters that are a `Path`, together; they are kept below `data_dir` until `retention`; 0 takes none",
		value:   size(1<<10, 1<<40, true, func(c *Config) *int64 { return &c.MaxUpload }),
	}}
}

func listeners() []Setting {
	return []Setting{{
		Name: "listen", Flag: "listen", initial: "127.0.0.1:7000",
		Meaning: "address of the API",
		value:   address(func(c *Config) *string { return &c.Listen }),
	}, {
		Name: "dashboard_listen", Flag: "dashboard", initial: "127.0.0.1:9181",
		Meaning: "address of the dashboard",
		value:   address(func(c *Config) *string { return &c.DashboardListen }),
	}, {
		Name: "hosts", Default: "empty",
		Meaning: "names that requests may use for this server beside the addresses it listens on",
		value:   names("host name", hostPattern, 0, func(c *Config) *[]string { return &c.Hosts }),
	}, {
		Name: "tls_cert", Default: "empty: plain HTTP",
		Meaning: "certificate chain in PEM for HTTPS; needs `tls_key`",
		value:   path("file", false, func(c *Config) *string { return &c.TLSCert }),
	}, {
		Name: "tls_key", Default: "empty: plain HTTP",
		Meaning: "private key in PEM of `tls_cert`",
		value:   path("file", false, func(c *Config) *string { return &c.TLSKey }),
	}, {
		Name: "timezone", initial: "America/Sao_Paulo",
		Meaning: "zone of days and times in searches and on the dashboard",
		value:   zone(func(c *Config) **time.Location { return &c.Timezone }),
	}}
}

func access() []Setting {
	return []Setting{{
		Name: "auth", initial: AuthToken,
		Meaning: "`token` asks for `auth_token` where one is set, and needs one to listen beyond this machine; `none` lets everyone in",
		value:   oneOf([]string{AuthToken, AuthNone}, func(c *Config) *string { return &c.Auth }),
	}, {
		Name: "auth_token", Secret: true, Default: "empty",
		Meaning: "bearer token of the API and login of the dashboard",
		value:   token(func(c *Config) *string { return &c.AuthToken }),
	}, {
		Name: "auth_token_read", Secret: true, Default: "empty: `auth_token` only",
		Meaning: "bearer token of the API, and login of the dashboard, that may read everything and change nothing; needs `auth_token`",
		value:   token(func(c *Config) *string { return &c.AuthTokenRead }),
	}}
}

func alerts() []Setting {
	return []Setting{{
		Name: "webhook_url", Secret: true, Default: "empty: nobody is told",
		Meaning: "URL that is told when a job ended failed after its retries, a queue is late or a worker is lost",
		value:   link(func(c *Config) *string { return &c.WebhookURL }, "http://", "https://"),
	}, {
		Name: "webhook_secret", Secret: true, Default: "empty: they are not signed",
		Meaning: "key that signs the requests to `webhook_url`",
		value:   token(func(c *Config) *string { return &c.WebhookSecret }),
	}, {
		Name: "webhook_allow_private", initial: "off",
		Meaning: "lets `webhook_url` be on this machine or on a private network",
		value:   toggle(func(c *Config) *bool { return &c.WebhookAllowPrivate }),
	}, {
		Name: "alert_queue_age", initial: "0s",
		Meaning: "how long the oldest job of a queue may wait before `webhook_url` is told; 0 tells nothing of queues",
		value:   duration(0, maxDuration, "", func(c *Config) *time.Duration { return &c.AlertQueueAge }),
	}}
}
