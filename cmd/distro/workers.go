package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

func newWorkers(con *console) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "workers",
		Short:   "List workers and what they run, or stop one",
		Example: "  distro workers --json\n  distro workers stop robot-3",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return look(cmd.Context(), con, &r, endpoint("workers"), nil, con.printWorkers)
		},
	}
	r.flags(cmd)
	cmd.AddCommand(newWorkersStop(con))
	return cmd
}

func newWorkersStop(con *console) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "stop WORKER...",
		Short: "Let a worker end after the jobs it runs",
		Long: "Lets workers end after the jobs they run. Those of a queue on Redis hear it, RQ's own too. One of RQ's\n" +
			"may lose a job that it takes at that moment: `distro suspend` before, and `distro resume` after it, spare\n" +
			"that.",
		Example: "  distro workers stop robot-3",
		Args:    names(1, -1, "the name of a worker, or several"),
		RunE: func(cmd *cobra.Command, workers []string) error {
			c, err := r.client(con)
			if err != nil {
				return err
			}
			for _, worker := range workers {
				raw, err := c.do(cmd.Context(), http.MethodPost, endpoint("workers", worker, "stop"), nil, nil)
				if err != nil {
					return fmt.Errorf("stop worker %s: %w", worker, err)
				}
				con.say(r.json, raw, clean(worker)+" asked to end")
			}
			return nil
		},
	}
	r.flags(cmd)
	return cmd
}

func (con *console) printWorkers(list httpapi.WorkerList) {
	g := newGrid(2, "WORKER", "HOST", "STATE", "BUSY", "QUEUES", "ISOLATION", "PYTHON", "FINISHED", "FAILED", "SEEN")
	for _, w := range list.Workers {
		g.add(w.Name, fmt.Sprintf("%s (%d)", w.Host, w.PID), workerState(w), fmt.Sprintf("%d of %d", len(w.Running), w.Slots),
			strings.Join(w.Queues, ", "), w.Isolation, w.Python, w.Finished, w.Failed, con.moment(&w.SeenAt))
	}
	g.print(con, "no workers")
}

func workerState(w httpapi.Worker) string {
	switch {
	case w.Draining:
		return "draining"
	case len(w.Running) > 0:
		return "busy"
	}
	return "idle"
}

func newInfo(con *console) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "info",
		Short:   "Show queues and workers at a glance",
		Example: "  distro info",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.client(con)
			if err != nil {
				return err
			}
			queues, rawQueues, err := fetch[httpapi.QueueList](cmd.Context(), c, http.MethodGet, endpoint("queues"), nil, nil)
			if err != nil {
				return err
			}
			workers, rawWorkers, err := fetch[httpapi.WorkerList](cmd.Context(), c, http.MethodGet, endpoint("workers"), nil, nil)
			if err != nil {
				return err
			}
			if r.json {
				con.printJSON(fmt.Appendf(nil, `{"queues":%s,"workers":%s}`, rawQueues, rawWorkers))
				return nil
			}
			con.printInfo(queues, workers)
			return nil
		},
	}
	r.flags(cmd)
	return cmd
}

func (con *console) printInfo(queues httpapi.QueueList, workers httpapi.WorkerList) {
	total := 0
	g := newGrid(1, "QUEUE", "STATE", "QUEUED", "STARTED", "SCHEDULED", "FAILED")
	for _, q := range queues.Queues {
		queued := q.Jobs[string(distro.StatusQueued)]
		total += queued
		g.add(q.Name, queueState(q, queues.Suspended), queued, q.Jobs[string(distro.StatusStarted)],
			q.Jobs[string(distro.StatusScheduled)], q.Jobs[string(distro.StatusFailed)])
	}
	g.print(con, "no queues")
	busy, slots := 0, 0
	w := newGrid(1, "WORKER", "STATE", "BUSY", "QUEUES")
	for _, worker := range workers.Workers {
		busy, slots = busy+len(worker.Running), slots+worker.Slots
		w.add(worker.Name, workerState(worker), fmt.Sprintf("%d of %d", len(worker.Running), worker.Slots), strings.Join(worker.Queues, ", "))
	}
	fmt.Fprintln(con.out)
	w.print(con, "no workers")
	fmt.Fprintf(con.out, "\n%s, %s, %s\n", count(len(queues.Queues), "queue"), count(total, "job")+" waiting",
		fmt.Sprintf("%s with %d of %d slots busy", count(len(workers.Workers), "worker"), busy, slots))
}

// count is "1 queue" or "2 queues".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
