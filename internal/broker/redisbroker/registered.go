package redisbroker

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// emulated is the version of RQ that Distro's workers say they are: readers
// parse it. The product's own name stands beside the version of Python.
const emulated = "1.15.1"

// registered is what this process knows of one of its workers. Towards RQ a
// worker with several slots is as many workers: registered says which of them
// has what. Guarded by Broker.mu.
type registered struct {
	worker distro.Worker
	slots  []string            // names of the RQ workers
	claims map[string]assigned // by token
	info   string              // as it was written last
	at     time.Duration       // when the RQ workers were kept up last; monotonic
	known  bool                // it was registered once

	news  bool // something for Wait came by channel since the last exchange
	drain bool
	kill  []broker.Kill
	gate  *gate // of the last exchange, for the Wait that follows it; nil: it does not say
}

// assigned is a claim and the RQ worker that it shows as once it has begun.
type assigned struct {
	jobID, queue string
	slot         string        // empty until then
	since        time.Duration // monotonic
}

func newRegistered(w distro.Worker) *registered {
	r := &registered{worker: w, claims: map[string]assigned{}}
	if w.Slots <= 1 {
		r.slots = []string{w.Name}
	}
	for i := 1; i <= w.Slots && w.Slots > 1; i++ {
		r.slots = append(r.slots, w.Name+"."+strconv.Itoa(i))
	}
	return r
}

// load counts the claims of each RQ worker.
func (r *registered) load() map[string]int {
	load := make(map[string]int, len(r.slots))
	for _, a := range r.claims {
		load[a.slot]++
	}
	return load
}

// idlest is the RQ worker with the fewest claims.
func (r *registered) idlest(load map[string]int) string {
	return slices.MinFunc(r.slots, func(a, b string) int { return load[a] - load[b] })
}

// workerInfo is what is stored of a worker and does not change with each call.
type workerInfo struct {
	Host      string
	PID       int
	Queues    []string
	Slots     int
	Isolation string
	Python    string
	Version   string
	StartedAt time.Time
	Draining  bool
}

func infoOf(w *distro.Worker) (string, error) {
	text, err := json.Marshal(workerInfo{
		w.Host, w.PID, w.Queues, w.Slots, w.Isolation, w.Python, w.Version, w.StartedAt, w.Draining,
	})
	if err != nil {
		return "", fmt.Errorf("encode worker %q: %w", w.Name, err)
	}
	return string(text), nil
}

// birth are the fields of an RQ worker's hash.
func birth(w *distro.Worker, address string) []string {
	return []string{
		"queues", strings.Join(w.Queues, ","), "pid", strconv.Itoa(w.PID), "hostname", w.Host, "ip_address", address,
		"version", emulated, "python_version", strings.TrimSpace(w.Python + " (Distro " + w.Version + ")"),
	}
}
