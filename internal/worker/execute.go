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

// start begins the attempt of a task. It is reported to ended when its result
// is known.
func (l *loop) start(ctx context.Context, t *task) {
	l.running++
	t.state, t.began = running, time.Now()
	job := &t.job
	log := l.Logger.With("job_id", job.ID, "function", job.Function, "attempt", job.Attempt)
	log.Debug("attempt started", "queue", job.Queue)
	w, err := l.Output.Writer(job.ID, job.Attempt)
	if err != nil {
		log.Error("the output of a job is not kept", "reason", err)
	}
	note := func(format string, args ...any) { _ = w.Note(fmt.Sprintf(format, args...)) } // fails only when closed
	if job.Attempt > 1 {
		note("attempt %d", job.Attempt)
	}
	t.attempt = l.Runners.Start(ctx, python.Call{
		JobID: job.ID, Queue: job.Queue, Worker: l.Worker.Name, Attempt: job.Attempt,
		Payload: job.Payload, Timeout: job.Timeout, Artifacts: artifactsOf(job),
	}, func(stderr bool, p []byte) {
		stream := output.Stdout
		if stderr {
			stream = output.Stderr
		}
		_ = w.Write(stream, time.Now(), p)
	})
	l.others.Go(func() {
		<-t.attempt.Done()
		r := t.attempt.Result()
		if f := r.Failure; f != nil {
			explain(note, job.Attempt, f)
			log.Info("attempt did not finish", "outcome", r.Outcome, "kind", f.Kind, "reason", f.Message, "duration", r.EndedAt.Sub(r.StartedAt))
		} else {
			log.Debug("attempt finished", "duration", r.EndedAt.Sub(r.StartedAt))
		}
		w.Close() // before the settlement: a job that has ended prints no more
		l.ended <- t
		<-t.attempt.Closed()
	})
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
