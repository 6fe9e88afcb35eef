package redistest_test

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/redistest"
)

func TestEveryKindOfServerAnswersAtItsURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		options redistest.Options
		setting string
		want    []any
	}{
		{"plain", redistest.Options{}, "save", []any{"save", ""}},
		{"password", redistest.Options{Password: "p w%/:@"}, "databases", []any{"databases", "4096"}},
		{"user", redistest.Options{User: "ana", Password: "secret"}, "appendonly", []any{"appendonly", "no"}},
		{"append-only file", redistest.Options{AOF: true}, "appendfsync", []any{"appendfsync", "always"}},
		{"socket", redistest.Options{Unix: true, Password: "secret"}, "appendonly", []any{"appendonly", "no"}},
		{"TLS", redistest.Options{TLS: true}, "port", []any{"port", "0"}},
		{"eviction", redistest.Options{MaxMemoryPolicy: "allkeys-lru"}, "maxmemory-policy", []any{"maxmemory-policy", "allkeys-lru"}},
		{"arguments", redistest.Options{Args: []string{"--maxmemory", "64mb"}}, "maxmemory", []any{"maxmemory", "67108864"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, test.options)
			got := s.Conn(t, s.DB(t)).Do("CONFIG", "GET", test.setting)
			if diff := cmp.Diff(any(test.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnswersHaveTheTypesOfRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	c := s.Conn(t, s.URL())
	for _, test := range []struct {
		args []string
		want any
	}{
		{[]string{"SET", "key", "a\r\nb"}, "OK"},
		{[]string{"GET", "key"}, "a\r\nb"},
		{[]string{"GET", "other"}, nil},
		{[]string{"STRLEN", "key"}, int64(4)},
		{[]string{"EVAL", "return {1, {'x', false}}", "0"}, []any{int64(1), []any{"x", nil}}},
		{[]string{"LPOP", "key"}, redistest.Error("WRONGTYPE Operation against a key holding the wrong kind of value")},
	} {
		if diff := cmp.Diff(test.want, c.Do(test.args...)); diff != "" {
			t.Errorf("%q: %s", test.args, diff)
		}
	}
}

func TestDatabasesAreSharedByNobody(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	var mu sync.Mutex
	given := map[string]bool{}
	t.Run("at once", func(t *testing.T) {
		for n := range 20 {
			t.Run(strconv.Itoa(n), func(t *testing.T) {
				t.Parallel()
				u := s.DB(t)
				s.Conn(t, u).Do("SET", "left", "behind")
				mu.Lock()
				defer mu.Unlock()
				if given[u] {
					t.Errorf("%s was given twice", u)
				}
				given[u] = true
			})
		}
	})
	if info := s.Do(t, "INFO", "keyspace"); strings.Contains(info.(string), "db") {
		t.Errorf("databases given back are not empty: %s", info)
	}
}

func TestARestartedServerKeepsWhatItsFileHas(t *testing.T) {
	t.Parallel()
	for _, aof := range []bool{true, false} {
		s := redistest.Start(t, redistest.Options{AOF: aof})
		for _, end := range []func(){s.Kill, func() { s.Stop(t) }, func() {}} {
			addr, pid := s.Addr(), s.Pid()
			s.Do(t, "INCR", "starts")
			end()
			s.Restart(t)
			if s.Addr() != addr || s.Pid() == pid {
				t.Errorf("the server is at %s with pid %d, was at %s with %d", s.Addr(), s.Pid(), addr, pid)
			}
		}
		var want any
		if aof {
			want = "3"
		}
		if got := s.Do(t, "GET", "starts"); got != want {
			t.Errorf("appendonly %v: %v after restarts, want %v", aof, got, want)
		}
	}
}

func TestAPausedServerHangs(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	s.Pause()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(s.Pid()) + "/stat")
	if err == nil && !strings.Contains(string(stat), ") T ") && !strings.Contains(string(stat), ") R ") {
		t.Errorf("the server is not stopped: %s", stat)
	}
	s.Continue()
	if got := s.Do(t, "PING"); got != "PONG" {
		t.Errorf("PING: %v", got)
	}
}

func TestTheSlowlogListsSlowCalls(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Args: []string{"--slowlog-log-slower-than", "5000"}})
	s.Do(t, "PING")
	if calls := s.Slowlog(t); len(calls) != 0 {
		t.Errorf("slow calls: %v", calls)
	}
	s.Do(t, "DEBUG", "SLEEP", "0.01")
	s.Do(t, "CONFIG", "SET", "slowlog-log-slower-than", "0")
	s.Do(t, "ECHO", "a")
	calls := s.Slowlog(t)
	if len(calls) < 2 || calls[len(calls)-1].Args[0] == "PING" {
		t.Errorf("slow calls: %v", calls)
	}
}

func TestAServerOfTestMainIsStoppedOnce(t *testing.T) {
	t.Parallel()
	s, stop, err := redistest.Launch(redistest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pid := s.Pid()
	stop()
	if err := syscall.Kill(pid, 0); err == nil {
		t.Errorf("process %d is left", pid)
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	_, _, err := redistest.Launch(redistest.Options{Args: []string{"--no-such-setting", "1"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("error %v does not say what is wrong", err)
	}
}
