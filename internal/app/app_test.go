package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/app"
	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(t *testing.T, flags map[string]string) app.Options {
	t.Helper()
	modules := t.TempDir()
	if err := os.WriteFile(filepath.Join(modules, "m.py"), []byte("def f(): pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"modules_path": modules, "data_dir": t.TempDir(), "listen": "127.0.0.1:0", "dashboard_listen": "127.0.0.1:0", "workers": "1"}
	for name, value := range flags {
		all[name] = value
	}
	cfg, err := config.Load(config.Sources{Flags: all})
	if err != nil {
		t.Fatal(err)
	}
	return app.Options{Config: cfg, Environ: os.Environ(), Logger: slog.New(slog.DiscardHandler)}
}

func TestAnOrchestratorServesAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, workers := range []string{"0", "2"} {
		a, err := app.New(t.Context(), options(t, map[string]string{"workers": workers}))
		if err != nil {
			t.Fatal(err)
		}
		intake, drain := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(intake, t.Context()) }()
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		pages, err := client.Get("http://" + a.DashboardAddr().String() + "/settings")
		if err != nil {
			t.Fatal(err)
		}
		if pages.Body.Close(); pages.StatusCode != http.StatusOK {
			t.Errorf("the dashboard answered %d", pages.StatusCode)
		}
		response, err := client.Get("http://" + a.Addr().String() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("not ready: %s", response.Status)
		}
		drain()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestAnOrchestratorTakesItsTokensAndItsZoneFromTheSettings(t *testing.T) {
	t.Parallel()
	const operators, readers = "0123456789abcdef", "fedcba9876543210"
	a, err := app.New(t.Context(), options(t, map[string]string{
		"workers": "0", "auth_token": operators, "auth_token_read": readers, "timezone": "Asia/Tokyo",
	}))
	if err != nil {
		t.Fatal(err)
	}
	intake, drain := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(intake, t.Context()) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, tt := range []struct {
		token, method, path, body string
		status                    int
		want                      string
	}{
		{readers, "GET", "/api/v1/queues", "", http.StatusOK, `"default"`},
		{readers, "POST", "/api/v1/jobs", `{"function":"m.f"}`, http.StatusForbidden, "auth_token_read may only read"},
		{"x", "GET", "/api/v1/queues", "", http.StatusUnauthorized, ""},
		{operators, "POST", "/api/v1/jobs", `{"function":"m.f"}`, http.StatusCreated, `"queued"`},
		{operators, "POST", "/api/v1/operations", `{"action":"delete","query":"when:2026-10-31"}`, http.StatusAccepted, "2026-10-30T15:00:00Z"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+a.Addr().String()+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+tt.token)
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != tt.status || !strings.Contains(string(text), tt.want) {
			t.Errorf("%s %s: %s %s, %v; want %d with %q", tt.method, tt.path, response.Status, text, err, tt.status, tt.want)
		}
	}
	drain()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAnOrchestratorShowsItsMetrics(t *testing.T) {
	t.Parallel()
	opts := options(t, map[string]string{"workers": "2"})
	opts.Version = "1.2.3"
	a, err := app.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	intake, drain := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(intake, t.Context()) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	scrape := func() string {
		response, err := client.Get("http://" + a.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v", response.Status, err)
		}
		return string(text)
	}
	limit := time.After(20 * time.Second)
	for _, want := range []string{"\ndistro_up 1\n", "distro_worker_slots{worker=", `version="1.2.3"`, `distro_broker_call_seconds_count{operation="counts",outcome="ok"} `,
		`distro_database_seconds_count{database="queue",operation="read",outcome="ok"} `, `distro_database_seconds_count{database="history",operation="read",outcome="ok"} `,
	} {
		for text := scrape(); !strings.Contains(text, want); text = scrape() { // its parts begin one after another
			select {
			case <-limit:
				t.Fatalf("there is no %s in\n%s", want, text)
			default:
			}
		}
	}
	drain()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestHistoryKeepsTheNewestOfWhatTheSettingsAllow(t *testing.T) {
	t.Parallel()
	opts := options(t, map[string]string{"isolation": "spawn"})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	const jobs, kept = 5, 2
	for _, limit := range []int{0, kept} {
		opts.Config.RetentionRows = limit
		a, err := app.New(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		intake, drain := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(intake, t.Context()) }()
		url := "http://" + a.Addr().String()
		for n := range jobs { // which are there already in the second round
			body := fmt.Sprintf(`{"module":"m","function":"f","queue":"default","job_id":"job-%d"}`, n)
			response, err := client.Post(url+"/scheduler/queue-task", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusCreated {
				t.Fatal(response.Status)
			}
		}
		want := []string{"job-4", "job-3", "job-2", "job-1", "job-0"}
		if limit > 0 {
			want = want[:limit]
		}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for got := ([]string)(nil); !slices.Equal(got, want); <-tick.C {
			got = finished(t, client, url)
		}
		drain()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// finished are the jobs in history whose attempts finished, the newest first.
func finished(t *testing.T, client *http.Client, url string) []string {
	t.Helper()
	response, err := client.Get(url + "/api/v1/executions?q=state:finished")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var page httpapi.ExecutionPage
	if err := json.NewDecoder(response.Body).Decode(&page); err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.Status, err)
	}
	var ids []string
	for _, e := range page.Executions {
		ids = append(ids, e.JobID)
	}
	return ids
}

func TestTheWebhookIsToldOfALateQueue(t *testing.T) {
	t.Parallel()
	told := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- r.Header.Get("Distro-Event") + " " + string(body)
	}))
	defer receiver.Close()
	opts := options(t, map[string]string{
		"workers": "0", "webhook_url": receiver.URL, "webhook_allow_private": "on", "alert_queue_age": "1ms",
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, during := range []func(*app.App){
		func(a *app.App) { // a job comes to wait
			response, err := client.Post("http://"+a.Addr().String()+"/api/v1/jobs", "application/json", strings.NewReader(`{"function":"m.f","queue":"low"}`))
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusCreated {
				t.Fatal(response.Status)
			}
		},
		func(*app.App) { // and still does after a restart
			if got := <-told; !strings.HasPrefix(got, "queue.late {") || !strings.Contains(got, `"queue":"low"`) || !strings.Contains(got, `"waiting":1`) {
				t.Error(got)
			}
		},
	} {
		a, err := app.New(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		intake, drain := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(intake, t.Context()) }()
		during(a)
		drain()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestAWebhookThatIsNotAllowedIsNamedAtTheStart(t *testing.T) {
	t.Parallel()
	_, err := app.New(t.Context(), options(t, map[string]string{"workers": "0", "webhook_url": "http://10.0.0.1/s3cret"}))
	if distro.ErrorCode(err) != distro.CodeInvalid || !strings.HasPrefix(err.Error(), "webhook_url: ") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}

func TestACertificateThatCannotBeLoadedIsNamedAtTheStart(t *testing.T) {
	t.Parallel()
	opts := options(t, map[string]string{"workers": "0"})
	opts.Config.TLSCert, opts.Config.TLSKey = filepath.Join(t.TempDir(), "cert.pem"), "key.pem"
	_, err := app.New(t.Context(), opts)
	if distro.ErrorCode(err) != distro.CodeInvalid || !strings.HasPrefix(err.Error(), "tls_cert: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

func TestADataDirectoryHasOneOwner(t *testing.T) {
	t.Parallel()
	opts := options(t, map[string]string{"workers": "0"})
	first, err := app.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = app.New(t.Context(), opts)
	if distro.ErrorCode(err) != distro.CodeConflict || !strings.Contains(err.Error(), "belongs to a running distro") {
		t.Errorf("the second: %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := first.Run(stopped, stopped); err != nil {
		t.Error(err)
	}
	third, err := app.New(t.Context(), opts)
	if err != nil {
		t.Fatalf("afterwards: %v", err)
	}
	if err := third.Run(stopped, stopped); err != nil {
		t.Error(err)
	}
}

func TestADashboardWhosePortIsTakenByChanceDoesNotStopTheJobs(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	chosen := options(t, map[string]string{"workers": "0", "dashboard_listen": busy.Addr().String()})
	if _, err := app.New(t.Context(), chosen); err == nil || !strings.Contains(err.Error(), "--dashboard") {
		t.Errorf("where the port was chosen: %v", err)
	}
	cfg, err := config.Load(config.Sources{Flags: map[string]string{
		"modules_path": chosen.Config.ModulesPath, "data_dir": t.TempDir(), "listen": "127.0.0.1:0", "workers": "0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	cfg.DashboardListen = busy.Addr().String() // as if it were the default
	var log strings.Builder
	a, err := app.New(t.Context(), app.Options{Config: cfg, Environ: os.Environ(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if a.DashboardAddr() != nil || !strings.Contains(log.String(), "choose another with --dashboard") {
		t.Errorf("it serves on %v and says %s", a.DashboardAddr(), log.String())
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := a.Run(stopped, stopped); err != nil {
		t.Error(err)
	}
}

func TestAFailedStartIsUndone(t *testing.T) {
	t.Parallel()
	busy := options(t, map[string]string{"workers": "0"})
	first, err := app.New(t.Context(), busy)
	if err != nil {
		t.Fatal(err)
	}
	taken := options(t, map[string]string{"listen": first.Addr().String()})
	if _, err := app.New(t.Context(), taken); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("on a taken port: %v", err)
	}
	if lock, err := os.OpenFile(filepath.Join(taken.Config.DataDir, "lock"), os.O_RDWR, 0); err != nil {
		t.Error(err)
	} else {
		lock.Close()
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := first.Run(stopped, stopped); err != nil {
		t.Error(err)
	}
	taken.Config.Listen = "127.0.0.1:0"
	again, err := app.New(t.Context(), taken)
	if err != nil {
		t.Fatalf("the data directory is still held: %v", err)
	}
	if err := again.Run(stopped, stopped); err != nil {
		t.Error(err)
	}
}

func TestAVirtualEnvironmentIsLeftToItsOwner(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	opts := options(t, map[string]string{"environments": "on"})
	venv := filepath.Join(opts.Config.ModulesPath, ".venv")
	if err := os.MkdirAll(filepath.Join(venv, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(python, filepath.Join(venv, "bin", "python")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(opts.Config.ModulesPath, "requirements.txt"), []byte("pkg\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts.Environ = slices.DeleteFunc(opts.Environ, func(entry string) bool { return strings.HasPrefix(entry, "VIRTUAL_ENV=") })
	var log bytes.Buffer
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a, err := app.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	intake, drain := context.WithCancel(t.Context())
	drain()
	if err := a.Run(intake, t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "no environment is prepared") {
		t.Errorf("log: %s", log.String())
	}
	if _, err := os.Stat(filepath.Join(opts.Config.DataDir, "environments")); err == nil {
		t.Error("there is a folder for environments")
	}
}
