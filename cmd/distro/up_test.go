package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// orchestrator runs `distro up` in this process until the test ends, and
// returns the address of its API.
func orchestrator(t *testing.T, module string) string {
	t.Helper()
	dir := t.TempDir()
	modules := filepath.Join(dir, "automations")
	if err := os.Mkdir(modules, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(modules, "m.py"), []byte(module), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.cfg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	log, write := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ours := func(entry string) bool { return strings.HasPrefix(entry, "DISTRO_") }
		con := newConsole(slices.DeleteFunc(os.Environ(), ours), strings.NewReader(""), io.Discard, write)
		ended <- execute(ctx, con, []string{
			"up", "--config", filepath.Join(dir, "config.cfg"), "--modules", modules, "--data", filepath.Join(dir, "data"),
			"--listen", "127.0.0.1:0", "--dashboard", "127.0.0.1:0", "--workers", "1",
		})
		write.Close()
	}()
	var line struct{ Msg, API string }
	for lines := json.NewDecoder(log); line.Msg != "serving"; {
		if err := lines.Decode(&line); err != nil {
			t.Fatalf("no line tells the address: %v", err)
		}
	}
	drained := make(chan struct{})
	go func() { defer close(drained); _, _ = io.Copy(io.Discard, log) }()
	t.Cleanup(func() {
		cancel()
		if status := <-ended; status != 0 {
			t.Errorf("up ended with status %d", status)
		}
		<-drained
	})
	return line.API
}

// ask runs a command against a server.
func ask(t *testing.T, api string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	con := newConsole(nil, strings.NewReader(""), &out, &errOut)
	status := execute(t.Context(), con, append([]string{args[0], "--server", api}, args[1:]...))
	return result{status, out.String(), errOut.String()}
}

func TestUpServesWhatTheCommandsAskFor(t *testing.T) {
	t.Parallel()
	api := orchestrator(t, "import sys\n"+
		"def add(a: int, b: int = 1):\n    print('adding', a)\n    print('warned', file=sys.stderr)\n    return a + b\n"+
		"def fail():\n    raise ValueError('on purpose')\n")
	if got := ask(t, api, "enqueue", "m.add", "2", "b=3", "--wait"); got != (result{0, "5\n", ""}) {
		t.Errorf("--wait: %+v", got)
	}
	got := ask(t, api, "enqueue", "m.add", "2", "--follow")
	if got.status != 0 || got.out != "adding 2\n" || !strings.Contains(got.errOut, "warned\n") || !strings.HasSuffix(got.errOut, "finished, result: 3\n") {
		t.Errorf("--follow: %+v", got)
	}
	got = ask(t, api, "enqueue", "m.fail", "--retries", "1", "--follow")
	if got.status != 1 || strings.Count(got.errOut, "ValueError: on purpose\n") != 3 || !strings.Contains(got.errOut, " failed after 2 attempts: ValueError: on purpose") {
		t.Errorf("a failure: %+v", got)
	}
	if got := ask(t, api, "enqueue", "m.add", "two"); got != (result{2, "", "distro: argument 1: \"two\" is not a whole number\n"}) {
		t.Errorf("a bad value: %+v", got)
	}
	later := strings.TrimSpace(ask(t, api, "enqueue", "m.add", "1", "--in", "1h").out)
	for _, args := range []string{"job " + later, "jobs", "queues", "workers", "modules", "info", "pause low", "resume low", "suspend", "resume",
		"empty default --yes", "cancel " + later, "requeue " + later, "logs " + later + " -f", "delete " + later} {
		if got := ask(t, api, strings.Fields(args)...); got.status != 0 || got.errOut != "" && !strings.HasPrefix(args, "logs") {
			t.Errorf("%s: %+v", args, got)
		}
	}
	if got := checkPort(t.Context(), "listen", strings.TrimPrefix(api, "http://")); got.Status != seenOK || !strings.HasSuffix(got.Detail, "is held by a running distro") {
		t.Errorf("doctor on the port: %+v", got)
	}
}

func TestInterruptedWaitSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--wait", "--follow"} {
		ctx, cancel := context.WithCancel(t.Context())
		api := http.NewServeMux()
		api.HandleFunc("POST /api/v1/jobs", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"id":"j1"}`) })
		api.HandleFunc("GET /", func(_ http.ResponseWriter, r *http.Request) {
			cancel() // as a signal does
			<-r.Context().Done()
		})
		server := httptest.NewServer(api)
		var errOut bytes.Buffer
		status := execute(ctx, newConsole(nil, nil, io.Discard, &errOut), []string{"enqueue", "m.f", flag, "--server", server.URL})
		server.Close()
		want := "distro: interrupted: the job goes on; `distro logs j1 -f` follows it, `distro stop j1` ends it\n"
		if errOut.String() != want || status != 1 {
			t.Errorf("%s: status %d, %s", flag, status, errOut.String())
		}
	}
}

// records hands on the messages that are logged.
type records chan string

func (r records) Enabled(context.Context, slog.Level) bool { return true }
func (r records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r records) WithGroup(string) slog.Handler            { return r }
func (r records) Handle(_ context.Context, record slog.Record) error {
	r <- record.Message
	return nil
}

func TestWorkGoesOnBehindIntakeUntilDrainTimeout(t *testing.T) {
	t.Parallel()
	intake, cancel := context.WithCancel(t.Context())
	log := make(records, 2)
	work, stop := workContext(intake, ending{drain: time.Millisecond, listen: askedAgain}, slog.New(log))
	defer stop()
	if work.Err() != nil {
		t.Fatal("work ended before intake")
	}
	cancel()
	<-work.Done()
	if first, second := <-log, <-log; !strings.HasPrefix(first, "draining") || !strings.HasPrefix(second, "drain_timeout has passed") {
		t.Errorf("logged %q, %q", first, second)
	}
}

func TestASecondSignalEndsTheWork(t *testing.T) {
	t.Parallel()
	intake, cancel := context.WithCancel(t.Context())
	log, signals := make(records, 2), make(chan os.Signal)
	work, stop := workContext(intake, ending{listen: func() (<-chan os.Signal, func()) { return signals, func() {} }}, slog.New(log))
	defer stop()
	cancel()
	if first := <-log; !strings.HasPrefix(first, "draining") || work.Err() != nil {
		t.Fatalf("intake ended: logged %q, work %v", first, work.Err())
	}
	signals <- os.Interrupt
	<-work.Done()
	if second := <-log; !strings.HasPrefix(second, "asked again") {
		t.Errorf("logged %q", second)
	}
}

func TestASignalThatComesTwiceIsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		intake, cancel := context.WithCancel(t.Context())
		signals := make(chan os.Signal)
		listen := func() (<-chan os.Signal, func()) { return signals, func() {} }
		work, stop := workContext(intake, ending{deaf: time.Second, listen: listen}, slog.New(slog.DiscardHandler))
		defer stop()
		cancel()
		signals <- os.Interrupt
		synctest.Wait()
		if work.Err() != nil {
			t.Error("the second signal came at once, and was heard")
		}
		<-time.After(time.Second)
		signals <- os.Interrupt
		synctest.Wait()
		if work.Err() == nil {
			t.Error("the third signal was not heard")
		}
	})
}

func TestWorkEndsWhenItIsStopped(t *testing.T) {
	t.Parallel()
	work, stop := workContext(t.Context(), ending{listen: askedAgain}, slog.New(slog.DiscardHandler))
	stop()
	if work.Err() == nil {
		t.Error("work goes on")
	}
}
