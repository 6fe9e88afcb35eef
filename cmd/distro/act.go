package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// jobAction is a command that does one thing to each of some jobs.
type jobAction struct {
	name, done, short string
	method, path      string // path below the job; may be empty
}

func newRequeue(con *console) *cobra.Command {
	return newAction(con, jobAction{
		name: "requeue", done: "requeued", method: http.MethodPost, path: "requeue",
		short: "Queue jobs again that failed, were stopped or canceled",
	})
}

func newCancel(con *console) *cobra.Command {
	return newAction(con, jobAction{
		name: "cancel", done: "canceled", method: http.MethodPost, path: "cancel",
		short: "Cancel jobs that wait",
	})
}

func newStop(con *console) *cobra.Command {
	return newAction(con, jobAction{
		name: "stop", done: "asked to stop", method: http.MethodPost, path: "stop",
		short: "Stop jobs that run",
	})
}

func newDelete(con *console) *cobra.Command {
	return newAction(con, jobAction{
		name: "delete", done: "deleted", method: http.MethodDelete,
		short: "Delete jobs that do not run, with their results and output",
	})
}

func newAction(con *console, a jobAction) *cobra.Command {
	var r remote
	id := "7d9f0c1e-3a52-4f6b-9a77-5b1f7f0e2c11"
	cmd := &cobra.Command{
		Use:     a.name + " ID...",
		Short:   a.short,
		Example: fmt.Sprintf("  distro %s %s", a.name, id),
		Args:    names(1, -1, "the ID of a job, or several"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			c, err := r.client(con)
			if err != nil {
				return err
			}
			return a.run(cmd.Context(), con, c, ids, r.json)
		},
	}
	r.flags(cmd)
	return cmd
}

// run acts on each job and tells of each. One that cannot be acted on does not
// keep the others from it; a server that cannot be reached does.
func (a jobAction) run(ctx context.Context, con *console, c *client, ids []string, asJSON bool) error {
	var failed error
	for _, id := range ids {
		parts := []string{"jobs", id}
		if a.path != "" {
			parts = append(parts, a.path)
		}
		raw, err := c.do(ctx, a.method, endpoint(parts...), nil, nil)
		switch _, refused := errors.AsType[*refusal](err); {
		case refused && len(ids) > 1:
			fmt.Fprintf(con.err, "distro: %s %s: %s\n", a.name, clean(id), clean(err.Error()))
			failed = errReported
		case err != nil:
			return fmt.Errorf("%s %s: %w", a.name, id, err)
		case asJSON && len(raw) > 0:
			con.printJSON(raw)
		case !asJSON:
			fmt.Fprintf(con.out, "%s %s\n", clean(id), a.done)
		}
	}
	return failed
}
