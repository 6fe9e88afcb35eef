package redisbroker_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/proctest"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// works checks that a URL leads to a Redis where a job can be stored, and that
// redis-py gets to the same database.
func works(t *testing.T, rawURL string) {
	t.Helper()
	b, err := redisbroker.Open(t.Context(), redisbroker.Options{URL: rawURL, Clock: broker.SystemClock(), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := b.Enqueue(t.Context(), []distro.Job{call("a", "q")}); err != nil {
		t.Fatal(err)
	}
	jobs, err := b.Get(t.Context(), []string{"a"})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("got %d jobs: %v", len(jobs), err)
	}
	seen := redistest.FindStock(t).Run(t, b.ChildURL(),
		"import os, redis; print(redis.Redis.from_url(os.environ['REDIS_URL']).hget('rq:job:a', 'origin'))")
	if strings.TrimSpace(seen) != "b'q'" {
		t.Errorf("redis-py found %s", seen)
	}
}

// refused checks that a URL leads nowhere, and returns why.
func refused(t *testing.T, rawURL string) error {
	t.Helper()
	b, err := redisbroker.Open(t.Context(), redisbroker.Options{URL: rawURL, Clock: broker.SystemClock(), Timeout: 20 * time.Second})
	if err == nil {
		_ = b.Close()
		t.Fatal("connected")
	}
	return err
}

// A handshake has no more time than a user may have to wait, so this test runs
// before the others do.
func TestItConnectsByTLS(t *testing.T) {
	s := redistest.Start(t, redistest.Options{TLS: true})
	works(t, s.URL()+"?ssl_ca_certs="+url.QueryEscape(s.CAFile()))
	works(t, s.URL()+"?ssl_cert_reqs=none")
	works(t, s.URL()+"?ssl_check_hostname=false&ssl_ca_certs="+url.QueryEscape(s.CAFile()))
	if err := refused(t, s.URL()); !strings.Contains(err.Error(), "certificate") {
		t.Errorf("of a server that nobody vouches for: %v", err)
	}
	if err := refused(t, s.URL()+"?ssl_check_hostname=false"); !strings.Contains(err.Error(), "certificate") {
		t.Errorf("of a server that nobody vouches for, whatever its name: %v", err)
	}
}

func TestItConnectsByNameAndPassword(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{User: "worker", Password: "p@ss/word:#1"})
	works(t, s.URL())
	for _, rawURL := range []string{
		strings.Replace(s.URL(), "worker", "other", 1),
		fmt.Sprintf("redis://worker:hunter2@%s", s.Addr()),
		fmt.Sprintf("redis://%s", s.Addr()),
	} {
		err := refused(t, rawURL)
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "p@ss") || !strings.Contains(err.Error(), s.Addr()) {
			t.Errorf("the error should name the server and no password: %v", err)
		}
	}
}

func TestItConnectsByPasswordAlone(t *testing.T) {
	t.Parallel()
	works(t, redistest.Start(t, redistest.Options{Password: "hunter2"}).URL())
}

func TestItConnectsByUnixSocket(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Unix: true})
	works(t, s.DB(t))
}

// Servers before 6.2 lack commands; so do some that are hosted.
func TestAnOldRedisIsWorkedWith(t *testing.T) {
	t.Parallel()
	var args []string
	for _, name := range []string{"HELLO", "BLMOVE", "LMOVE", "COPY", "SMISMEMBER"} {
		args = append(args, "--rename-command", name, "")
	}
	url := redistest.Start(t, redistest.Options{Args: args}).URL()
	works(t, url)
	b := openAs(t, redisbroker.Options{URL: url, Clock: broker.SystemClock()})
	woken := make(chan error, 1)
	go func() { woken <- b.Wait(t.Context(), broker.Interest{Queues: []string{"late"}}) }()
	if _, err := b.Enqueue(t.Context(), []distro.Job{call("b", "late")}); err != nil {
		t.Fatal(err)
	}
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
	reply, err := b.Exchange(t.Context(), broker.ExchangeRequest{
		Worker: distro.Worker{Name: "w", Queues: []string{"q", "late"}, Slots: 2}, Beat: 1,
		Want: broker.Want{Queues: []string{"q", "late"}, Tokens: []string{"one", "two", "three"}, Begun: 2},
	})
	if err != nil || len(reply.Claims) != 2 || reply.Claims[0].Job.ID != "a" || reply.Claims[1].Job.ID != "b" {
		t.Errorf("claimed %+v, %v", reply.Claims, err)
	}
}

func TestItConnectsToTheMasterThatSentinelNames(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	host, port, _ := strings.Cut(s.Addr(), ":")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_, own, _ := strings.Cut(address, ":")
	_ = listener.Close()
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\nsentinel monitor main %s %s 1\n", own, host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	proctest.Start(t, exec.CommandContext(t.Context(), "redis-server", conf, "--sentinel")).Await(t, "+monitor master main")
	works(t, fmt.Sprintf("sentinel://%s/main/5", address))
	if err := refused(t, fmt.Sprintf("sentinel://%s/other", address)); !strings.Contains(err.Error(), "other") {
		t.Errorf("of a master that nobody knows: %v", err)
	}
}

func TestAClusterIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Args: []string{"--cluster-enabled", "yes", "--databases", "1"}})
	if err := refused(t, s.URL()); !strings.Contains(err.Error(), "Cluster") || !strings.Contains(err.Error(), "Sentinel") {
		t.Errorf("got %v", err)
	}
}

func TestNoErrorTellsAPasswordThatTheServerRepeats(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			for lines := bufio.NewScanner(c); lines.Scan() && !strings.Contains(lines.Text(), "hunter2"); {
			}
			fmt.Fprint(c, strings.Repeat("-ERR unknown word 'hunter2'\r\n", 3)) // HELLO and what follows it
			c.Close()
		}
	}()
	err = refused(t, "redis://:hunter2@"+listener.Addr().String())
	if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "***") {
		t.Errorf("got %v", err)
	}
	listener.Close()
	<-done
}

func TestErrorsTellWhatCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	b, err := redisbroker.Open(t.Context(), redisbroker.Options{URL: s.URL(), Clock: broker.SystemClock()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	enqueue := func() error {
		_, err := b.Enqueue(t.Context(), []distro.Job{call(distro.NewID(), "q")})
		return err
	}
	for _, step := range []struct {
		what string
		does func()
		want error
	}{
		{"without memory", func() { s.Do(t, "CONFIG", "SET", "maxmemory", "1") }, broker.ErrFull},
		{"of a replica", func() { s.Do(t, "CONFIG", "SET", "maxmemory", "0"); s.Do(t, "REPLICAOF", "127.0.0.1", "1") }, broker.ErrUnavailable},
		{"as before", func() { s.Do(t, "REPLICAOF", "NO", "ONE") }, nil},
		{"that hangs", s.Pause, broker.ErrUnavailable},
		{"that is gone", func() { s.Continue(); s.Stop(t) }, broker.ErrUnavailable},
	} {
		step.does()
		at := time.Now()
		if err := enqueue(); !errors.Is(err, step.want) {
			t.Errorf("Redis %s: got %v, want %v", step.what, err, step.want)
		}
		if took := time.Since(at); took > 2*time.Second {
			t.Errorf("Redis %s: took %s", step.what, took)
		}
	}
}

func TestServerErrorsAreSortedByTheirCode(t *testing.T) {
	t.Parallel()
	b := setup(t).broker
	for text, want := range map[string]error{
		"LOADING Redis is loading the dataset in memory":           broker.ErrUnavailable,
		"MASTERDOWN Link with MASTER is down":                      broker.ErrUnavailable,
		"MISCONF Redis is configured to save RDB snapshots":        broker.ErrUnavailable,
		"BUSY Redis is busy running a script":                      broker.ErrUnavailable,
		"ERR max number of clients reached":                        broker.ErrUnavailable,
		"ERR Error running script: @user_script: 12: -OOM command": broker.ErrFull,
		"ERR Error running script: @user_script: -READONLY You ":   broker.ErrUnavailable,
		"NOPERM this user has no permissions":                      nil,
		"ERR wrong number of arguments":                            nil,
	} {
		err := b.Eval(t.Context(), fmt.Sprintf("return redis.error_reply(%q)", text))
		if err == nil || want != nil && !errors.Is(err, want) ||
			want == nil && (errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrFull)) {
			t.Errorf("%s: got %v, want %v", text, err, want)
		}
	}
}
