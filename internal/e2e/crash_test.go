package e2e_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

const locked = `
import fcntl, os, time

def run(folder, name):
    path = os.path.join(folder, name)
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            open(path + ".contended", "w").close()
        file.write("x")
        file.flush()
        time.sleep(0.001)
`

// TestKillUnderLoadLosesNothing kills the server at random moments while 16
// clients enqueue. Every job holds a lock named by its ID while it runs.
func TestKillUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	jobs, kills := soaked(600, 10_000), soaked(6, 20)
	s := newServer(t, "task_retries = 100\nresult_ttl = 1h\nworkers = 2\n", map[string]string{"locked.py": locked})
	locks := filepath.Join(s.dir, "locks")
	if err := os.Mkdir(locks, 0o700); err != nil {
		t.Fatal(err)
	}
	s.start()
	var next, answered atomic.Int64
	var clients sync.WaitGroup
	var away sync.RWMutex // held while the server starts again
	for range 16 {
		clients.Go(func() {
			for n := next.Add(1); n <= int64(jobs); n = next.Add(1) {
				body := fmt.Sprintf(`{"module": "locked", "function": "run", "queue": "default", "job_id": "job-%d", "args": [%q, "job-%d"]}`, n, locks, n)
				for s.t.Context().Err() == nil {
					status, text, err := s.try(http.MethodPost, "/scheduler/queue-task", body)
					if err != nil { // it is dead for a moment: the same job again
						away.RLock()
						away.RUnlock() //nolint:staticcheck // SA2001: only to wait
						continue
					}
					if status != http.StatusCreated {
						t.Errorf("job %d: %d %s", n, status, text)
					}
					answered.Add(1)
					break
				}
			}
		})
	}
	for kill := range kills {
		want := int64((kill + 1) * jobs / (kills + 1))
		s.poll("enough is enqueued", func() bool { return answered.Load() >= want })
		pause := time.NewTimer(rand.N(20 * time.Millisecond))
		<-pause.C
		away.Lock()
		s.kill()
		s.start()
		away.Unlock()
	}
	clients.Wait()
	s.poll("every job has ended", func() bool { return s.pending() == 0 })
	for n := 1; n <= jobs; n++ {
		var job httpapi.Job
		s.get(fmt.Sprintf("/api/v1/jobs/job-%d", n), &job)
		if job.Status != "finished" && job.Status != "failed" {
			t.Errorf("job %d is %s", n, job.Status)
		}
		if runs, err := os.ReadFile(filepath.Join(locks, job.ID)); err != nil || len(runs) == 0 {
			t.Errorf("job %d never ran: %v", n, err)
		}
	}
	if contended, err := filepath.Glob(filepath.Join(locks, "*.contended")); err != nil || len(contended) != 0 {
		t.Errorf("runs of one job overlapped: %q, %v", contended, err)
	}
	s.stop()
	s.noProcessLeft()
	s.sound()
}

// sound checks the database as SQLite does.
func (s *server) sound() {
	s.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.dir, ".distro", "queue.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		s.t.Errorf("integrity check: %q, %v", verdict, err)
	}
}
