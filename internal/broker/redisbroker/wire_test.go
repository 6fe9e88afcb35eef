package redisbroker_test

import (
	"bytes"
	"compress/zlib"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/brokertest"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

// hash reads a hash, its field data inflated.
func (b *bundle) hash(key string) map[string]string {
	b.Helper()
	flat := b.do("HGETALL", key).([]any)
	fields := map[string]string{}
	for i := 0; i < len(flat); i += 2 {
		fields[flat[i].(string)] = flat[i+1].(string)
	}
	if data, ok := fields["data"]; ok {
		r, err := zlib.NewReader(strings.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			b.Fatal(err)
		}
		fields["data"] = string(text)
	}
	return fields
}

func TestANewJobHasTheFieldsThatEveryRQLoads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := "2026-10-05T08:30:00.000000Z"
	plain := call("plain", "q")
	plain.ResultTTL, plain.FailureTTL, plain.Timeout = 500*time.Second, 0, 0
	full := distro.Job{
		ID: "full", Queue: "größe", Function: "pkg.mod.f", Fingerprint: "print",
		Payload: distro.Payload{Serializer: distro.SerializerPickle, Data: []byte("\x80\x03(X\x09\x00\x00\x00pkg.mod.fNK\x07\x85}t.")},
		Timeout: 90*time.Second + time.Millisecond, TTL: 1500 * time.Millisecond, ResultTTL: 0, FailureTTL: distro.Forever,
		RetriesLeft: 3, RetryIntervals: []time.Duration{10 * time.Second, 1200 * time.Millisecond},
		OnSuccess: distro.Callback{Name: "pkg.good", Timeout: time.Minute}, OnFailure: distro.Callback{Name: "pkg.bad"},
		OnStopped: distro.Callback{Name: "pkg.stop", Timeout: 5 * time.Second},
	}
	later := call("later", "q")
	later.Timeout, later.RetriesLeft = distro.Forever, 2
	later.DueAt = b.clock.Now().Add(90*time.Minute + 1500*time.Nanosecond)
	if _, err := b.broker.Enqueue(t.Context(), []distro.Job{plain, full, later}); err != nil {
		t.Fatal(err)
	}
	always := map[string]string{
		"created_at": now, "started_at": "", "ended_at": "", "last_heartbeat": "", "worker_name": "", "group_id": "",
		"success_callback_name": "", "failure_callback_name": "", "stopped_callback_name": "",
	}
	for id, want := range map[string]map[string]string{
		"plain": {
			"status": "queued", "enqueued_at": now, "origin": "q", "data": `["m.f", null, [], {}]`, "description": "m.f()",
			"timeout": "180", "result_ttl": "500", "failure_ttl": "0", "distro_seq": "1",
		},
		"full": {
			"status": "queued", "enqueued_at": now, "origin": "größe", "data": string(full.Payload.Data), "description": "pkg.mod.f(7)",
			"timeout": "91", "ttl": "2", "result_ttl": "0", "failure_ttl": "-1", "retries_left": "3", "retry_intervals": "[10, 2]",
			"success_callback_name": "pkg.good", "success_callback_timeout": "60", "failure_callback_name": "pkg.bad",
			"stopped_callback_name": "pkg.stop", "stopped_callback_timeout": "5", "distro_print": "print", "distro_seq": "2",
		},
		"later": {
			"status": "scheduled", "origin": "q", "data": `["m.f", null, [], {}]`, "description": "m.f()",
			"timeout": "-1", "result_ttl": "-1", "failure_ttl": "-1", "retries_left": "2", "retry_intervals": "[0]",
			"distro_due": "1791194400000002", "distro_seq": "3",
		},
	} {
		for name, value := range always {
			if _, ok := want[name]; !ok {
				want[name] = value
			}
		}
		if diff := cmp.Diff(want, b.hash("rq:job:"+id)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
	if score := b.do("ZSCORE", "rq:scheduled:q", "later"); score != "1791194401" {
		t.Errorf("due in the registry at %v, want 1791194401", score)
	}
}

func TestDescriptionsAreThoseOfRQ(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200)
	for payload, want := range map[string]string{
		`["m.f", null, [], {}]`:                             "m.f()",
		`["m.f", null, [1, "a", null], {"z": 1, "b": [2]}]`: "m.f(1, 'a', None, b=[2], z=1)",
		`["m.f", null, ["` + long + `"], {}]`:               "m.f('" + long[:74] + "...)",
		`["m.f", null]`:                                     "m.f",
		`no payload`:                                        "m.f",
	} {
		got := redisbroker.Description(distro.Job{Function: "m.f", Payload: distro.Payload{Data: []byte(payload)}})
		if got != want {
			t.Errorf("%s: got %q, want %q", payload, got, want)
		}
	}
}

func TestPayloadsThatRQCannotInflateStayAsTheyAre(t *testing.T) {
	t.Parallel()
	deflate := func(p []byte) string {
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		_, _ = w.Write(p)
		_ = w.Close()
		return b.String()
	}
	whole := deflate([]byte(`["m.f", null, [], {}]`))
	flipped := []byte(whole)
	flipped[len(flipped)-1]++
	bomb := deflate(make([]byte, redisbroker.MaxPayload+1))
	for name, test := range map[string]struct{ data, want string }{
		"whole":           {whole, `["m.f", null, [], {}]`},
		"not compressed":  {`["m.f", null, [], {}]`, `["m.f", null, [], {}]`},
		"cut":             {whole[:len(whole)-3], whole[:len(whole)-3]},
		"wrong checksum":  {string(flipped), string(flipped)},
		"empty":           {"", ""},
		"longer than any": {bomb, bomb},
	} {
		got, listed := redisbroker.Decode("id", map[string]string{"data": test.data}, nil)
		if string(got.Payload.Data) != test.want {
			t.Errorf("%s: got %d bytes, want %d", name, len(got.Payload.Data), len(test.want))
		}
		if listed.Payload.Data != nil {
			t.Errorf("%s: a list has the payload", name)
		}
	}
}

func TestAClaimHasWhatAStockProducerWrote(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("HSET", "rq:job:a", "status", "queued", "origin", "q", "data", `["m.f", null, [], {}]`,
		"created_at", "2026-10-05T08:00:00Z", "enqueued_at", "2026-10-05T08:00:00.5Z", "retries_left", "2", "retry_intervals", "[5, 60]",
		"number_of_retries", "1", "success_callback_name", "m.good", "stopped_callback_name", "m.stop", "stopped_callback_timeout", "7")
	b.do("RPUSH", "rq:queue:q", "a")
	reply, err := b.broker.Exchange(t.Context(), broker.ExchangeRequest{
		Worker: distro.Worker{Name: "w"}, Beat: 1, Want: broker.Want{Queues: []string{"q"}, Tokens: []string{"t"}, Begun: 1},
	})
	if err != nil || len(reply.Claims) != 1 {
		t.Fatalf("got %d claims: %v", len(reply.Claims), err)
	}
	at := time.Date(2026, 10, 5, 8, 0, 0, 0, time.UTC)
	want := distro.Job{
		ID: "a", Queue: "q", Function: "m.f", Status: distro.StatusStarted,
		Payload:   distro.Payload{Serializer: distro.SerializerJSON, Data: []byte(`["m.f", null, [], {}]`)},
		CreatedAt: at, EnqueuedAt: at.Add(time.Second / 2), StartedAt: brokertest.NewClock().Now(),
		Timeout: 180 * time.Second, ResultTTL: 500 * time.Second, FailureTTL: 365 * 24 * time.Hour,
		RetriesLeft: 2, RetryIntervals: []time.Duration{5 * time.Second, time.Minute}, Asked: 1,
		OnSuccess: distro.Callback{Name: "m.good", Timeout: time.Minute}, OnStopped: distro.Callback{Name: "m.stop", Timeout: 7 * time.Second},
		Attempt: 1, Worker: "w",
	}
	if diff := cmp.Diff(want, reply.Claims[0].Job); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
