package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/httpapi"
	"github.com/distro-orchestrator/distro/internal/store"
)

// forgetful is a history that can be away.
type forgetful struct {
	*store.Store
	mu   sync.Mutex
	away bool
}

func (f *forgetful) set(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

func (f *forgetful) fault() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return fmt.Errorf("away: %w", store.ErrUnavailable)
	}
	return nil
}

func (f *forgetful) Remember(ctx context.Context, key, fingerprint string, response []byte, ttl time.Duration) error {
	return errors.Join(f.fault(), f.Store.Remember(ctx, key, fingerprint, response, ttl))
}

func (f *forgetful) Recall(ctx context.Context, key string) (store.Answer, error) {
	if err := f.fault(); err != nil {
		return store.Answer{}, err
	}
	return f.Store.Recall(ctx, key)
}

func openHistory(t *testing.T) *forgetful {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "history.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &forgetful{Store: s}
}

const someJob = `{"function": "hello_world.send_hello_world", "queue": "low"}`

func TestARequestWithAKeyIsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	b := setupWith(t, setup(t).broker, openHistory(t))
	for path, body := range map[string]string{
		"/api/v1/jobs":             someJob,
		"/api/v1/jobs/batch":       `{"jobs": [` + someJob + `,` + someJob + `]}`,
		"/scheduler/queue-task":    `{"module": "hello_world", "function": "send_hello_world", "queue": "low"}`,
		"/scheduler/schedule-task": `{"module": "hello_world", "function": "send_hello_world", "queue": "low", "hours": 1}`,
		"/api/v1/operations":       `{"action": "delete", "ids": ["none"]}`,
	} {
		before := len(b.jobs())
		first := b.do("POST", path, body, "Idempotency-Key", "key of "+path)
		made := len(b.jobs()) - before
		again := b.do("POST", path, body, "Idempotency-Key", "key of "+path)
		if first.Code/100 != 2 || again.Code != first.Code || again.Body.String() != first.Body.String() {
			t.Errorf("%s: %d %s, then %d %s", path, first.Code, first.Body, again.Code, again.Body)
		}
		if first.Header().Get("Idempotency-Replayed") != "" || again.Header().Get("Idempotency-Replayed") != "true" ||
			again.Header().Get("Location") != first.Header().Get("Location") || again.Header().Get("Content-Type") != first.Header().Get("Content-Type") {
			t.Errorf("%s: headers %v, then %v", path, first.Header(), again.Header())
		}
		if after := len(b.jobs()); after != before+made {
			t.Errorf("%s: %d jobs, then %d", path, made, after-before)
		}
		other := b.do("POST", path, strings.Replace(body, "{", "{ ", 1), "Idempotency-Key", "key of "+path)
		if other.Code != http.StatusUnprocessableEntity || !strings.Contains(other.Body.String(), "another request") {
			t.Errorf("%s: another request with the key: %d %s", path, other.Code, other.Body)
		}
	}
	var operations httpapi.OperationList
	if err := json.Unmarshal(b.do("GET", "/api/v1/operations", "").Body.Bytes(), &operations); err != nil || len(operations.Operations) != 1 {
		t.Errorf("%d operations, error %v", len(operations.Operations), err)
	}
}

func TestWhatWasRefusedIsTriedAgainWithItsKey(t *testing.T) {
	t.Parallel()
	b := setupWith(t, setup(t).broker, openHistory(t))
	id := b.create("low")
	b.claim("low")
	path := "/api/v1/jobs/" + id + "/cancel"
	for range 2 {
		if w := b.do("POST", path, "", "Idempotency-Key", "k"); w.Code != http.StatusConflict || w.Header().Get("Idempotency-Replayed") != "" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	for _, key := range []string{strings.Repeat("k", 256), "ação", "a\tb"} {
		if w := b.do("POST", "/api/v1/jobs", someJob, "Idempotency-Key", key); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("key %.10q: %d", key, w.Code)
		}
	}
	longest := strings.Repeat("k", 254)
	if b.do("POST", "/api/v1/jobs", someJob, "Idempotency-Key", longest+"1").Body.String() ==
		b.do("POST", "/api/v1/jobs", someJob, "Idempotency-Key", longest+"2").Body.String() {
		t.Error("long keys are not told apart")
	}
}

func TestAKeyHoldsForJobsWhileNothingCanBeRemembered(t *testing.T) {
	t.Parallel()
	history := openHistory(t)
	b := setupWith(t, setup(t).broker, history)
	history.set(true)
	first := ask[httpapi.Job](b, 201, "POST", "/api/v1/jobs", someJob, "Idempotency-Key", "k")
	again := ask[httpapi.Job](b, 201, "POST", "/api/v1/jobs", someJob, "Idempotency-Key", "k")
	if first.ID != again.ID || len(b.jobs()) != 1 {
		t.Errorf("jobs %s and %s", first.ID, again.ID)
	}
	if w := b.do("POST", "/api/v1/queues/low/empty", "", "Idempotency-Key", "e"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("emptying a queue: %d", w.Code)
	}
	if len(b.jobs()) != 1 {
		t.Error("the queue was emptied")
	}
}

func TestRequestsOfOneKeyAtATimeAreOne(t *testing.T) {
	t.Parallel()
	b := setupWith(t, setup(t).broker, openHistory(t))
	var group sync.WaitGroup
	codes := make([]int, 16)
	for i := range codes {
		group.Go(func() { codes[i] = b.do("POST", "/api/v1/jobs", someJob, "Idempotency-Key", "k").Code })
	}
	group.Wait()
	created := 0
	for _, code := range codes {
		if code == http.StatusCreated {
			created++
		} else if code != http.StatusConflict {
			t.Errorf("%d", code)
		}
	}
	if created == 0 || len(b.jobs()) != 1 {
		t.Errorf("%d were created, %d jobs are there", created, len(b.jobs()))
	}
}

func TestAnswersThatAreTheSameAreNotSentAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create("low")
	for _, path := range []string{"/api/v1/jobs", "/api/v1/queues", "/api/v1/automations"} {
		first := b.do("GET", path, "")
		tag := first.Header().Get("ETag")
		if first.Code != 200 || len(tag) < 10 {
			t.Errorf("%s: %d, ETag %q", path, first.Code, tag)
		}
		for list, code := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200} {
			w := b.do("GET", path, "", "If-None-Match", list)
			if w.Code != code || (code == 304) != (w.Body.Len() == 0) || w.Header().Get("ETag") != tag {
				t.Errorf("%s, If-None-Match %s: %d, %d bytes", path, list, w.Code, w.Body.Len())
			}
		}
	}
	tag := b.do("GET", "/api/v1/jobs", "").Header().Get("ETag")
	b.create("low")
	if w := b.do("GET", "/api/v1/jobs", "", "If-None-Match", tag); w.Code != 200 {
		t.Errorf("a list that is different: %d", w.Code)
	}
	if w := b.do("GET", "/api/v1/jobs/none", "", "If-None-Match", "*"); w.Code != 404 || w.Header().Get("ETag") != "" {
		t.Errorf("no job: %d, ETag %q", w.Code, w.Header().Get("ETag"))
	}
}
