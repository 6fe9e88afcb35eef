package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// A server that restarts while somebody waits is asked again so often, about a
// minute in all.
const (
	maxAttempts   = 35
	shortestPause = 100 * time.Millisecond
	longestPause  = 2 * time.Second
	streamSilence = time.Minute // longer than the heartbeat of a stream
)

// pauseBefore doubles with each attempt in a row that brought nothing.
func pauseBefore(attempt int) time.Duration {
	return min(shortestPause<<min(attempt, 10), longestPause)
}

// await returns the job when it has ended.
func (c *client) await(ctx context.Context, id string) (job httpapi.Job, raw []byte, err error) {
	query := url.Values{"wait": {waitStep.String()}}
	for attempt := 0; ; {
		asked := time.Now()
		job, raw, err = fetch[httpapi.Job](ctx, c, http.MethodGet, endpoint("jobs", id), query, nil)
		switch {
		case err == nil && distro.Status(job.Status).Ended():
			return job, raw, nil
		case err == nil && time.Since(asked) > longestPause:
			attempt = 0
			continue // the long poll was the pause
		case err == nil:
			attempt = maxAttempts / 2 // a server that is about to end answers at once
		case !passing(err) || attempt == maxAttempts:
			return job, raw, err
		default:
			attempt++
		}
		if err := pause(ctx, pauseBefore(attempt)); err != nil {
			return job, raw, err
		}
	}
}

// passing reports whether err may be over soon.
func passing(err error) bool {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused.Status == http.StatusTooManyRequests || refused.Status == http.StatusBadGateway || refused.Status == http.StatusServiceUnavailable ||
			refused.Status == http.StatusGatewayTimeout
	}
	_, ok := errors.AsType[*unreachable](err)
	return ok
}

// vanished explains that a job one waits for is not there any more.
func vanished(err error, id string) error {
	if refused, ok := errors.AsType[*refusal](err); ok && refused.Status == http.StatusNotFound {
		return fmt.Errorf("job %s is gone: it was deleted, or its result was not kept (result_ttl)", id)
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errInterrupted
	}
}

// follow hands every line of the job's output to write, and returns when the
// job has ended. A stream that breaks goes on where it was.
func (c *client) follow(ctx context.Context, id string, write func(httpapi.LogLine) error) error {
	last := ""
	for attempt := 0; ; attempt++ {
		seen := last
		err := c.stream(ctx, id, &last, write)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return errInterrupted
		case !passing(err):
			return err
		case last != seen:
			attempt = 0
		case attempt >= maxAttempts:
			return err
		}
		if err := pause(ctx, pauseBefore(attempt)); err != nil {
			return err
		}
	}
}

// errEnd is how the handler of a stream says that it is complete.
var errEnd = errors.New("end of stream")

// stream reads one connection's worth; nil means that the job has ended. last
// is the id of the last event seen.
func (c *client) stream(ctx context.Context, id string, last *string, write func(httpapi.LogLine) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+endpoint("jobs", id, "log", "stream"), nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if *last != "" {
		req.Header.Set("Last-Event-ID", *last)
	}
	reply, err := c.send(req)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	silence := time.AfterFunc(streamSilence, cancel)
	defer silence.Stop()
	var handled error
	err = readEvents(watched{reply.Body, silence}, func(e event) error {
		handled = handleEvent(e, write)
		if handled == nil {
			*last = e.id
		}
		return handled
	})
	switch {
	case errors.Is(handled, errEnd):
		return nil
	case handled != nil:
		return handled
	case errors.Is(err, errEventSize):
		return fmt.Errorf("follow job %s: %w", id, err)
	}
	return &unreachable{c.base, err}
}

// handleEvent ignores events of later versions.
func handleEvent(e event, write func(httpapi.LogLine) error) error {
	if e.name == "end" {
		return errEnd
	}
	var line httpapi.LogLine
	if e.name == "line" && json.Unmarshal([]byte(e.data), &line) == nil {
		if err := write(line); err != nil {
			return fmt.Errorf("print output: %w", err)
		}
	}
	return nil
}

// watched is a stream whose silence ends it.
type watched struct {
	io.Reader
	silence *time.Timer
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.silence.Reset(streamSilence)
	return n, err
}
