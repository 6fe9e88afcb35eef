package redisbroker_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/redistest"
)

// fixture is a whole Redis as a stock RQ left it, and what that RQ says of its
// jobs.
type fixture struct {
	keys []redistest.Key
	jobs map[string]fixtureJob
}

type fixtureJob struct {
	Args           string         `json:"args"`
	Kwargs         string         `json:"kwargs"`
	CallString     string         `json:"call_string"`
	DataHex        string         `json:"data_hex"`
	FuncName       string         `json:"func_name"`
	Origin         string         `json:"origin"`
	Status         string         `json:"status"`
	WorkerName     string         `json:"worker_name"`
	CreatedAt      string         `json:"created_at"`
	EnqueuedAt     string         `json:"enqueued_at"`
	StartedAt      string         `json:"started_at"`
	EndedAt        string         `json:"ended_at"`
	Timeout        *int           `json:"timeout"`
	TTL            *int           `json:"ttl"`
	ResultTTL      *int           `json:"result_ttl"`
	FailureTTL     *int           `json:"failure_ttl"`
	RetriesLeft    *int           `json:"retries_left"`
	RetryIntervals []int          `json:"retry_intervals"`
	Latest         *fixtureResult `json:"latest_result"`
}

type fixtureResult struct {
	Type        string  `json:"type"`
	ReturnValue string  `json:"return_value"`
	ExcString   *string `json:"exc_string"`
}

func readFixture(t *testing.T, version string) fixture {
	t.Helper()
	dir := filepath.Join("testdata", "rq", version)
	f := fixture{keys: redistest.ReadState(t, filepath.Join(dir, "state.json"))}
	text, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err == nil {
		err = json.Unmarshal(text, &f.jobs)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// load writes the state into a database.
func (f fixture) load(t *testing.T, c *redistest.Conn) {
	t.Helper()
	redistest.Load(t, c, f.keys)
}

func TestTheFixturesDisplayWhatStockRQSays(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.13.0", "1.15.1", "2.0", "2.10.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			f := readFixture(t, version)
			url := server.DB(t)
			f.load(t, server.Conn(t, url))
			b := open(t, redisbroker.Options{URL: url, Clock: broker.SystemClock()})
			for id, want := range f.jobs {
				t.Run(id, func(t *testing.T) {
					t.Parallel()
					jobs, err := b.Get(t.Context(), []string{id})
					if err != nil || len(jobs) != 1 {
						t.Fatalf("got %d jobs: %v", len(jobs), err)
					}
					want.compare(t, jobs[0])
				})
			}
			f.compareLists(t, b)
			f.compareWorkers(t, b)
		})
	}
}

// shown spells what Python wrote by a class's own __repr__ as we show it, who
// never run it.
func shown(repr string) string {
	return strings.NewReplacer(
		"Order(number=41, note='custom')", "<fixture_app.Order {'number': 41, 'note': 'custom'}>",
	).Replace(repr)
}

func (want fixtureJob) compare(t *testing.T, got distro.Job) {
	t.Helper()
	call, err := pickle.Call(got.Payload.Data)
	if err != nil {
		t.Fatal(err)
	}
	args := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(shown(want.Args), "("), ")"), ",")
	for _, c := range []struct{ what, got, want string }{
		{"status", string(got.Status), want.Status},
		{"queue", got.Queue, want.Origin},
		{"function", got.Function, want.FuncName},
		{"payload", hex.EncodeToString(got.Payload.Data), want.DataHex},
		{"serializer", got.Payload.Serializer, distro.SerializerPickle},
		{"arguments", call.Args.Repr(1 << 20), "[" + args + "]"},
		{"keyword arguments", call.Kwargs.Repr(1 << 20), shown(want.Kwargs)},
		{"description", redisbroker.Description(got), shown(want.CallString)},
		{"worker", got.Worker, want.WorkerName},
		{"created", redisbroker.RQTime(got.CreatedAt), want.CreatedAt},
		{"enqueued", redisbroker.RQTime(got.EnqueuedAt), want.EnqueuedAt},
		{"started", redisbroker.RQTime(got.StartedAt), want.StartedAt},
		{"ended", redisbroker.RQTime(got.EndedAt), want.EndedAt},
		{"timeout", got.Timeout.String(), duration(want.Timeout, 180*time.Second).String()},
		{"ttl", got.TTL.String(), duration(want.TTL, 0).String()},
		{"result ttl", got.ResultTTL.String(), duration(want.ResultTTL, 500*time.Second).String()},
		{"failure ttl", got.FailureTTL.String(), duration(want.FailureTTL, 365*24*time.Hour).String()},
		{"retries left", fmt.Sprint(got.RetriesLeft), fmt.Sprint(int(max(duration(want.RetriesLeft, 0), 0) / time.Second))},
		{"result", describeResult(got), want.result()},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
	var intervals []time.Duration
	for _, n := range want.RetryIntervals {
		if n != 0 || len(want.RetryIntervals) > 1 {
			intervals = append(intervals, time.Duration(n)*time.Second)
		}
	}
	if diff := cmp.Diff(intervals, got.RetryIntervals, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("retry intervals (-want +got):\n%s", diff)
	}
	if scheduled := got.Status == distro.StatusScheduled; scheduled == got.DueAt.IsZero() {
		t.Errorf("%s job due at %v", got.Status, got.DueAt)
	}
}

// duration is a number of seconds as RQ has it; nil is what it assumes.
func duration(n *int, unset time.Duration) time.Duration {
	switch {
	case n == nil:
		return unset
	case *n < 0:
		return distro.Forever
	}
	return time.Duration(*n) * time.Second
}

func (want fixtureJob) result() string {
	switch {
	case want.Latest == nil:
		return "none"
	case want.Latest.Type == "SUCCESSFUL":
		return "finished " + want.Latest.ReturnValue
	case want.Status == "stopped":
		return "stopped " + *want.Latest.ExcString
	}
	return "failed " + *want.Latest.ExcString
}

func describeResult(j distro.Job) string {
	switch r := j.Result; {
	case r == nil:
		return "none"
	case r.Failure == nil && r.Pickle == nil && r.View == distro.View{Text: "null", JSON: true}:
		return string(r.Outcome) + " None"
	case r.Failure == nil:
		value, err := pickle.Read(r.Pickle, pickle.Limits{})
		if err != nil {
			return err.Error()
		}
		text, plain := value.JSON(1 << 20)
		if plain != r.View.JSON || plain && string(text) != r.View.Text {
			return "another view: " + r.View.Text
		}
		return string(r.Outcome) + " " + value.Repr(1<<20)
	case r.Failure.Traceback != "":
		return string(r.Outcome) + " " + r.Failure.Traceback
	default:
		return string(r.Outcome) + " " + r.Failure.Message
	}
}

// compareLists compares List and Counts with what the jobs say.
func (f fixture) compareLists(t *testing.T, b *redisbroker.Broker) {
	t.Helper()
	want := map[string]map[distro.Status]int{}
	listed := map[string][]string{}
	for id, j := range f.jobs {
		if want[j.Origin] == nil {
			want[j.Origin] = map[distro.Status]int{}
		}
		want[j.Origin][distro.Status(j.Status)]++
		if j.Status == "scheduled" && j.Latest != nil {
			want[j.Origin][distro.StatusFinished]++ // its last run; RQ counts it too
		}
		for _, selection := range []string{"/", j.Origin + "/", "/" + j.Status, j.Origin + "/" + j.Status} {
			listed[selection] = append(listed[selection], id)
		}
	}
	for selection, ids := range listed {
		queue, status, _ := strings.Cut(selection, "/")
		page, err := b.List(t.Context(), broker.ListQuery{Queue: queue, Status: distro.Status(status), Limit: broker.MaxPage})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, j := range page.Jobs {
			got = append(got, j.ID)
		}
		slices.SortFunc(ids, func(a, b string) int { return strings.Compare(f.jobs[b].CreatedAt, f.jobs[a].CreatedAt) })
		if diff := cmp.Diff(ids, got); diff != "" || page.Next != "" {
			t.Errorf("list of %q goes on at %q, or (-want +got):\n%s", selection, page.Next, diff)
		}
	}
	counts, err := b.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[distro.Status]int{}
	for _, q := range counts.Queues {
		got[q.Name] = q.Jobs
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func (f fixture) compareWorkers(t *testing.T, b *redisbroker.Broker) {
	t.Helper()
	list, err := b.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		w := &list[i]
		if w.PID == 0 || w.Host == "" || w.Python != "3.11.2" || w.Version == "" || w.StartedAt.IsZero() || w.SeenAt.IsZero() {
			t.Errorf("worker %q lacks something: %+v", w.Name, w)
		}
		if !strings.HasPrefix(w.Build, "3.11.2 (main") {
			t.Errorf("worker %q tells %q of its interpreter", w.Name, w.Build)
		}
		w.PID, w.Host, w.Python, w.Version, w.StartedAt, w.SeenAt, w.Build = 0, "", "", "", time.Time{}, time.Time{}, ""
	}
	want := []distro.Worker{
		{Name: "fx-busy", Queues: []string{"busy", "busy2"}, Slots: 1, Running: []string{"running"}, Finished: 1, Failed: 1, Stock: true, State: "busy"},
		{Name: "fx-idle", Queues: []string{"idle", "idle2"}, Slots: 1, Stock: true, State: "idle"},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("workers (-want +got):\n%s", diff)
	}
}
