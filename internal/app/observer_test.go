package app_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/app"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// observe serves a dashboard of a Redis until the test ends, and returns its
// address.
func observe(t *testing.T, url string, log io.Writer) string {
	t.Helper()
	cfg, err := config.Load(config.Sources{Flags: map[string]string{"redis_url": url, "dashboard_listen": "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := app.NewObserver(t.Context(), app.ObserverOptions{Config: cfg, Version: "1.2.3", Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + o.Addr().String()
}

// ask makes one request.
func ask(t *testing.T, method, address string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestAnObserverShowsARedisAndWritesOnlyWhatItIsAsked(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	redistest.Load(t, server.Conn(t, server.URL()), redistest.ReadState(t, filepath.Join("..", "broker", "redisbroker", "testdata", "rq", "2.10.0", "state.json")))
	written := func() string {
		for line := range strings.Lines(fmt.Sprint(server.Do(t, "INFO", "persistence"))) {
			if strings.HasPrefix(line, "rdb_changes_since_last_save:") {
				return line
			}
		}
		return "not told"
	}
	before := written()
	at := observe(t, server.URL(), io.Discard)
	for address, want := range map[string]int{
		"/": 200, "/queues": 200, "/workers": 200, "/jobs": 200, "/jobs/failed-traceback": 200, "/jobs/none": 404, "/0/data/queues.json": 200,
		"/0/data/workers.json": 200, "/0/data/job/failed-traceback.json": 200, "/api/v1/queues": 200, "/api/v1/automations": 503,
	} {
		if status, body := ask(t, http.MethodGet, at+address); status != want {
			t.Errorf("GET %s: %d, want %d\n%.300s", address, status, want, body)
		}
	}
	listen(t, at+"/api/v1/events?topics=overview,jobs")
	if after := written(); after != before {
		t.Errorf("something was written: %q, %q", before, after)
	}
	if status, body := ask(t, http.MethodPost, at+"/job/failed-traceback/requeue"); status != http.StatusOK {
		t.Errorf("requeue: %d\n%s", status, body)
	}
	if status, body := ask(t, http.MethodGet, at+"/0/data/job/failed-traceback.json"); !strings.Contains(body, `"status":"queued"`) {
		t.Errorf("requeued: %d\n%s", status, body)
	}
	if written() == before {
		t.Error("nothing was written")
	}
}

// listen hears the first of a stream of events.
func listen(t *testing.T, address string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data:") {
			return
		}
	}
	t.Errorf("%s tells nothing: %s", address, response.Status)
}

func TestAnObserverDoesNotStartWhereThereIsNoRedisOrNoPort(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.Sources{Flags: map[string]string{"redis_url": "redis://:secret@127.0.0.1:1", "dashboard_listen": "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	opts := app.ObserverOptions{Config: cfg, Logger: slog.New(slog.DiscardHandler)}
	_, err = app.NewObserver(t.Context(), opts)
	if err == nil || !strings.Contains(err.Error(), "--redis-url") || strings.Contains(err.Error(), "secret") {
		t.Errorf("without a Redis: %v", err)
	}
	url := redistest.Start(t, redistest.Options{}).URL()
	var log bytes.Buffer
	opts.Config.RedisURL, opts.Config.DashboardListen = url, strings.TrimPrefix(observe(t, url, &log), "http://")
	if _, err = app.NewObserver(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "--dashboard") {
		t.Errorf("where the port is taken: %v", err)
	}
	if err := connect(t, url, broker.SystemClock()).SetPaused(t.Context(), "q", true); err != nil {
		t.Error(err)
	}
}
