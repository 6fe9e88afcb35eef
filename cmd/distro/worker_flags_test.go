package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro"
)

func TestTheRedisOfAWorkerIsFoundWhereRQFindsIt(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("redis://:p@f/1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		flag    string
		environ []string
		want    string
	}{
		{"", nil, "redis://localhost:6379/0"},
		{"", []string{"REDIS_URL=redis://a", "REDIS_HOST=b"}, "redis://a"},
		{"", []string{"REDIS_URL=redis://a", "RQ_REDIS_URL=redis://c"}, "redis://c"},
		{"unix:///s", []string{"RQ_REDIS_URL=redis://c"}, "unix:///s"},
		{"", []string{"REDIS_URL=redis://a", "RQ_REDIS_URL_FILE=" + file}, "redis://:p@f/1"},
		{"", []string{"RQ_REDIS_URL=redis://c", "RQ_REDIS_URL_FILE=" + file}, "redis://c"},
		{"", []string{"REDIS_HOST=h", "REDIS_URL_FILE=" + file}, "redis://:p@f/1"},
		{"", []string{"REDIS_HOST=h"}, "redis://h:6379/0"},
		{"", []string{"REDIS_PORT=1", "REDIS_DB=2", "REDIS_PASSWORD=p@ss/w"}, "redis://:p%40ss%2Fw@localhost:1/2"},
		{"", []string{"REDIS_HOST=::1"}, "redis://[::1]:6379/0"},
		{"", []string{"REDIS_SSL=True", "REDIS_SSL_CA_CERTS=/ca.pem", "REDIS_SSL_CERT_REQS=none"},
			"rediss://localhost:6379/0?ssl_ca_certs=%2Fca.pem&ssl_cert_reqs=none"},
		{"", []string{"REDIS_SSL=no", "REDIS_SSL_CA_CERTS=/ca.pem"}, "redis://localhost:6379/0"},
	} {
		f := workerFlags{url: tt.flag}
		con := newConsole(tt.environ, nil, io.Discard, io.Discard)
		if got, _, err := f.redisURL(con.getenv); got != tt.want || err != nil {
			t.Errorf("--url %q, %q: got %s, %v, want %s", tt.flag, tt.environ, got, err, tt.want)
		}
	}
}

func TestFlagsOfAWorkerAreHandedOn(t *testing.T) {
	t.Parallel()
	parsed := func(args ...string) (*workerFlags, *cobra.Command) {
		f, cmd := &workerFlags{}, &cobra.Command{Use: "worker"}
		f.add(cmd)
		if err := cmd.ParseFlags(spelled(append([]string{"worker"}, args...))[1:]); err != nil {
			t.Fatal(err)
		}
		return f, cmd
	}
	con := newConsole(nil, nil, io.Discard, io.Discard)
	for arg, want := range map[string]time.Duration{"": 0, "--results-ttl=-1": distro.Forever, "--results-ttl=0": time.Second, "--results-ttl=90": 90 * time.Second} {
		var args []string
		if arg != "" {
			args = []string{arg}
		}
		f, cmd := parsed(args...)
		opts, err := f.options(con, cmd, nil)
		if err != nil || opts.ResultTTL != want || opts.WorkerTTL != 0 || opts.Slots != 1 {
			t.Errorf("%s: %+v, %v", arg, opts, err)
		}
	}
	f, cmd := parsed("-ds", "round_robin", "-S", "rq.serializers.JSONSerializer", "-P", "/x", "--worker-ttl", "60", "-s", "-b", "--", "-ds")
	opts, err := f.options(con, cmd, cmd.Flags().Args())
	if err != nil || opts.Strategy != "round_robin" || opts.Serializer != "rq.serializers.JSONSerializer" || opts.WorkerTTL != time.Minute || !opts.Schedule || !opts.Burst {
		t.Errorf("%+v, %v", opts, err)
	}
	if diff := cmp.Diff([]string{"/x", "-ds"}, append(opts.Path, opts.Queues...)); diff != "" {
		t.Errorf("path and queues (-want +got):\n%s", diff)
	}
	f, cmd = parsed()
	if opts, err = f.options(con, cmd, []string{"b", "a", "b"}); err != nil || !cmp.Equal(opts.Queues, []string{"b", "a"}) {
		t.Errorf("queues named twice: %q, %v", opts.Queues, err)
	}
}
