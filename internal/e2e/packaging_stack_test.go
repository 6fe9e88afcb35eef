package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/pgtest"
	"github.com/distro-orchestrator/distro/internal/proctest"
)

// stack is the services of docker-compose.yml as processes of this machine:
// with their commands, variables and keys, but for names of hosts and paths.
type stack struct {
	t        *testing.T
	services map[string]composed
	keys     string
	paths    map[string]*strings.Replacer // by service: what it calls its files and ports
	redis    string                       // port
}

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{t: t, services: readImage(t).Services, keys: makeKeys(t), paths: map[string]*strings.Replacer{}}
	port := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	}
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	s.redis = port()
	for name := range s.services {
		s.paths[name] = strings.NewReplacer(
			"/keys", filepath.Join(s.keys, name), "/automations", folder+"/examples/automations", "/var/lib/distro", t.TempDir(),
			"/etc/distro/config.cfg", folder+"/config.cfg", "/usr/lib/distro", folder+"/packaging/docker",
			"0.0.0.0:7000", "0.0.0.0:"+port(), "0.0.0.0:9181", "0.0.0.0:"+port(), "redis-cli", "redis-cli -p "+s.redis,
		)
	}
	return s
}

// rewrite changes the host in a file of the keys, which is read-only.
func (s *stack) rewrite(file, from, to string) {
	s.t.Helper()
	path := filepath.Join(s.keys, file)
	text := strings.ReplaceAll(read(s.t, path), from, to)
	if err := os.Remove(path); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o444); err != nil {
		s.t.Fatal(err)
	}
}

// command is a command of a service.
func (s *stack) command(name string, words ...string) *exec.Cmd {
	service := s.services[name]
	for i, word := range words {
		words[i] = s.paths[name].Replace(word)
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = s.paths[name].Replace("/automations")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.t.TempDir()}
	for variable, value := range service.Environment {
		cmd.Env = append(cmd.Env, variable+"="+s.paths[name].Replace(value))
	}
	return cmd
}

// healthy waits until the health check of a service, or another, succeeds.
func (s *stack) healthy(name string, p *proctest.Process) {
	s.t.Helper()
	test := s.services[name].Healthcheck.Test
	words := append([]string{}, test[1:]...)
	if test[0] == "CMD-SHELL" {
		words = append([]string{"sh", "-c"}, words...)
	}
	(&site{t: s.t}).await(name+" is healthy", func() bool {
		if p.Ended() {
			s.t.Fatalf("%s ended:\n%s", name, p.Output())
		}
		return s.command(name, append([]string{}, words...)...).Run() == nil
	})
}

func TestTheServicesOfComposeRunAJobTogether(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	redis := s.command("redis", append(append([]string{}, s.services["redis"].Command...), "--bind", "127.0.0.1", "--port", s.redis, "--dir", t.TempDir())...)
	running := map[string]*proctest.Process{"redis": proctest.Start(t, redis)}
	s.healthy("redis", running["redis"])

	history := pgtest.Start(t)
	for _, statement := range []string{"CREATE DATABASE distro", "ALTER USER distro PASSWORD '" + read(t, s.keys, "postgres", "password") + "'"} {
		if err := history.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	s.rewrite("orchestrator/redis_url", "@redis:6379", "@127.0.0.1:"+s.redis)
	s.rewrite("worker/redis_url", "@redis:6379", "@127.0.0.1:"+s.redis)
	s.rewrite("orchestrator/postgre_url", "@postgres:5432", "@"+history.Addr())
	for _, name := range []string{"orchestrator", "worker"} {
		running[name] = proctest.Start(t, s.command(name, append([]string{"distro"}, s.services[name].Command...)...))
		if name == "orchestrator" {
			s.healthy(name, running[name])
		}
	}

	// The command line in the container of the orchestrator needs no token.
	enqueue := s.command("orchestrator", "distro", "enqueue", "hello_world.send_hello_world", "--wait", "--server",
		strings.Replace(s.paths["orchestrator"].Replace("0.0.0.0:7000"), "0.0.0.0", "http://127.0.0.1", 1))
	if text, err := enqueue.CombinedOutput(); err != nil || !strings.Contains(string(text), "Hello World!") {
		t.Errorf("the job ended with %v: %s", err, text)
	}
	for name, p := range running {
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Pid()))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"redis/password", "postgres/password", "orchestrator/auth_token"} {
			if strings.Contains(p.Output()+string(args), read(t, s.keys, file)) {
				t.Errorf("%s tells %s", name, file)
			}
		}
	}
	if out := running["worker"].Output(); !strings.Contains(out, "Olá, mundo!") {
		t.Errorf("the worker did not run the job:\n%s", out)
	}
}
