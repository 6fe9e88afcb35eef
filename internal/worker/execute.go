package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/python"
)

// serve is one slot: it runs task after task until the slots are closed.
func (l *loop) serve(ctx context.Context) {
	for {
		var w *output.Writer
		t := l.slots.next(func(t *task) *python.Attempt {
			w = l.Output.Writer(t.job.ID, t.job.Attempt)
			return l.attempt(t, w)
		})
		if t == nil {
			return
		}
		l.execute(ctx, t, w)
		l.slots.done(t)
		l.ended <- t
	}
}

// attempt prepares the attempt of a task, with its output going to w.
func (l *loop) attempt(t *task, w *output.Writer) *python.Attempt {
	job := &t.job
	return l.Runners.Attempt(python.Call{
		JobID: job.ID, Queue: job.Queue, Worker: l.Worker.Name, Attempt: job.Attempt,
		Payload: job.Payload, Timeout: job.Timeout, Artifacts: artifactsOf(job),
	}, func(stderr bool, p []byte) {
		stream := output.Stdout
		if stderr {
			stream = output.Stderr
		}
		_ = w.Write(stream, time.Now(), p) // fails only when closed
	})
}

// execute runs the attempt of a task and keeps its result. The output is
// closed before anybody hears of the end: a job that has ended prints no more.
func (l *loop) execute(ctx context.Context, t *task, w *output.Writer) {
	defer w.Close()
	job := &t.job
	note := func(format string, args ...any) { _ = w.Note(fmt.Sprintf(format, args...)) }
	if job.Attempt > 1 {
		note("attempt %d", job.Attempt)
	}
	t.result = t.attempt.Run(ctx)
	f := t.result.Failure
	if f == nil {
		return
	}
	explain(note, job.Attempt, f)
	l.Logger.Info("attempt did not finish", "job_id", job.ID, "function", job.Function, "attempt", job.Attempt,
		"outcome", t.result.Outcome, "kind", f.Kind, "reason", f.Message, "duration", t.result.EndedAt.Sub(t.result.StartedAt))
}

// explain writes why an attempt did not finish behind its output, so that the
// log of a job tells of each of its attempts.
func explain(note func(string, ...any), attempt int, f *distro.Failure) {
	for line := range strings.Lines(f.Traceback) {
		note("%s", strings.TrimRight(line, "\n"))
	}
	if f.Traceback == "" || f.Kind != distro.FailureException {
		note("attempt %d ended: %s", attempt, f.Message)
	}
}

// artifactsOf is the folder of the files that an attempt leaves: nothing of a
// foreign job ID reaches a path.
func artifactsOf(job *distro.Job) string {
	sum := sha256.Sum256([]byte(job.ID))
	return hex.EncodeToString(sum[:16]) + "-" + strconv.Itoa(job.Attempt)
}
