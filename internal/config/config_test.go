package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/config"
)

const secret = "s3cret-s3cret-s3cret"

// write makes a config.cfg in a folder of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func load(t *testing.T, text string, environ ...string) config.Config {
	t.Helper()
	c, err := config.Load(config.Sources{File: write(t, text), Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func located(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// byName compares zones.
func byName() cmp.Option {
	return cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })
}

func TestNothingSetGivesTheDefaults(t *testing.T) {
	t.Parallel()
	got, err := config.Load(config.Sources{File: "no-such-file.cfg"})
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	isolation := map[bool]string{true: "fork", false: "spawn"}[runtime.GOOS == "linux"]
	want := config.Config{
		Queues: []string{"high", "default", "low"}, DataDir: filepath.Join(here, ".distro"), Retention: 30 * 24 * time.Hour,
		RetentionRows: 10_000_000, RetentionSize: 10 << 30, OutputSize: 20 << 30,
		Workers: runtime.GOMAXPROCS(0), Isolation: isolation, Python: "auto", KillGrace: 10 * time.Second,
		JobTimeout: 30 * time.Minute, ResultTTL: 500 * time.Second, MaxOutput: 100 << 20, MaxArtifacts: 1 << 30, MaxBody: 32 << 20, MaxUpload: 100 << 20,
		Listen: "127.0.0.1:7000", DashboardListen: "127.0.0.1:9181", Auth: "token", Timezone: located(t, "America/Sao_Paulo"),
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateEmpty(), byName()); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if origin := got.Origin("workers"); origin != "default" {
		t.Errorf("origin of workers = %q", origin)
	}
}

func TestEveryPartOfAFileIsRead(t *testing.T) {
	t.Parallel()
	file := write(t, "[settings]\n"+
		"modules_path: automations\ntask_retries = 3\nRETRY_INTERVAL = 90\nqueues =\n  urgent\n  default,low\n"+
		"postgres_url = postgresql+psycopg2://u:p%ss#w@h/db\nredis_url = redis://:pw@h:6379/1\ndata_dir = data\nretention = 1d12h\n"+
		"retention_rows = 5000\nretention_size = 512M\noutput_size = 2GB\n"+
		"workers = 0\nisolation = spawn\npython = .venv/bin/python\nkill_grace = 0\ndrain_timeout = 2h10m20s\n"+
		"job_timeout = none\nresult_ttl = forever\njob_memory = 256M\nmax_output = 4096\nmax_artifacts = 5M\nmax_body = 1 GiB\nmax_upload = 0\n"+
		"listen = :8000\ndashboard_listen = [::1]:0\nhosts = a.example b.example\ntls_cert = c.pem\ntls_key = /k.pem\n"+
		"auth = none\nauth_token = "+secret+"\nauth_token_read = "+secret+"-read\ntimezone = Europe/Lisbon\n"+
		"webhook_url = https://h/x\nwebhook_secret = "+secret+"\nwebhook_allow_private = Yes\nalert_queue_age = 10m\n")
	got, err := config.Load(config.Sources{File: file, FileRequired: true})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	want := config.Config{
		ModulesPath: filepath.Join(dir, "automations"), TaskRetries: 3, RetryInterval: 90 * time.Second,
		Queues: []string{"urgent", "default", "low"}, PostgreURL: "postgresql+psycopg2://u:p%ss#w@h/db",
		RedisURL: "redis://:pw@h:6379/1", DataDir: filepath.Join(dir, "data"), Retention: 36 * time.Hour,
		RetentionRows: 5000, RetentionSize: 512 << 20, OutputSize: 2 << 30,
		Isolation: "spawn", Python: filepath.Join(dir, ".venv/bin/python"), DrainTimeout: 2*time.Hour + 10*time.Minute + 20*time.Second,
		JobTimeout: distro.Forever, ResultTTL: distro.Forever, JobMemory: 256 << 20, MaxOutput: 4096, MaxArtifacts: 5 << 20, MaxBody: 1 << 30,
		Listen: ":8000", DashboardListen: "[::1]:0", Hosts: []string{"a.example", "b.example"},
		TLSCert: filepath.Join(dir, "c.pem"), TLSKey: "/k.pem", Auth: "none", AuthToken: secret, File: file,
		AuthTokenRead: secret + "-read", Timezone: located(t, "Europe/Lisbon"),
		WebhookURL: "https://h/x", WebhookSecret: secret, WebhookAllowPrivate: true, AlertQueueAge: 10 * time.Minute,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{}), byName()); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if got, want := got.Origin("task_retries"), file+":3"; got != want {
		t.Errorf("origin of task_retries = %q, want %q", got, want)
	}
}

func TestEnvironmentOverridesFileAndFlagsOverrideBoth(t *testing.T) {
	t.Parallel()
	file := write(t, "workers = 1\ntask_retries = 1\nkill_grace = 1\nmodules_path = m\n")
	c, err := config.Load(config.Sources{
		File:    file,
		Environ: []string{"DISTRO_WORKERS=2", "DISTRO_TASK_RETRIES=2", "DISTRO_KILL_GRACE=", "DISTRO_JOB_ID=x", "HOME=/", "=C:=x"},
		Flags:   map[string]string{"workers": "3", "modules_path": "m"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Workers != 3 || c.TaskRetries != 2 || c.KillGrace != time.Second {
		t.Errorf("workers = %d, task_retries = %d, kill_grace = %v", c.Workers, c.TaskRetries, c.KillGrace)
	}
	got := []string{c.Origin("workers"), c.Origin("task_retries"), c.Origin("kill_grace")}
	if diff := cmp.Diff([]string{"--workers", "DISTRO_TASK_RETRIES", file + ":3"}, got); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
	if here, _ := filepath.Abs("m"); c.ModulesPath != here {
		t.Errorf("modules_path of a flag = %q, want it in the current folder: %q", c.ModulesPath, here)
	}
}

func TestSecretsMayStandInFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token, link := file("token", secret+"\n"), file("url", "  redis://:p%40@h:6379/1\r\n")
	c := load(t, "auth_token = "+secret+"-old\n", "DISTRO_AUTH_TOKEN_FILE="+token, "DISTRO_REDIS_URL_FILE="+link, "DISTRO_WEBHOOK_URL_FILE=")
	if c.AuthToken != secret || c.RedisURL != "redis://:p%40@h:6379/1" || c.WebhookURL != "" {
		t.Errorf("token %q, redis %q, webhook %q", c.AuthToken, c.RedisURL, c.WebhookURL)
	}
	if got := c.Origin("auth_token"); got != "DISTRO_AUTH_TOKEN_FILE" {
		t.Errorf("origin of the token = %q", got)
	}
	for variables, want := range map[string]string{
		"DISTRO_AUTH_TOKEN_FILE=" + filepath.Join(dir, "none"):                    "DISTRO_AUTH_TOKEN_FILE: DIR/none cannot be read (no such file or directory)",
		"DISTRO_AUTH_TOKEN_FILE=" + file("blank", " \n"):                          "DISTRO_AUTH_TOKEN_FILE: DIR/blank is empty: write the value into it",
		"DISTRO_AUTH_TOKEN_FILE=" + file("lines", secret+"\n"+secret):             "DISTRO_AUTH_TOKEN_FILE: DIR/lines is no text of one line: keep nothing but the value in it",
		"DISTRO_AUTH_TOKEN_FILE=" + file("huge", strings.Repeat("s3cret", 1<<16)): "DISTRO_AUTH_TOKEN_FILE: DIR/huge is no text of one line: keep nothing but the value in it",
		"DISTRO_AUTH_TOKEN_FILE=" + file("short", "s3cret"):                       "DISTRO_AUTH_TOKEN_FILE: auth_token: not a token of at least 16 visible characters of ASCII without spaces",
		"DISTRO_POSTGRES_URL_FILE=" + token:                                       "DISTRO_POSTGRES_URL_FILE: postgre_url: not a URL that begins with postgres://, postgresql://, postgresql+psycopg2://",
		"DISTRO_AUTH_TOKEN=" + secret + " DISTRO_AUTH_TOKEN_FILE=" + token:        "DISTRO_AUTH_TOKEN_FILE: auth_token is set twice, here and by DISTRO_AUTH_TOKEN: keep one of them",
		"DISTRO_AUTH_TOKEN_FILE=" + token + " DISTRO_AUTH_TOKEN=" + secret:        "DISTRO_AUTH_TOKEN: auth_token is set twice, here and by DISTRO_AUTH_TOKEN_FILE: keep one of them",
		"DISTRO_QUEUES_FILE=" + token:                                             "DISTRO_QUEUES_FILE: no setting has this name (the nearest one is DISTRO_QUEUES; `distro up --help` lists them)",
	} {
		_, err := config.Load(config.Sources{Environ: strings.Fields(variables)})
		if distro.ErrorCode(err) != distro.CodeInvalid {
			t.Errorf("%q: error = %v, want one of CodeInvalid", variables, err)
		} else if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != want {
			t.Errorf("%q:\n got %s\nwant %s", variables, got, want)
		} else if strings.Contains(got, "s3cret") {
			t.Errorf("%q tells the secret: %s", variables, got)
		}
	}
}

func TestErrorsAreOneLineThatNamesThePlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\ntask_retry = 3":                     `FILE:2: unknown setting "task_retry" (did you mean "task_retries"?)`,
		"zzzzzzzzzz = 3":                       "FILE:1: unknown setting \"zzzzzzzzzz\" (the nearest one is \"timezone\"; `distro up --help` lists them)",
		"task_retries = abc":                   `FILE:1: task_retries: "abc" is not a whole number from 0 to 100`,
		"task_retries = 101":                   `FILE:1: task_retries: "101" is not a whole number from 0 to 100`,
		"task_retries = 3 # three":             `FILE:1: task_retries: "3 # three" is not a whole number from 0 to 100; a comment needs a line of its own`,
		`task_retries = "3"`:                   `FILE:1: task_retries: "\"3\"" is not a whole number from 0 to 100; write it without the quotes`,
		"task_retries =":                       `FILE:1: task_retries: "" is not a whole number from 0 to 100; remove the line for the default`,
		"task_retries = 1\n\n workers = 1":     "FILE:1: task_retries: line 3 goes on with its value because it is indented: begin that line at the left",
		"[a]\nworkers = 1\n[b]\nWorkers = 2":   "FILE:4: workers is set twice, here and in line 2: keep one of them",
		"postgre_url =\npostgres_url =":        "FILE:2: postgre_url is set twice, here and in line 1: keep one of them",
		"workers":                              `FILE:1: "workers" has no value: write name = value`,
		"kill_grace = 2 parsecs":               `FILE:1: kill_grace: "2 parsecs" is not a time like 90s, 2h10m or 30d (a plain number counts seconds)`,
		"kill_grace = 2h":                      `FILE:1: kill_grace: "2h" is not between 0s and 1h0m0s`,
		"job_timeout = 0":                      `FILE:1: job_timeout: "0" is not between 1s and 876000h0m0s`,
		"job_memory = 1k":                      `FILE:1: job_memory: "1k" is not between 8388608 and 1125899906842624 bytes`,
		"retention_rows = -1":                  `FILE:1: retention_rows: "-1" is not a whole number from 0 to 1000000000`,
		"retention_rows = 10,000":              `FILE:1: retention_rows: "10,000" is not a whole number from 0 to 1000000000`,
		"retention_size = 1k":                  `FILE:1: retention_size: "1k" is not between 1048576 and 1125899906842624 bytes`,
		"output_size = 50 GB more":             `FILE:1: output_size: "50 GB more" is not a size like 256M, 1G or a number of bytes`,
		"output_size = 64M":                    `FILE:1: output_size: 67108864 bytes for all jobs are less than the 104857600 that max_output gives to one: raise it, or lower max_output`,
		"max_body = lots":                      `FILE:1: max_body: "lots" is not a size like 256M, 1G or a number of bytes`,
		"isolation = Fork":                     `FILE:1: isolation: "Fork" is not one of: fork, pool, spawn`,
		"listen = 7000":                        `FILE:1: listen: "7000" is not HOST:PORT, like 127.0.0.1:7000`,
		"listen = a:70000":                     `FILE:1: listen: "a:70000": the port is not a number from 0 to 65535`,
		"listen = a b:7000":                    `FILE:1: listen: "a b:7000": the host is not a name or an IP address`,
		"listen = a:1\ndashboard_listen = a:1": "FILE:2: dashboard_listen: a:1 is the address of listen already: choose another port",
		"queues = a, b!":                       `FILE:1: queues: "b!" is not a queue name`,
		"queues = a, a":                        `FILE:1: queues: "a" stands twice in the list`,
		"queues = ,":                           `FILE:1: queues: "," is not a list of queue names, divided by commas (1 to 100)`,
		"data_dir =":                           `FILE:1: data_dir: "" is not a folder; remove the line for the default`,
		"python =":                             `FILE:1: python: "" is not a program: write auto, a name or a path; remove the line for the default`,
		"webhook_url = ftp://u:" + secret:      "FILE:1: webhook_url: not a URL that begins with http://, https://",
		"webhook_secret = short":               "FILE:1: webhook_secret: not a token of at least 16 visible characters of ASCII without spaces",
		"webhook_allow_private = maybe":        `FILE:1: webhook_allow_private: "maybe" is neither on nor off`,
		"alert_queue_age = 5m":                 "FILE:1: alert_queue_age tells webhook_url, which is not set: set it too, or remove this one",
		"tls_cert = a":                         "tls_cert and tls_key go together: set both or none",
		"auth_token = short":                   "FILE:1: auth_token: not a token of at least 16 visible characters of ASCII without spaces",
		"auth_token_read = " + secret:          "FILE:1: auth_token_read lets others read only where auth_token is asked of those who change something: set auth_token too, or remove this one",
		"timezone = Brasilia":                  `FILE:1: timezone: "Brasilia" is not the IANA name of a time zone, like America/Sao_Paulo or UTC`,
		"timezone =":                           `FILE:1: timezone: "" is not the IANA name of a time zone, like America/Sao_Paulo or UTC; remove the line for the default`,
		"timezone = Local":                     `FILE:1: timezone: "Local" is not the IANA name of a time zone, like America/Sao_Paulo or UTC`,
		"timezone = ../../etc/localtime":       `FILE:1: timezone: "../../etc/localtime" is not the IANA name of a time zone, like America/Sao_Paulo or UTC`,
		"auth_token = " + secret + "\nauth_token_read = " + secret: "FILE:2: auth_token_read is auth_token, so whoever has it may change everything: choose another",
		"postgre_url = mysql://u:" + secret:                        "FILE:1: postgre_url: not a URL that begins with postgres://, postgresql://, postgresql+psycopg2://",
		"modules_path = a\nmodules_path: b\nx:":                    "FILE:2: modules_path is set twice, here and in line 1: keep one of them",
	} {
		file := write(t, text)
		_, err := config.Load(config.Sources{File: file})
		if distro.ErrorCode(err) != distro.CodeInvalid {
			t.Errorf("%q: error = %v, want one of CodeInvalid", text, err)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), file, "FILE"); got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestErrorsOfOtherSourcesNameThem(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		src  config.Sources
		want string
	}{
		"unknown variable":  {config.Sources{Environ: []string{"DISTRO_WORKER=1"}}, "DISTRO_WORKER: no setting has this name (did you mean DISTRO_WORKERS?)"},
		"bad variable":      {config.Sources{Environ: []string{"DISTRO_WORKERS=x"}}, `DISTRO_WORKERS: "x" is not a whole number from 0 to 1000`},
		"alias in variable": {config.Sources{Environ: []string{"DISTRO_POSTGRES_URL=x"}}, "DISTRO_POSTGRES_URL: postgre_url: not a URL that begins with postgres://, postgresql://, postgresql+psycopg2://"},
		"both aliases":      {config.Sources{Environ: []string{"DISTRO_POSTGRES_URL=postgres://h", "DISTRO_POSTGRE_URL=postgres://h"}}, "DISTRO_POSTGRE_URL: postgre_url is set twice, here and by DISTRO_POSTGRES_URL: keep one of them"},
		"bad flag":          {config.Sources{Flags: map[string]string{"workers": "x"}}, `--workers: "x" is not a whole number from 0 to 1000`},
		"bad renamed flag":  {config.Sources{Flags: map[string]string{"dashboard_listen": "x"}}, `--dashboard: dashboard_listen: "x" is not HOST:PORT, like 127.0.0.1:7000`},
		"no file":           {config.Sources{File: "none.cfg", FileRequired: true}, "none.cfg: no such file: create it, or name another with --config"},
		"control characters": {config.Sources{Environ: []string{"DISTRO_\x1b[2J=1"}},
			"DISTRO_\\x1b[2J: no setting has this name (the nearest one is DISTRO_AUTH; `distro up --help` lists them)"},
	} {
		if _, err := config.Load(tt.src); err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, tt.want)
		}
	}
	if _, err := config.Load(config.Sources{File: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "name a readable file with --config") {
		t.Errorf("a folder as the file: %v", err)
	}
}

func TestListenersBeyondLoopbackNeedAToken(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ warning, err string }{
		"":                                         {},
		"listen = localhost:1":                     {},
		"listen = [::1]:1":                         {},
		"listen = 127.9.9.9:1":                     {},
		"listen = 0.0.0.0:1":                       {err: "listen: 0.0.0.0:1 is reachable"},
		"listen = :1":                              {err: "listen: :1 is reachable"},
		"dashboard_listen = box:1":                 {err: "dashboard_listen: box:1 is reachable"},
		"listen = :1\nauth_token=" + secret:        {},
		"listen = :1\nauth = none":                 {warning: "auth = none: whoever reaches :1 (listen)"},
		"auth = none\nauth_token = " + secret:      {warning: "auth = none: auth_token is not asked for"},
		"listen = localhost.example:1":             {err: "listen: localhost.example:1 is reachable"},
		"listen = [::ffff:127.0.0.1]:1":            {},
		"listen = [2001:db8::1]:1\nauth = token\n": {err: "is reachable by other machines, so it needs a token: set auth_token"},
	} {
		warnings, err := load(t, text).CheckListeners()
		if got := strings.Join(warnings, "\n"); !strings.HasPrefix(got, want.warning) || got != "" && want.warning == "" {
			t.Errorf("%q: warnings = %q, want %q", text, got, want.warning)
		}
		if want.err == "" && err != nil || want.err != "" && (err == nil || !strings.Contains(err.Error(), want.err)) {
			t.Errorf("%q: error = %v, want %q", text, err, want.err)
		}
	}
}

func TestModulesPathMustBeAFolder(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "modules_path is not set: write modules_path = FOLDER into config.cfg, or pass --modules FOLDER",
		"modules_path = .":          "",
		"modules_path = none":       "does not exist: create it or name another",
		"modules_path = config.cfg": "is not a folder",
	} {
		err := load(t, text).CheckModules()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error = %v, want %q", text, err, want)
		}
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	c := load(t, "auth_token = "+secret+"\nauth_token_read = "+secret+"2\npostgre_url = postgres://u:"+secret+"@h/db\nredis_url = redis://:"+secret+"@h")
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("settings", "config", c)
	printed := fmt.Sprintf("%v %+v %#v %s %v", c, c, c, c, &c) + log.String()
	if strings.Contains(printed, secret) || !strings.Contains(printed, "(hidden)") || !strings.Contains(printed, "127.0.0.1:7000") {
		t.Errorf("printed: %s", printed)
	}
	if !json.Valid([]byte(strings.TrimSpace(log.String()))) {
		t.Errorf("log line: %s", log.String())
	}
}

func TestFileTokenTakesTheTokenAndForgivesTheRest(t *testing.T) {
	t.Parallel()
	if got := config.FileToken(write(t, "unknown = 1\nAuth_Token: "+secret)); got != secret {
		t.Errorf("token = %q", got)
	}
	for _, text := range []string{"x", "workers = 1"} {
		if got := config.FileToken(write(t, text)); got != "" {
			t.Errorf("token of %q = %q", text, got)
		}
	}
	if got := config.FileToken("none.cfg"); got != "" {
		t.Errorf("token of no file = %q", got)
	}
}

func TestDocumentationIsMadeOfTheTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Markdown(), strings.ReplaceAll(string(page), "\r\n", "\n")); diff != "" {
		t.Errorf("docs/configuration.md is out of date: run `go generate ./internal/config` (-want +got):\n%s", diff)
	}
	for _, s := range config.Settings() {
		if !strings.Contains(config.Help(), "  "+s.Name+" ") || s.Accepts == "" || s.Default == "" || s.Meaning == "" {
			t.Errorf("setting %q is not described whole: %+v", s.Name, s)
		}
	}
}

func TestExampleFileIsValid(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Sources{File: "../../config.cfg", FileRequired: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(filepath.Dir(c.File), "examples", "automations"); c.ModulesPath != want {
		t.Errorf("modules_path = %q, want %q", c.ModulesPath, want)
	}
	if origin := c.Origin("task_retries"); !strings.Contains(origin, "config.cfg:") {
		t.Errorf("task_retries comes from %q, want the file to show it", origin)
	}
}
