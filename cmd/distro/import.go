package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro/internal/app"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/config"
)

func newImport(con *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Look at what an RQ leaves to Distro, before it is moved in",
		Long: "Nothing is imported, as nothing has to be: Distro works on the Redis that RQ works on, in RQ's\n" +
			"layout. `distro import rq` looks at such a Redis and says what Distro would see and do there.",
		Example: "  distro import rq --redis-url redis://127.0.0.1:6379/1",
		Args:    arguments(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			return usage("import needs to know what is looked at: `distro import rq` looks at a Redis of RQ's")
		},
	}
	cmd.AddCommand(newImportRQ(con))
	return cmd
}

// importFlags are the flags of distro import rq.
type importFlags struct {
	url     string
	modules string
	python  string
	json    bool
}

func newImportRQ(con *console) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "rq",
		Short: "Tell what Distro would see and do on a Redis of RQ's, and change nothing",
		Long: "Reads a Redis in RQ's layout, RQ 1.13 to 2.10, while its producers and workers go on, and reports\n" +
			"queues, workers, schedulers, functions, what cannot be read and what is stuck; what a `distro up`\n" +
			"there would do first; settings that go on as it is, and the next commands.\n\n" +
			"It imports nothing and writes nothing, to Redis or elsewhere: Distro works on the same Redis, so there\n" +
			"is nothing to copy. Counts are exact; of many jobs a sample is read, and the report says so. With\n" +
			"--modules the functions are looked for in the files of a folder, which are parsed and not run.\n\n" +
			"The Redis is that of --redis-url, else RQ_REDIS_URL, else REDIS_URL; RQ_REDIS_URL_FILE and\n" +
			"REDIS_URL_FILE name a file that holds the URL. A URL with a password is best given so.",
		Example: "  distro import rq --redis-url redis://127.0.0.1:6379/1 --modules ./automations\n" +
			"  REDIS_URL_FILE=/etc/rq/url distro import rq --json",
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return con.lookAtRQ(cmd.Context(), &f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.url, "redis-url", "u", "", "`URL` of the Redis")
	flags.StringVar(&f.modules, "modules", "", "`DIR` of the automations, to compare the jobs with")
	flags.StringVar(&f.python, "python", "auto", "`PATH` of the interpreter that parses them")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func (con *console) lookAtRQ(ctx context.Context, f *importFlags) error {
	redis, origin, err := f.redis(con.getenv)
	if err != nil {
		return err
	}
	opts := app.MoveInOptions{
		URL: redis, Setting: origin, Python: f.python, VirtualEnv: con.getenv("VIRTUAL_ENV"), Logger: con.logger(slog.LevelWarn),
	}
	if f.modules != "" {
		here, err := os.Getwd()
		if err != nil {
			return fmt.Errorf("find the current folder: %w", err)
		}
		if opts.Modules, err = folder("--modules", here, f.modules); err != nil {
			return err
		}
	}
	stop := con.spin("looking")
	found, err := app.LookAtRQ(ctx, opts)
	stop()
	if err != nil {
		return err
	}
	if f.json {
		raw, err := json.Marshal(found)
		if err != nil {
			return fmt.Errorf("encode the report: %w", err)
		}
		con.printJSON(raw)
		return nil
	}
	con.printMoveIn(found)
	return nil
}

// redis is the URL of the Redis, and where it was found. Errors do not tell it:
// it may hold a password.
func (f *importFlags) redis(getenv func(string) string) (redis, origin string, err error) {
	redis, origin = f.url, "--redis-url"
	for _, name := range []string{"RQ_REDIS_URL", "REDIS_URL"} {
		if redis != "" {
			break
		}
		redis, origin = getenv(name), name
		if file := getenv(name + config.FileSuffix); redis == "" && file != "" {
			origin = name + config.FileSuffix
			if redis, err = config.ReadSecret(file); err != nil {
				return "", "", usage("%s: %v", origin, err)
			}
		}
	}
	if redis == "" {
		return "", "", usage("which Redis? name it with --redis-url, as the workers' --url does, or in REDIS_URL")
	}
	if err := redisbroker.CheckURL(redis); err != nil {
		return "", "", usage("%s: %v", origin, err)
	}
	return redis, origin, nil
}
