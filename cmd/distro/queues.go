package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

func newQueues(con *console) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "queues",
		Short:   "List queues with the number of their jobs",
		Example: "  distro queues",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return look(cmd.Context(), con, &r, endpoint("queues"), nil, con.printQueues)
		},
	}
	r.flags(cmd)
	return cmd
}

func (con *console) printQueues(list httpapi.QueueList) {
	header := []string{"QUEUE", "STATE"}
	for _, status := range distro.Statuses() {
		header = append(header, strings.ToUpper(string(status)))
	}
	g := newGrid(1, append(header, "OLDEST")...)
	for _, q := range list.Queues {
		cells := []any{q.Name, queueState(q, list.Suspended)}
		for _, status := range distro.Statuses() {
			cells = append(cells, q.Jobs[string(status)])
		}
		g.add(append(cells, con.moment(q.Oldest))...)
	}
	g.print(con, "no queues")
	if list.Suspended {
		con.note("all workers are suspended; `distro resume` lets them go on")
	}
}

func queueState(q httpapi.Queue, suspended bool) string {
	switch {
	case q.Paused:
		return "paused"
	case suspended:
		return "suspended"
	}
	return "open"
}

func newPause(con *console) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "pause QUEUE...",
		Short:   "Start no more jobs of a queue",
		Example: "  distro pause low",
		Args:    names(1, -1, "the name of a queue, or several"),
		RunE: func(cmd *cobra.Command, queues []string) error {
			return switchQueues(cmd.Context(), con, &r, queues, "pause", "paused")
		},
	}
	r.flags(cmd)
	return cmd
}

func newResume(con *console) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "resume [QUEUE...]",
		Short:   "Let a paused queue go on, or all suspended workers",
		Long:    "Lets the named queues go on after `distro pause`; without a name, all workers after `distro suspend`.",
		Example: "  distro resume low\n  distro resume",
		RunE: func(cmd *cobra.Command, queues []string) error {
			if len(queues) == 0 {
				return switchWorkers(cmd.Context(), con, &r, "resume", "all workers go on")
			}
			return switchQueues(cmd.Context(), con, &r, queues, "resume", "resumed")
		},
	}
	r.flags(cmd)
	return cmd
}

func newSuspend(con *console) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "suspend",
		Short:   "Let no worker start a job until `distro resume`",
		Example: "  distro suspend",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return switchWorkers(cmd.Context(), con, &r, "suspend", "all workers are suspended; `distro resume` lets them go on")
		},
	}
	r.flags(cmd)
	return cmd
}

func switchQueues(ctx context.Context, con *console, r *remote, queues []string, action, done string) error {
	c, err := r.client(con)
	if err != nil {
		return err
	}
	for _, queue := range queues {
		answer, raw, err := fetch[httpapi.PausedQueue](ctx, c, http.MethodPost, endpoint("queues", queue, action), nil, nil)
		if err != nil {
			return fmt.Errorf("%s queue %s: %w", action, queue, err)
		}
		con.say(r.json, raw, clean(queue)+" "+done)
		if len(answer.IgnoredBy) > 0 {
			fmt.Fprintf(con.err, "distro: RQ's own workers know nothing of this and go on with %s: %s\n",
				clean(queue), clean(strings.Join(answer.IgnoredBy, ", ")))
		}
	}
	return nil
}

func switchWorkers(ctx context.Context, con *console, r *remote, action, done string) error {
	c, err := r.client(con)
	if err != nil {
		return err
	}
	raw, err := c.do(ctx, http.MethodPost, endpoint("workers", action), nil, nil)
	if err != nil {
		return fmt.Errorf("%s workers: %w", action, err)
	}
	con.say(r.json, raw, done)
	return nil
}

// say prints an answer as JSON, or what it means.
func (con *console) say(asJSON bool, raw []byte, meaning string) {
	switch {
	case !asJSON:
		fmt.Fprintln(con.out, meaning)
	case len(raw) > 0:
		con.printJSON(raw)
	}
}

func newEmpty(con *console) *cobra.Command {
	var r remote
	var yes bool
	cmd := &cobra.Command{
		Use:   "empty QUEUE",
		Short: "Delete the jobs that wait in a queue",
		Long: "Deletes the jobs that wait in a queue. Those that run, and those scheduled for later, stay.\n" +
			"It asks first where a person can answer; --yes does not.",
		Example: "  distro empty low --yes",
		Args:    names(1, 1, "the name of a queue"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.client(con)
			if err != nil {
				return err
			}
			if !yes && con.inTerminal {
				if err := con.confirm(fmt.Sprintf("Delete all jobs that wait in queue %q?", args[0])); err != nil {
					return err
				}
			}
			emptied, raw, err := fetch[httpapi.Emptied](cmd.Context(), c, http.MethodPost, endpoint("queues", args[0], "empty"), nil, nil)
			if err != nil {
				return fmt.Errorf("empty queue %s: %w", args[0], err)
			}
			con.say(r.json, raw, fmt.Sprintf("%d jobs deleted", emptied.Deleted))
			return nil
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// confirm asks on the terminal and returns nil for a yes.
func (con *console) confirm(question string) error {
	// While a person thinks, Ctrl-C ends the program at once: nothing is done yet.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	fmt.Fprint(con.err, question+" [y/N] ")
	answer, err := bufio.NewReader(io.LimitReader(con.in, 100)).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes", "s", "sim":
		return nil
	}
	return errors.New("nothing was deleted")
}
