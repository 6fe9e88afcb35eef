package worker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/artifact"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/python"
)

// serve is one slot: it runs task after task until the slots are closed.
func (l *loop) serve(ctx context.Context) {
	for {
		var w Printer
		t := l.slots.next(func(t *task) *python.Attempt {
			w = l.Output(t.job.ID, t.job.Attempt)
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
func (l *loop) attempt(t *task, w Printer) *python.Attempt {
	call := l.call(&t.job)
	call.Note = func(line string) { _ = w.Note(line) }
	return l.Runners.Attempt(call, printTo(w))
}

func (l *loop) call(job *distro.Job) python.Call {
	call := python.Call{
		JobID: job.ID, Queue: job.Queue, Worker: l.Worker.Name, Attempt: job.Attempt, Asked: job.Asked,
		Payload: job.Payload, Serializer: l.Serializer, Timeout: job.Timeout, Artifacts: l.artifactsOf(job),
		OnSuccess: job.OnSuccess, OnFailure: job.OnFailure,
	}
	if l.Redis != nil {
		call.Redis = l.Redis()
	}
	return call
}

func printTo(w Printer) python.Output {
	return func(stderr bool, p []byte) {
		stream := output.Stdout
		if stderr {
			stream = output.Stderr
		}
		_ = w.Write(stream, time.Now(), p) // a job runs on when nobody takes what it prints
	}
}

// execute runs the attempt of a task and keeps its result. The output is
// closed before anybody hears of the end: a job that has ended prints no more.
func (l *loop) execute(ctx context.Context, t *task, w Printer) {
	defer w.Close()
	job := &t.job
	note := func(format string, args ...any) { _ = w.Note(fmt.Sprintf(format, args...)) }
	if job.Attempt > 1 {
		note("attempt %d", job.Attempt)
	}
	l.Logger.Debug("job begins", "job_id", job.ID, "function", job.Function, "queue", job.Queue, "attempt", job.Attempt)
	t.result = t.attempt.Run(ctx)
	if t.attempt.Kept() {
		l.fit(job.ID, l.artifactsOf(job), note)
	}
	f := t.result.Failure
	if f == nil {
		l.Logger.Debug("job ended", "job_id", job.ID, "duration", t.result.EndedAt.Sub(t.result.StartedAt))
		return
	}
	explain(note, job.Attempt, f)
	l.Logger.Info("attempt did not finish", "job_id", job.ID, "function", job.Function, "attempt", job.Attempt,
		"outcome", t.result.Outcome, "kind", f.Kind, "reason", f.Message, "duration", t.result.EndedAt.Sub(t.result.StartedAt))
	if t.result.Outcome == distro.OutcomeStopped && job.OnStopped.Name != "" {
		l.afterStop(ctx, t, w)
	}
}

// afterStop calls the function that the producer named for a job that is
// stopped. The job's own process is dead, so this takes another. How the job
// ended does not change by it.
func (l *loop) afterStop(ctx context.Context, t *task, w Printer) {
	call := l.call(&t.job)
	call.Stopped = t.job.OnStopped
	if call.Artifacts != "" {
		call.Artifacts = artifact.AfterStop(call.Artifacts)
	}
	note := func(format string, args ...any) { _ = w.Note(fmt.Sprintf(format, args...)) }
	a := l.Runners.Attempt(call, printTo(w))
	l.slots.afterStop(ctx, t, a)
	f := a.Run(ctx).Failure
	if a.Kept() {
		l.fit(t.job.ID, call.Artifacts, note)
	}
	if f != nil {
		explain(note, t.job.Attempt, f)
		l.Logger.Warn("the function to call when a job is stopped did not finish", "job_id", t.job.ID,
			"function", t.job.OnStopped.Name, "kind", f.Kind, "reason", f.Message)
	}
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

// artifactsOf is the folder of the files that an attempt leaves; empty: nobody
// is to see them.
func (l *loop) artifactsOf(job *distro.Job) string {
	if l.Artifacts == nil {
		return ""
	}
	return artifact.Folder(job.ID, job.Attempt)
}

// fit makes what an attempt left fit into what it may leave, and says so in its
// output.
func (l *loop) fit(jobID, folder string, note func(string, ...any)) {
	if l.MaxArtifacts <= 0 {
		return
	}
	dropped, err := l.Artifacts.Fit(folder, l.MaxArtifacts)
	switch {
	case err != nil:
		l.Logger.Error("what a job left cannot be made to fit", "job_id", jobID, "reason", err)
	case dropped.All:
		note("the files left in DISTRO_ARTIFACTS are not kept: they are too many or lie too deep")
	case dropped.Files > 0:
		note("of the files left in DISTRO_ARTIFACTS the largest are not kept (%d, of %d bytes): max_artifacts allows %d bytes",
			dropped.Files, dropped.Bytes, l.MaxArtifacts)
	}
}
