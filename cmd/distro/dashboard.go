package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro/internal/app"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/config"
)

// dashboardFlags are the flags of rq-dashboard, and our own.
type dashboardFlags struct {
	file          string
	urls          []string
	address       string
	bind, port    string
	host          string
	redisPort     string
	password      string
	database      string
	sentinels     string
	master        string
	disableDelete bool
	verbose       bool
}

func newDashboard(con *console) *cobra.Command {
	var f dashboardFlags
	cmd := &cobra.Command{
		Use:   "dashboard",
		Short: "Show the queues of a Redis, in place of rq-dashboard",
		Long: "Serves pages about a Redis in RQ's layout, beside RQ's own producers and workers. It runs no job,\n" +
			"and writes nothing to that Redis but what somebody asks it to do. The addresses of rq-dashboard are\n" +
			"answered too: its JSON, its actions and its pages. `distro up` has its own dashboard, which shows more.\n\n" +
			"The Redis is that of --redis-url, else redis_url of the settings, else RQ_DASHBOARD_REDIS_URL, else\n" +
			"redis://127.0.0.1:6379/0. Who may look and act is said by auth_token, auth_token_read, hosts, tls_cert\n" +
			"and tls_key of the settings, as in `distro up`; no other setting is read. It takes every flag and\n" +
			"RQ_DASHBOARD_ variable of rq-dashboard, and names those that have no effect.",
		Example: "  distro dashboard --redis-url redis://10.0.0.7:6379/1\n" +
			"  DISTRO_AUTH_TOKEN=$(openssl rand -hex 24) distro dashboard --dashboard :9181 --disable-delete\n" +
			"  distro dashboard -u sentinel://10.0.0.7:26379/mymaster/0 --bind 127.0.0.1 --port 9182",
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return con.watchRedis(cmd.Context(), &f, cmd) },
	}
	f.add(cmd)
	return cmd
}

func (f *dashboardFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.file, "config", defaultFile, "`FILE` of the settings")
	flags.StringArrayVarP(&f.urls, "redis-url", "u", nil, "`URL` of the Redis (default "+defaultWatched+")")
	flags.StringVar(&f.address, "dashboard", "", "`HOST:PORT` of the pages (default 127.0.0.1:9181)")
	flags.StringVarP(&f.bind, "bind", "b", "", "`HOST` of the pages, as rq-dashboard has it")
	flags.StringVarP(&f.port, "port", "p", "", "`PORT` of the pages, as rq-dashboard has it")
	flags.BoolVar(&f.disableDelete, "disable-delete", false, "let nobody delete jobs")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log more")
	for _, old := range []struct {
		into        *string
		name, short string
	}{
		{&f.host, "redis-host", "H"}, {&f.redisPort, "redis-port", "P"}, {&f.password, "redis-password", ""}, {&f.database, "redis-database", "D"},
		{&f.sentinels, "redis-sentinels", ""}, {&f.master, "redis-master-name", ""},
	} {
		flags.StringVarP(old.into, old.name, old.short, "", "write --redis-url in its place")
		flags.Lookup(old.name).Hidden = true
	}
	for _, u := range unlikeRQDashboard() {
		switch {
		case u.toggle:
			flags.BoolP(u.flag, u.short, false, "no effect: "+u.why)
		case u.refused:
			flags.StringP(u.flag, u.short, "", "refused: "+u.why)
		default:
			flags.StringP(u.flag, u.short, "", "no effect: "+u.why)
		}
		flags.Lookup(u.flag).Hidden = true
	}
}

// unlike is a flag of rq-dashboard that is not followed.
type unlike struct {
	flag, short string
	toggle      bool
	refused     bool // going on without it would be wrong
	why         string
}

func unlikeRQDashboard() []unlike {
	return []unlike{
		{flag: "username", refused: true, why: "there are no user names; set auth_token in the settings or DISTRO_AUTH_TOKEN, and log in with it"},
		{flag: "password", refused: true, why: "a flag is seen by every user of the machine; set auth_token in the settings or DISTRO_AUTH_TOKEN, and log in with it"},
		{flag: "url-prefix", refused: true, why: "the pages are served at the root of a host; give them a host or a port of their own in the proxy"},
		{flag: "settings", short: "c", refused: true, why: "settings of Python are not read; name a file of Distro's with --config"},
		{flag: "poll-interval", why: "pages hear of changes when they happen"},
		{flag: "interval", why: "pages hear of changes when they happen"},
		{flag: "extra-path", why: "nothing of jobs is imported"},
		{flag: "web-background", why: "the theme is each reader's to choose"},
		{flag: "delete-jobs", toggle: true, why: "deleting is possible unless --disable-delete is given"},
		{flag: "debug", toggle: true, why: "there is no debug mode"},
		{flag: "normal", toggle: true, why: "there is no other mode"},
		{flag: "json", short: "j", toggle: true, why: "serializers are told from what they wrote"},
	}
}

// defaultWatched is the Redis of rq-dashboard.
const defaultWatched = "redis://127.0.0.1:6379/0"

// variable is the variable of rq-dashboard for a flag.
func variable(flag string) string {
	return "RQ_DASHBOARD_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// watchRedis serves a dashboard until ctx ends.
func (con *console) watchRedis(ctx context.Context, f *dashboardFlags, cmd *cobra.Command) error {
	unused, err := f.unused(con, cmd)
	if err != nil {
		return err
	}
	opts, err := f.options(con, cmd)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	logger := con.logger(level)
	if len(unused) > 0 {
		logger.WarnContext(ctx, "flags of rq-dashboard without effect here", "flags", unused)
	}
	warnings, err := opts.Config.CheckListeners()
	if err != nil {
		return err
	}
	for _, warning := range warnings {
		logger.WarnContext(ctx, warning)
	}
	opts.Logger = logger
	o, err := app.NewObserver(ctx, opts)
	if err != nil {
		return err
	}
	scheme := "http"
	if opts.Config.TLSCert != "" {
		scheme = "https"
	}
	logger.InfoContext(ctx, "serving", "dashboard", fmt.Sprintf("%s://%s", scheme, o.Addr()))
	return o.Run(ctx)
}

// unused names what was given and has no effect, and refuses what must not be
// passed over.
func (f *dashboardFlags) unused(con *console, cmd *cobra.Command) ([]string, error) {
	var list []string
	for _, u := range unlikeRQDashboard() {
		for _, given := range []struct {
			name string
			is   bool
		}{
			{"--" + u.flag, cmd.Flags().Changed(u.flag)},
			{variable(u.flag), con.getenv(variable(u.flag)) != ""},
		} {
			switch {
			case !given.is:
			case u.refused:
				return nil, usage("%s: %s", given.name, u.why)
			default:
				list = append(list, fmt.Sprintf("%s (%s)", given.name, u.why))
			}
		}
	}
	return list, nil
}

// options are what the flags, the settings and the variables amount to.
func (f *dashboardFlags) options(con *console, cmd *cobra.Command) (app.ObserverOptions, error) {
	flags := map[string]string{}
	if f.address != "" {
		flags["dashboard_listen"] = f.address
	}
	load := func() (config.Config, error) {
		return config.Load(config.Sources{File: f.file, FileRequired: cmd.Flags().Changed("config"), Environ: con.environ, Flags: flags})
	}
	cfg, err := load()
	if err != nil {
		return app.ObserverOptions{}, err
	}
	if address := f.listen(con.getenv, cfg); address != "" {
		flags["dashboard_listen"] = address
		if cfg, err = load(); err != nil {
			return app.ObserverOptions{}, err
		}
	}
	if cfg.RedisURL, err = f.redis(con.getenv, cfg.RedisURL); err != nil {
		return app.ObserverOptions{}, err
	}
	cfg.Listen = "127.0.0.1:0" // the API has no port of its own here, whatever the settings say
	deletes := f.disableDelete || slices.Contains([]string{"1", "true", "yes", "on"}, strings.ToLower(con.getenv(variable("disable-delete"))))
	return app.ObserverOptions{Config: cfg, DisableDelete: deletes, Version: readBuild().Version}, nil
}

// listen is the address that rq-dashboard's flags and variables name, where ours
// name none; empty: none does.
func (f *dashboardFlags) listen(getenv func(string) string, cfg config.Config) string {
	bind, port := f.bind, f.port
	if f.address != "" {
		return ""
	}
	if cfg.Origin("dashboard_listen") == "default" {
		bind, port = cmp.Or(bind, getenv(variable("bind"))), cmp.Or(port, getenv(variable("port")))
	}
	if bind == "" && port == "" {
		return ""
	}
	host, number, err := net.SplitHostPort(cfg.DashboardListen)
	if err != nil {
		return ""
	}
	return net.JoinHostPort(cmp.Or(bind, host), cmp.Or(port, number))
}

// redis is the URL of the Redis. Errors do not tell it: it may hold a password.
func (f *dashboardFlags) redis(getenv func(string) string, setting string) (string, error) {
	if len(f.urls) > 1 {
		return "", usage("--redis-url: one Redis is shown at a time: start another `distro dashboard` with another port for the second")
	}
	var first string
	if len(f.urls) == 1 {
		first = f.urls[0]
	}
	for _, from := range [][2]string{
		{first, "--redis-url"}, {f.parts(), "--redis-host and the like"}, {setting, "redis_url"},
		{getenv(variable("redis-url")), variable("redis-url")}, {defaultWatched, "the default"},
	} {
		if from[0] == "" {
			continue
		}
		if err := redisbroker.CheckURL(from[0]); err != nil {
			return "", usage("%s: %v", from[1], err)
		}
		return from[0], nil
	}
	return "", nil
}

// parts is the URL that the older flags of rq-dashboard amount to; empty where
// none is given.
func (f *dashboardFlags) parts() string {
	if f.host+f.redisPort+f.password+f.database+f.sentinels == "" {
		return ""
	}
	u := url.URL{Scheme: "redis", Host: net.JoinHostPort(cmp.Or(f.host, "127.0.0.1"), cmp.Or(f.redisPort, "6379")), Path: "/" + cmp.Or(f.database, "0")}
	if f.sentinels != "" {
		u.Scheme, u.Host, u.Path = "sentinel", f.sentinels, "/"+cmp.Or(f.master, "mymaster")+u.Path
	}
	if f.password != "" {
		u.User = url.UserPassword("", f.password)
	}
	return u.String()
}
