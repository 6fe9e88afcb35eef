package sqlitebroker_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/sqlitebroker"
)

// crashEnv makes the test binary the process that crashes, on the database it
// names.
const crashEnv = "DISTRO_TEST_CRASH"

// A process that is killed at any moment keeps what it answered: each round a
// child works until it is killed, and the database is opened and looked at.
func TestWhatWasAnsweredSurvivesAKill(t *testing.T) {
	t.Parallel()
	rounds := 50
	if soak() {
		rounds = 200
	}
	const perDatabase = 10
	for n := range rounds / perDatabase {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			c := crash{path: filepath.Join(t.TempDir(), "queue.db"), enqueued: map[string]bool{}, began: map[string]bool{}}
			for range perDatabase {
				c.round(t)
			}
			if len(c.settled) == 0 {
				t.Error("no job was settled before any kill: the test shows nothing")
			}
		})
	}
}

// crash is what the children of one database answered.
type crash struct {
	path     string
	enqueued map[string]bool
	began    map[string]bool // "id attempt"
	settled  []broker.Claim
	rounds   int
}

func (c *crash) round(t *testing.T) {
	t.Helper()
	c.rounds++
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), crashEnv+"="+c.path, fmt.Sprintf("%s_ROUND=%d", crashEnv, c.rounds))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for left := rand.IntN(250); ; left-- {
		line, err := lines.ReadString('\n')
		if err == io.EOF { // what stands behind the last line was not answered
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		c.note(t, strings.Fields(line))
		if left == 0 {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed
	c.check(t)
}

// note takes down one line that the child wrote after an answer.
func (c *crash) note(t *testing.T, words []string) {
	t.Helper()
	switch words[0] {
	case "enqueued":
		c.enqueued[words[1]] = true
	case "began":
		key := words[1] + " " + words[3]
		if c.began[key] {
			t.Errorf("attempt %s of job %s began twice", words[3], words[1])
		}
		c.began[key] = true
	case "settled":
		c.settled = append(c.settled, broker.Claim{JobID: words[1], Token: words[2]})
	}
}

func (c *crash) check(t *testing.T) {
	t.Helper()
	b, err := sqlitebroker.Open(t.Context(), sqlitebroker.Options{Path: c.path})
	if err != nil {
		t.Fatalf("open after kill %d: %v", c.rounds, err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		c.checkFile(t)
	}()
	for ids := range slices.Chunk(slices.Collect(maps.Keys(c.enqueued)), 500) {
		jobs, err := b.Get(t.Context(), ids)
		if err != nil || len(jobs) != len(ids) {
			t.Fatalf("of %d answered jobs %d are there (%v)", len(ids), len(jobs), err)
		}
		for _, j := range jobs {
			if j.Status != distro.StatusQueued && j.Status != distro.StatusFinished {
				t.Errorf("job %s is %s after its owner died, want queued or finished", j.ID, j.Status)
			}
		}
	}
	for claims := range slices.Chunk(c.settled, broker.MaxExchange) {
		answers, err := settle(t.Context(), b, claims...)
		if err != nil {
			t.Fatal(err)
		}
		for i, answer := range answers {
			if answer != broker.SettleAlready {
				t.Errorf("settling %v again: %v, want it to be recorded", claims[i], answer)
			}
		}
	}
	c.checkFeed(t, b)
}

// checkFeed checks that no job was claimed twice without a rescue between.
func (c *crash) checkFeed(t *testing.T, b *sqlitebroker.Broker) {
	t.Helper()
	status := map[string]distro.Status{}
	for cursor := ""; ; {
		list, err := b.Changes(t.Context(), cursor, broker.MaxPage)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return
		}
		for _, e := range list {
			if e.Status == distro.StatusStarted && status[e.JobID] != distro.StatusQueued {
				t.Errorf("job %s was started when it was %s", e.JobID, status[e.JobID])
			}
			status[e.JobID] = e.Status
			cursor = e.Cursor
		}
	}
}

// checkFile checks the closed database itself.
func (c *crash) checkFile(t *testing.T) {
	t.Helper()
	db := openFile(t, c.path)
	var answer string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&answer); err != nil || answer != "ok" {
		t.Errorf("integrity check: %s, %v", answer, err)
	}
	checkCounts(t, db)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// checkCounts compares the counts that are kept with the jobs.
func checkCounts(t *testing.T, db *sql.DB) {
	t.Helper()
	var wrong int
	if err := db.QueryRowContext(t.Context(), `
		WITH counted AS (
			SELECT queue, function, iif(begun, 4, status) AS status, count(*) AS jobs
			FROM jobs LEFT JOIN claims ON claims.seq = jobs.seq GROUP BY 1, 2, 3
			UNION ALL
			SELECT jobs.queue, function, 0, count(*) FROM waiting JOIN jobs ON jobs.seq = waiting.seq AND jobs.pos = waiting.pos
			WHERE status = 3 AND waiting.seq NOT IN (SELECT seq FROM claims) GROUP BY 1, 2
		), kept AS (SELECT queue, function, status, jobs FROM counts WHERE jobs <> 0)
		SELECT count(*) FROM (
			SELECT * FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept)
			UNION ALL SELECT * FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted)
		)`).Scan(&wrong); err != nil || wrong != 0 {
		t.Errorf("%d counts differ from the jobs (%v)", wrong, err)
	}
}

// crashingChild enqueues, claims and settles until it is killed, and writes a
// line after each answer.
func crashingChild(ctx context.Context, path, round string) error {
	b, err := sqlitebroker.Open(ctx, sqlitebroker.Options{Path: path})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	errs := make(chan error)
	for n := range 2 {
		go func() { errs <- enqueueForEver(ctx, b, fmt.Sprintf("%s-%d", round, n), say) }()
		go func() { errs <- workForEver(ctx, b, fmt.Sprintf("worker-%d", n), say) }()
	}
	return <-errs
}

func enqueueForEver(ctx context.Context, b broker.Broker, prefix string, say func(string, ...any)) error {
	for i := 0; ; i++ {
		var jobs []distro.Job
		for k := range 1 + i%3 {
			jobs = append(jobs, distro.Job{
				ID: fmt.Sprintf("job-%s-%d-%d", prefix, i, k), Queue: "default", Function: "m.f", RetriesLeft: 100,
				ResultTTL: distro.Forever, FailureTTL: distro.Forever, Payload: distro.Payload{Data: make([]byte, i%7*400)},
			})
		}
		if _, err := b.Enqueue(ctx, jobs); err != nil {
			return err
		}
		for _, j := range jobs {
			say("enqueued %s", j.ID)
		}
	}
}

// workForEver begins one of two claims at once and one when it settles the
// other.
func workForEver(ctx context.Context, b broker.Broker, name string, say func(string, ...any)) error {
	req := broker.ExchangeRequest{Worker: distro.Worker{Name: name}}
	for {
		req.Beat++
		req.Want = broker.Want{Queues: []string{"default"}, Tokens: []string{distro.NewID(), distro.NewID()}, Begun: 1}
		reply, err := b.Exchange(ctx, req)
		if err != nil {
			return err
		}
		for i, c := range req.Begin {
			say("began %s %s %d", c.JobID, c.Token, reply.Begun[i])
		}
		for i, s := range req.Settle {
			if reply.Settled[i] != broker.SettleDone {
				return fmt.Errorf("settle %v: %v", s.Claim, reply.Settled[i])
			}
			say("settled %s %s", s.JobID, s.Token)
		}
		req.Begin, req.Settle = nil, nil
		for _, c := range reply.Claims {
			claim := broker.Claim{JobID: c.Job.ID, Token: c.Token}
			if c.Begun {
				say("began %s %s %d", claim.JobID, claim.Token, c.Job.Attempt)
			} else {
				req.Begin = append(req.Begin, claim)
			}
			req.Settle = append(req.Settle, broker.Settlement{Claim: claim, Result: distro.Result{Outcome: distro.OutcomeFinished}})
		}
	}
}
