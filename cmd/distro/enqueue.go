package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

const maxRetries = 100

type enqueueFlags struct {
	remote
	queue, in, at, timeout string
	retries                int
	wait, follow           bool
}

func newEnqueue(con *console) *cobra.Command {
	var f enqueueFlags
	cmd := &cobra.Command{
		Use:   "enqueue MODULE.FUNCTION [ARG...] [key=value...]",
		Short: "Enqueue a call, now or for later",
		Long: "Enqueues a call of a function and prints the job's ID.\n\n" +
			"A value is taken by the annotation of its parameter: str stays text, int, float, bool, list, dict,\n" +
			"Optional and unions are converted. Without an annotation it is JSON if it is valid JSON, else text;\n" +
			"key:=JSON is always JSON. Write -- before values that begin with a dash.",
		Example: "  distro enqueue report.build month=2026-10 --follow\n" +
			"  distro enqueue mail.send ana@example.com 'tags:=[\"a\", 1]' --in 2h10m20s --queue low\n" +
			"  distro enqueue sums.add --wait -- -2 5",
		Args: arguments(1, -1, "MODULE.FUNCTION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			job, err := f.newJob(args[0], cmd.Flags().Changed("retries"))
			if err != nil {
				return err
			}
			c, err := f.client(con)
			if err != nil {
				return err
			}
			return f.enqueue(cmd.Context(), con, c, job, args[1:])
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVarP(&f.queue, "queue", "q", "", "`QUEUE` it waits in")
	cmd.Flags().StringVar(&f.in, "in", "", "`TIME` to wait first, like 2h10m20s")
	cmd.Flags().StringVar(&f.at, "at", "", "`MOMENT` not to start before, like 2026-10-01T09:00:00-03:00")
	cmd.Flags().StringVar(&f.timeout, "timeout", "", "longest `TIME` of an attempt, like 90s, or none")
	cmd.Flags().IntVar(&f.retries, "retries", 0, "`N` attempts that may follow a failed one, 0 to 100; else task_retries")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait for the end and print the result; exit status 1 if it failed after its retries")
	cmd.Flags().BoolVar(&f.follow, "follow", false, "print its output until it ends, then as --wait")
	return cmd
}

// newJob checks the flags and makes the request without its arguments.
func (f *enqueueFlags) newJob(function string, retries bool) (httpapi.NewJob, error) {
	job := httpapi.NewJob{Function: function, Queue: f.queue}
	if !strings.Contains(function, ".") {
		return job, usage("%q is not MODULE.FUNCTION: `distro modules` lists what there is", function)
	}
	if f.in != "" && f.at != "" {
		return job, usage("--in and --at exclude each other: keep one of them")
	}
	if f.in != "" {
		delay, err := config.ParseDuration(f.in)
		if err != nil {
			return job, usage("--in: %v", err)
		}
		job.Delay = delay.String()
	}
	if f.at != "" {
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return job, usage("--at: %q is not a moment like 2026-10-01T09:00:00-03:00", f.at)
		}
		job.At = &at
	}
	if f.timeout != "" && f.timeout != "none" {
		timeout, err := config.ParseDuration(f.timeout)
		if err != nil {
			return job, usage("--timeout: %v", err)
		}
		if timeout < time.Second {
			return job, usage("--timeout: must be at least 1 second, or none")
		}
		f.timeout = timeout.String()
	}
	job.Timeout = f.timeout
	if retries {
		if f.retries < 0 || f.retries > maxRetries {
			return job, usage("--retries: %d is not from 0 to %d", f.retries, maxRetries)
		}
		job.Retries = &f.retries
	}
	return job, nil
}

func (f *enqueueFlags) enqueue(ctx context.Context, con *console, c *client, job httpapi.NewJob, words []string) error {
	var sig signature
	var err error
	if len(words) > 0 {
		if sig, err = c.signature(ctx, job.Function); err != nil {
			return err
		}
	}
	if job.Args, job.Kwargs, err = callArguments(words, sig); err != nil {
		return err
	}
	created, raw, err := fetch[httpapi.Job](ctx, c, http.MethodPost, endpoint("jobs"), nil, job)
	if err != nil {
		return err
	}
	switch {
	case f.wait || f.follow:
		return f.watch(ctx, con, c, created)
	case f.json:
		con.printJSON(raw)
	default:
		fmt.Fprintln(con.out, clean(created.ID))
		con.note("%s on %s; `distro logs %s -f` follows it", clean(created.Status), clean(created.Queue), clean(created.ID))
	}
	return nil
}

// signature asks the server for a function's parameters. A function it does
// not know has none: enqueueing it tells why.
func (c *client) signature(ctx context.Context, function string) (signature, error) {
	name := function
	for range 2 { // MODULE.FUNCTION, else MODULE.Class.staticmethod
		dot := strings.LastIndexByte(name, '.')
		if dot <= 0 {
			break
		}
		name = name[:dot]
		found, _, err := fetch[httpapi.Function](ctx, c, http.MethodGet, endpoint("automations", name, function[dot+1:]), nil, nil)
		if err == nil {
			return newSignature(found), nil
		}
		if refused, ok := errors.AsType[*refusal](err); !ok || refused.Status/100 != 4 || refused.Status == http.StatusUnauthorized {
			return signature{}, err
		}
	}
	return signature{}, nil
}

// watch waits for the end of the job and prints what became of it.
func (f *enqueueFlags) watch(ctx context.Context, con *console, c *client, created httpapi.Job) error {
	con.note("job %s", clean(created.ID))
	job, raw, traceback, err := f.await(ctx, con, c, created)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w: the job goes on; `distro logs %s -f` follows it, `distro stop %[2]s` ends it", err, created.ID)
	case err != nil:
		return err
	case f.json:
		con.printJSON(raw)
	case job.Status == string(distro.StatusFinished) && job.Result == nil:
		fmt.Fprintln(con.err, con.dim("finished; its result was not kept (result_ttl)"))
	case f.follow && job.Status == string(distro.StatusFinished):
		fmt.Fprintln(con.err, con.dim("finished, result: "+clean(resultText(job.Result))))
	case job.Status == string(distro.StatusFinished):
		con.printResult(job.Result)
	}
	return con.ending(job, !f.json && !traceback)
}

// await waits for the end of the job and prints its output if that is wanted.
// traceback tells that the output showed one.
func (f *enqueueFlags) await(ctx context.Context, con *console, c *client, created httpapi.Job) (job httpapi.Job, raw []byte, traceback bool, err error) {
	switch {
	case f.follow && !f.json:
		w := &outputWriter{con: con}
		err = vanished(c.follow(ctx, created.ID, w.write), created.ID)
		traceback = w.traceback
		if finishErr := w.finish(); err == nil {
			err = finishErr
		}
	default:
		defer con.spin(created.Function)()
	}
	if err == nil {
		job, raw, err = c.await(ctx, created.ID)
		err = vanished(err, created.ID)
	}
	return job, raw, traceback, err
}

// printResult prints what a function returned: JSON where it is JSON, else
// Python's repr.
func (con *console) printResult(result *httpapi.Result) {
	text := resultText(result)
	if con.outTerminal {
		text = cleanBlock(text)
	}
	fmt.Fprintln(con.out, text)
	if result != nil && result.Truncated {
		fmt.Fprintln(con.err, con.dim("the result is longer: this is its beginning"))
	}
}

func resultText(result *httpapi.Result) string {
	switch {
	case result == nil:
		return "null"
	case len(result.Value) > 0:
		return string(result.Value)
	}
	return result.Text
}

// ending is nil when the job finished, else an error that tells how it ended;
// with details the traceback is printed before.
func (con *console) ending(job httpapi.Job, details bool) error {
	if job.Status == string(distro.StatusFinished) {
		return nil
	}
	text := fmt.Sprintf("job %s %s", job.ID, ended(job.Status))
	if job.Attempt > 1 {
		text += fmt.Sprintf(" after %d attempts", job.Attempt)
	}
	if job.Failure == nil {
		return errors.New(text)
	}
	if details && job.Failure.Traceback != "" {
		fmt.Fprintln(con.err, strings.TrimRight(cleanBlock(job.Failure.Traceback), "\n"))
	}
	return fmt.Errorf("%s: %s", text, failureText(job.Failure))
}

func ended(status string) string {
	if status == string(distro.StatusFailed) {
		return status
	}
	return "was " + status
}

func failureText(f *httpapi.Failure) string {
	if f.Type == "" || strings.HasPrefix(f.Message, f.Type) {
		return f.Message
	}
	return f.Type + ": " + f.Message
}

// argumentText shows a job's arguments as a call would be written.
func argumentText(job httpapi.Job) string {
	var parts []string
	var args []json.RawMessage
	if json.Unmarshal(job.Args, &args) == nil {
		for _, arg := range args {
			parts = append(parts, string(arg))
		}
	}
	if kwargs := string(job.Kwargs); kwargs != "" && kwargs != "{}" {
		parts = append(parts, "**"+kwargs)
	}
	return strings.Join(parts, ", ")
}
