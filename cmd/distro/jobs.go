package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

const maxPage = 500

func newJobs(con *console) *cobra.Command {
	var r remote
	var queue, status, function, cursor string
	var limit int
	cmd := &cobra.Command{
		Use:     "jobs",
		Short:   "List jobs, newest first",
		Example: "  distro jobs --status failed --queue default\n  distro jobs --function report.build --json",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if status != "" && !distro.Status(status).Valid() {
				var known []string
				for _, s := range distro.Statuses() {
					known = append(known, string(s))
				}
				return usage("--status: there is no status %q%s", status, didYouMean(status, "", known, strings.Join(known, ", ")))
			}
			if limit < 1 || limit > maxPage {
				return usage("--limit: %d is not from 1 to %d", limit, maxPage)
			}
			query := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, value := range map[string]string{"queue": queue, "status": status, "function": function, "cursor": cursor} {
				if value != "" {
					query.Set(name, value)
				}
			}
			return look(cmd.Context(), con, &r, endpoint("jobs"), query, func(page httpapi.JobPage) { con.printJobs(page) })
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVarP(&queue, "queue", "q", "", "only those of this `QUEUE`")
	cmd.Flags().StringVar(&status, "status", "", "only those of this `STATUS`")
	cmd.Flags().StringVar(&function, "function", "", "only calls of this `MODULE.FUNCTION`")
	cmd.Flags().IntVar(&limit, "limit", 50, "`NUMBER` of jobs at most, up to 500")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on where another list ended")
	return cmd
}

func (con *console) printJobs(page httpapi.JobPage) {
	g := newGrid(3, "ID", "FUNCTION", "QUEUE", "STATUS", "ATTEMPT", "CREATED", "RAN")
	for _, job := range page.Jobs {
		g.add(job.ID, job.Function, job.Queue, job.Status, job.Attempt, con.moment(&job.CreatedAt), con.ran(job))
	}
	g.print(con, "no jobs")
	if page.Next != "" {
		con.note("more: --cursor %s", clean(page.Next))
	}
}

// ran is how long the last attempt ran, up to now where it still runs.
func (con *console) ran(job httpapi.Job) string {
	switch {
	case job.StartedAt == nil:
		return ""
	case job.EndedAt != nil && !job.EndedAt.Before(*job.StartedAt):
		return span(job.EndedAt.Sub(*job.StartedAt))
	case job.Status == string(distro.StatusStarted):
		return span(max(con.now().Sub(*job.StartedAt), 0)) + "…"
	}
	return ""
}

func newJob(con *console) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "job ID",
		Short:   "Show a job with its arguments and its result or error",
		Example: "  distro job 7d9f0c1e-3a52-4f6b-9a77-5b1f7f0e2c11",
		Args:    names(1, 1, "the ID of a job"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return look(cmd.Context(), con, &r, endpoint("jobs", args[0]), nil, con.printJob)
		},
	}
	r.flags(cmd)
	return cmd
}

func (con *console) printJob(job httpapi.Job) {
	var f facts
	f.add("id", job.ID)
	f.add("function", job.Function)
	f.add("arguments", argumentText(job))
	f.add("call", job.Call)
	f.add("queue", job.Queue)
	f.add("status", job.Status)
	f.add("attempt", strconv.Itoa(job.Attempt))
	f.add("retries left", strconv.Itoa(job.Retries))
	f.add("worker", job.Worker)
	f.add("created", con.moment(&job.CreatedAt))
	f.add("enqueued", con.moment(job.EnqueuedAt))
	f.add("due", con.moment(job.DueAt))
	f.add("started", con.moment(job.StartedAt))
	f.add("ended", con.moment(job.EndedAt))
	f.add("ran", con.ran(job))
	if job.Timeout != nil {
		f.add("timeout", span(time.Duration(*job.Timeout*float64(time.Second))))
	}
	if job.Usage != nil {
		f.add("cpu", span(time.Duration(job.Usage.CPUSeconds*float64(time.Second))))
		f.add("memory", bytesText(job.Usage.PeakMemory))
	}
	if job.Result != nil {
		f.add("result", resultText(job.Result))
	}
	if job.Failure != nil {
		f.add("error", failureText(job.Failure))
	}
	f.print(con)
	if job.Failure != nil && job.Failure.Traceback != "" {
		fmt.Fprintf(con.out, "\n%s\n", strings.TrimRight(cleanBlock(job.Failure.Traceback), "\n"))
	}
}

// bytesText shows a number of bytes in its largest unit.
func bytesText(n int64) string {
	value, unit := float64(n), 0
	for units := len("KMGT"); value >= 1024 && unit < units; unit++ {
		value /= 1024
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[unit-1])
}
