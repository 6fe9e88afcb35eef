package recorder

import (
	"context"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// workers remembers who beat lately, as a job names its worker only.
type workers struct {
	broker broker.Broker
	known  map[string]distro.Worker
	asked  time.Time
}

// askAgain is how often the workers are asked for at most.
const askAgain = 5 * time.Second

// find returns the worker of a name. On Redis a process with several slots shows
// each as a worker <name>.<number>.
func (w *workers) find(ctx context.Context, name string) (distro.Worker, bool) {
	if name == "" {
		return distro.Worker{}, false
	}
	if found, ok := w.look(name); ok {
		return found, true
	}
	if time.Since(w.asked) < askAgain {
		return distro.Worker{}, false
	}
	w.asked = time.Now()
	list, err := w.broker.Workers(ctx)
	if err != nil {
		return distro.Worker{}, false // the execution lacks its host, no more
	}
	w.known = make(map[string]distro.Worker, len(list))
	for _, worker := range list {
		w.known[worker.Name] = worker
	}
	return w.look(name)
}

func (w *workers) look(name string) (distro.Worker, bool) {
	found, ok := w.known[name]
	if i := strings.LastIndexByte(name, '.'); !ok && i > 0 {
		found, ok = w.known[name[:i]]
	}
	return found, ok
}
