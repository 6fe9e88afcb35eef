package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef"

// request is what a receiver got.
type request struct {
	at      time.Time
	path    string
	header  http.Header
	body    string
	address string // that was dialed for it, where the test dials
}

// receiver answers requests, and hands them to the test.
type receiver struct {
	answer func(n int, w http.ResponseWriter) // n counts from 1; nil: 200

	mu   sync.Mutex
	got  []request
	news chan struct{}
}

func newReceiver(answer func(n int, w http.ResponseWriter)) *receiver {
	return &receiver{answer: answer, news: make(chan struct{}, 10_000)}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.got = append(r.got, request{at: time.Now(), path: req.URL.RequestURI(), header: req.Header, body: string(body)})
	n := len(r.got)
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(n, w)
	}
	r.news <- struct{}{}
}

// wait returns the first n requests when they are there.
func (r *receiver) wait(n int) []request {
	for range n {
		<-r.news
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got[:n:n]
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// journal is a log that can be read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// started is a Sender that runs until stop.
func started(t *testing.T, opts webhook.Options) (s *webhook.Sender, stop func()) {
	t.Helper()
	s, err := webhook.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return s, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func failedExecution() distro.Execution {
	return distro.Execution{
		JobID: "job-1", Run: "r", Attempt: 3, Module: "fiscal.notas", Function: "emitir", Queue: "high", Arguments: "senha='hunter2'",
		State: distro.ExecutionFailed, Worker: "rpa-03", Host: "vm7", EndedAt: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		Failure: &distro.Failure{
			Kind: distro.FailureException, Type: "ValueError", Message: strings.Repeat("é", 2000), Traceback: "Traceback: hunter2",
		},
	}
}

func TestAFailedJobIsToldSigned(t *testing.T) {
	t.Parallel()
	r := newReceiver(nil)
	server := httptest.NewServer(r)
	defer server.Close()
	s, stop := started(t, webhook.Options{URL: server.URL + "/hook?key=1", Secret: secret, AllowPrivate: true, Version: "1.2.3"})
	began := time.Now()
	s.Failed(failedExecution())
	got := r.wait(1)[0]
	stop()

	var body map[string]any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatal(err)
	}
	id, _ := body["id"].(string)
	want := map[string]any{
		"id": id, "type": "job.failed", "time": "2026-11-23T12:00:00Z", "job_id": "job-1", "function": "fiscal.notas.emitir",
		"queue": "high", "attempt": 3.0, "worker": "rpa-03", "host": "vm7",
		"error_kind": "exception", "error_type": "ValueError", "error_message": strings.Repeat("é", 999) + "…",
	}
	if diff := cmp.Diff(want, body); diff != "" || id == "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "Distro/1.2.3", "Distro-Event": "job.failed", "Distro-Delivery": id,
	} {
		if have := got.header.Get(name); have != want {
			t.Errorf("%s is %q", name, have)
		}
	}
	if got.path != "/hook?key=1" {
		t.Errorf("path %s", got.path)
	}
	at, err := verify(secret, got.header.Get("Distro-Signature"), []byte(got.body))
	if err != nil || at.Before(began.Truncate(time.Second)) || at.After(time.Now()) {
		t.Errorf("signed at %s: %v", at, err)
	}
	if _, err := verify("another secret", got.header.Get("Distro-Signature"), []byte(got.body)); err == nil {
		t.Error("the signature fits another secret")
	}
}

func TestLateQueuesAndLostWorkersAreTold(t *testing.T) {
	t.Parallel()
	r := newReceiver(nil)
	server := httptest.NewServer(r)
	defer server.Close()
	s, stop := started(t, webhook.Options{URL: server.URL, AllowPrivate: true})
	s.QueueLate(distro.QueueInfo{Name: "high", Paused: true, Jobs: map[distro.Status]int{distro.StatusQueued: 7}}, 90*time.Second, time.Minute)
	first := r.wait(1)[0]
	s.WorkerLost(distro.Worker{Name: "rpa-03", Host: "vm7", Running: make([]string, 30)})
	second := r.wait(1)
	_ = second
	stop()
	for i, want := range []map[string]any{
		{"type": "queue.late", "queue": "high", "paused": true, "waiting": 7.0, "oldest_seconds": 90.0, "limit_seconds": 60.0},
		{"type": "worker.lost", "worker": "rpa-03", "host": "vm7", "job_ids": make([]any, 20)},
	} {
		var body map[string]any
		if err := json.Unmarshal([]byte(r.got[i].body), &body); err != nil {
			t.Fatal(err)
		}
		if ids, ok := body["job_ids"].([]any); ok {
			body["job_ids"] = make([]any, len(ids))
		}
		delete(body, "id")
		delete(body, "time")
		if diff := cmp.Diff(want, body); diff != "" {
			t.Error(diff)
		}
	}
	if first.header.Get("Distro-Signature") != "" {
		t.Error("it is signed without a secret")
	}
}

func TestRedirectsAreNotFollowedAndAnswersNotRead(t *testing.T) {
	t.Parallel()
	elsewhere := newReceiver(nil)
	other := httptest.NewServer(elsewhere)
	defer other.Close()
	r := newReceiver(func(n int, w http.ResponseWriter) {
		switch n {
		case 1:
			w.Header().Set("Location", other.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		case 2:
			for block := make([]byte, 1<<20); ; { // without an end: until the sender hangs up
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}
	})
	server := httptest.NewServer(r)
	defer server.Close()
	log := &journal{}
	s, stop := started(t, webhook.Options{URL: server.URL, AllowPrivate: true, Logger: log.logger()})
	for range 3 {
		s.Notify(webhook.Event{Type: webhook.QueueLate})
		r.wait(1)
	}
	stop()
	if elsewhere.count() != 0 || r.count() != 3 {
		t.Errorf("%d requests, %d elsewhere", r.count(), elsewhere.count())
	}
	if !strings.Contains(log.String(), "webhook given up") || !strings.Contains(log.String(), "status 307") {
		t.Errorf("log: %s", log)
	}
}

func TestURLsThatCannotBeAreRefusedAtOnceWithoutBeingRepeated(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                                   "no URL",
		"example.com/s3cret":                 "no URL",
		"https:///s3cret":                    "no URL",
		"https://exa mple.com/s3cret":        "no URL",
		"https://example.com:port/s3cret":    "no URL",
		"mailto:s3cret@example.com":          "no URL",
		"ftp://example.com/s3cret":           "neither http nor https",
		"file:///etc/s3cret":                 "no URL",
		"https://user:s3cret@example.com/":   "user or password",
		"https://s3cret@example.com/":        "user or password",
		"http://localhost/s3cret":            "is this machine (webhook_allow_private = on allows it)",
		"http://a.LOCALHOST./s3cret":         "is this machine",
		"http://127.0.0.1/s3cret":            "is this machine (webhook_allow_private = on allows it)",
		"http://[::1]:8080/s3cret":           "is this machine",
		"http://10.1.2.3/s3cret":             "is private (webhook_allow_private = on allows it)",
		"http://169.254.169.254/s3cret":      "in no range of public addresses",
		"http://[fe80::1%25eth0]/s3cret":     "in no range of public addresses",
		"http://[::ffff:169.254.1.1]/s3cret": "in no range of public addresses",
	} {
		_, err := webhook.New(webhook.Options{URL: url})
		e, ok := errors.AsType[*distro.Error](err)
		if !ok || e.Code != distro.CodeInvalid || e.Field != "webhook_url" || !strings.Contains(e.Message, want) {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("it repeats the secret: %v", err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:80", "http://localhost", "https://[fd00::1]/x", "HTTPS://100.64.0.1"} {
		if _, err := webhook.New(webhook.Options{URL: url, AllowPrivate: true}); err != nil {
			t.Errorf("%s, though allowed: %v", url, err)
		}
	}
}

// tell sends one event to a receiver whose name has the addresses, and returns
// what was dialed and the log.
func tell(t *testing.T, allow bool, addresses ...string) (dialed []string, log string) {
	t.Helper()
	journal, tried := &journal{}, make(chan struct{})
	s, stop := started(t, webhook.Options{
		URL: "https://hook.example/s3cret", Secret: secret, AllowPrivate: allow, Logger: journal.logger(),
		Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			defer close(tried)
			if host != "hook.example" {
				t.Errorf("%s was looked up", host)
			}
			var list []netip.Addr
			for _, a := range addresses {
				list = append(list, netip.MustParseAddr(a))
			}
			return list, nil
		},
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			dialed = append(dialed, address)
			return nil, errors.New("nobody is there")
		},
	})
	s.Notify(webhook.Event{Type: webhook.WorkerLost})
	<-tried
	stop()
	return dialed, journal.String()
}

func TestOnlyPublicAddressesAreDialedUnlessPrivateOnesAreAllowed(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		// Everybody's.
		"93.184.216.34": "public", "2606:2800:220:1::1": "public", "::ffff:93.184.216.34": "public", "64:ff9b::5db8:d822": "public",
		"2002:5db8:d822::1": "public", "172.32.0.1": "public", "100.128.0.1": "public", "11.0.0.1": "public",
		// Of this machine, of its networks.
		"127.0.0.1": "private", "127.255.0.9": "private", "::1": "private", "::ffff:127.0.0.1": "private", "64:ff9b::7f00:1": "private",
		"10.0.0.1": "private", "172.16.0.1": "private", "172.31.255.255": "private", "192.168.1.1": "private", "fd00::1": "private", "fc00::1": "private",
		"::ffff:10.0.0.1": "private", "64:ff9b::a00:1": "private", "2002:a00:1::1": "private", "2002:7f00:1::": "private",
		"100.64.0.1": "private", "100.127.255.255": "private", "::ffff:100.100.100.200": "private", "64:ff9b::6464:64c8": "private",
		// Nobody's.
		"0.0.0.0": "never", "::": "never", "0.1.2.3": "never", "::ffff:0.0.0.0": "never", "64:ff9b::": "never",
		"169.254.169.254": "never", "fe80::1": "never", "fe80::1%eth0": "never", "::ffff:169.254.169.254": "never", "64:ff9b::a9fe:a9fe": "never",
		"2002:a9fe:a9fe::": "never", "224.0.0.1": "never", "ff02::1": "never", "255.255.255.255": "never", "240.0.0.1": "never",
		"::ffff:224.0.0.1": "never", "192.0.0.192": "never", "192.0.2.1": "never", "198.18.0.1": "never", "198.51.100.1": "never",
		"203.0.113.1": "never", "192.88.99.1": "never", "168.63.129.16": "never", "64:ff9b:1::a00:1": "never", "::a00:1": "never",
		"2001::1": "never", "2001:db8::1": "never", "fec0::1": "never", "100::1": "never", "3fff::1": "never", "4000::1": "never",
	} {
		for allow, dials := range map[bool]bool{false: want == "public", true: want != "never"} {
			dialed, log := tell(t, allow, address)
			if got := len(dialed) == 1; got != dials {
				t.Errorf("%s, private allowed %t: dialed %q", address, allow, dialed)
			}
			if refused := strings.Contains(log, "is not allowed"); refused == dials {
				t.Errorf("%s, private allowed %t: %s", address, allow, log)
			}
			if strings.Contains(log, "s3cret") || strings.Contains(log, secret) {
				t.Errorf("the log tells a secret: %s", log)
			}
		}
	}
}

func TestWhatIsDialedIsWhatWasChecked(t *testing.T) {
	t.Parallel()
	// Some answers lead inside: these are left out, and nothing is looked up again.
	dialed, _ := tell(t, false, "127.0.0.1", "::ffff:93.184.216.34", "10.0.0.1", "2606:2800:220:1::1")
	if diff := cmp.Diff([]string{"93.184.216.34:443", "[2606:2800:220:1::1]:443"}, dialed); diff != "" {
		t.Error(diff)
	}
	dialed, _ = tell(t, false)
	if len(dialed) != 0 {
		t.Errorf("without an address, dialed %q", dialed)
	}
}
