package app_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/app"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// rq loads what a version of RQ left into a Redis of the test's.
func rq(t *testing.T, options redistest.Options, version string) *redistest.Server {
	t.Helper()
	s := redistest.Start(t, options)
	c := s.Conn(t, s.URL())
	redistest.Load(t, c, redistest.ReadState(t, filepath.Join("..", "broker", "redisbroker", "testdata", "rq", version, "state.json")))
	return s
}

func look(t *testing.T, opts app.MoveInOptions) *app.MoveIn {
	t.Helper()
	opts.Setting, opts.Logger = "--redis-url", slog.New(slog.DiscardHandler)
	m, err := app.LookAtRQ(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFunctionsOfJobsAreLookedForInTheModulesWithoutRunningThem(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	c := s.Conn(t, s.URL())
	dir := filepath.Join(t.TempDir(), "autos")
	for name, source := range map[string]string{
		"__init__.py":  "raise SystemExit('ran')",
		"work.py":      "from os.path import join\nopen('" + dir + "/ran', 'w')\ndef here(): pass\nclass C:\n    @staticmethod\n    def static(): pass\n    def bound(self): pass\n",
		"pkg/inner.py": "def deep(): pass\n",
		"broken.py":    "def f(:\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]app.Found{
		"work.here": app.FoundHere, "autos.work.here": app.FoundHere, "work.C.static": app.FoundHere, "pkg.inner.deep": app.FoundHere,
		"work.join": app.FoundImported, "work.C.bound": app.FoundModule, "broken.f": app.FoundBroken, "work.gone": app.FoundNot, "os.getcwd": app.FoundNot,
	}
	c.Do("SADD", "rq:queues", "rq:queue:default")
	for name := range want {
		c.Do("HSET", "rq:job:"+name, "data", `["`+name+`", null, [], {}]`, "status", "queued", "origin", "default")
		c.Do("RPUSH", "rq:queue:default", name)
	}
	m := look(t, app.MoveInOptions{URL: s.URL(), Modules: dir, Python: "auto"})
	got := map[string]app.Found{}
	for _, f := range m.Functions {
		got[f.Name] = f.Found
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("a module was run")
	}
	if !slices.ContainsFunc(m.Notes, func(note string) bool { return strings.Contains(note, "(2 of them)") }) {
		t.Errorf("the notes do not tell of missing functions: %q", m.Notes)
	}
}

func TestAMoveInSaysWhatUpWouldDoAndWhichCommandsComeNext(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Password: "hunter2hunter2"})
	c := s.Conn(t, s.URL())
	c.Do("SADD", "rq:queues", "rq:queue:low", "rq:queue:mail", "rq:queue:default", "rq:queue:odd name")
	c.Do("SADD", "rq:workers", "rq:worker:robot")
	c.Do("HSET", "rq:worker:robot", "birth", "2026-01-01T00:00:00.000000Z", "queues", "mail,low,default", "version", "1.15.1")
	c.Do("SET", "rq:scheduler-lock:low", "99", "EX", "61")
	c.Do("ZADD", "rq:scheduled:default", "5", "due")
	c.Do("HSET", "rq:job:due", "data", `["m.f", null, [], {}]`, "status", "scheduled", "origin", "default", "timeout", "90", "retries_left", "4")
	c.Do("ZADD", "rq:finished:default", "5", "old")
	c.Do("HSET", "rq:job:old", "data", `["m.f", null, [], {}]`, "status", "finished", "origin", "default", "timeout", "90")
	c.Do("RPUSH", "rq:queue:odd name", "odd")
	c.Do("HSET", "rq:job:odd", "data", `["m.f", null, [], {}]`, "status", "queued", "origin", "odd name", "timeout", "90", "retries_left", "4")
	c.Do("SET", "rq:suspended", "1")
	m := look(t, app.MoveInOptions{URL: s.URL()})
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("the report tells the password:\n%s", text)
	}
	var steps, settings, commands []string
	for _, step := range m.First {
		steps = append(steps, step.Text)
	}
	for _, s := range m.Settings {
		settings = append(settings, s.Name+" = "+s.Value)
	}
	for _, c := range m.Commands {
		commands = append(commands, c.Line)
	}
	for what, pair := range map[string][2][]string{
		"steps": {{
			"write keys of its own, which all begin with distro:, such as its change feed; RQ ignores them",
			"let no worker begin a job until `distro resume`, as all are suspended (rq suspend)",
			"delete 1 job of default that finished or failed and whose time is over, as RQ's workers do too",
			"take the scheduler's lock of mail, which nobody holds",
			"take the scheduler's lock of default, which nobody holds, and queue 1 job whose time has come",
			"leave the scheduled jobs of low (0) to RQ, process 99, as long as that one is there",
			"leave these queues alone, as it is not told of them: odd name",
		}, steps},
		"settings": {{
			"redis_url = redis://" + s.Addr() + "/0", "modules_path = FOLDER", "queues = mail, default, low", "workers = 0", "job_timeout = 90s", "task_retries = 4",
		}, settings},
		"commands": {{
			`distro dashboard --redis-url "$REDIS_URL"`,
			`distro doctor --redis-url "$REDIS_URL" --modules FOLDER`,
			`DISTRO_QUEUES=mail,default,low distro up --redis-url "$REDIS_URL" --modules FOLDER --workers 0`,
			`distro worker --with-scheduler --url "$REDIS_URL" --modules FOLDER mail low default`,
		}, commands},
		"workers that ignore a pause": {{"robot"}, m.IgnorePause},
	} {
		if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestAMoveInOfEveryRQIsTold(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.13.0", "1.15.1", "2.0", "2.10.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			m := look(t, app.MoveInOptions{URL: rq(t, redistest.Options{}, version).URL()})
			if len(m.Queues) < 2 || len(m.Workers) != 2 || len(m.Functions) < 5 || len(m.First) < 3 || len(m.Commands) < 4 {
				t.Errorf("told is %d queues, %d workers, %d functions, %d steps, %d commands", len(m.Queues), len(m.Workers), len(m.Functions), len(m.First), len(m.Commands))
			}
		})
	}
}
