package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// Request asks for one job. Refusals name its fields in lower case:
// "module", "function", "args", "kwargs", "kwargs.<name>", "queue", "id",
// "delay", "at", "timeout" and "retries".
type Request struct {
	Module   string        // dotted; empty: Function is module.function
	Function string        // function or Class.staticmethod
	Args     []byte        // JSON list; nil: none
	Kwargs   []byte        // JSON object; nil: none
	Queue    string        // empty: Service.DefaultQueue
	ID       string        // makes the request repeatable; empty: random
	Delay    time.Duration // from now, at most MaxDelay
	At       time.Time     // not before; not together with Delay; a moment that passed is now
	Timeout  time.Duration // of one attempt; distro.Forever; 0: the configured one
	Retries  *int          // nil: the configured ones
	Typed    bool          // arguments become the Python values that annotations ask for; else they stay what JSON has

	Trigger string // what makes the job, as distro.Job has it
	Caller  string // who asks, likewise

	// Schedule is how the client wrote the delay, where that is more than
	// Delay tells. Two requests of one ID are the same only with one Schedule.
	Schedule string
}

// arguments are checked args and kwargs.
type arguments struct {
	args, kwargs []byte
	positionals  int
	keywords     []string // in their order, each once
}

func (s *Service) arguments(r Request) (arguments, error) {
	a := arguments{args: bytes.TrimSpace(r.Args), kwargs: bytes.TrimSpace(r.Kwargs)}
	if len(a.args) == 0 {
		a.args = []byte("[]")
	}
	if len(a.kwargs) == 0 {
		a.kwargs = []byte("{}")
	}
	if n := len(a.args) + len(a.kwargs); n > s.opts.MaxArguments {
		return a, distro.Invalid("args", "the arguments take %d bytes; at most %d are accepted", n, s.opts.MaxArguments)
	}
	if err := checkJSON("args", a.args, jsonscan.List); err != nil {
		return a, err
	}
	if err := checkJSON("kwargs", a.kwargs, jsonscan.Object); err != nil {
		return a, err
	}
	for range jsonscan.Elements(a.args) {
		a.positionals++
	}
	seen, n := map[string]bool{}, 0
	for key := range jsonscan.Members(a.kwargs) {
		if n++; n > MaxKwargs {
			return a, distro.Invalid("kwargs", "must have at most %d members", MaxKwargs)
		}
		if !seen[key] {
			seen[key] = true
			a.keywords = append(a.keywords, key)
		}
	}
	return a, nil
}

func checkJSON(field string, text []byte, want jsonscan.Kind) error {
	if err := jsonscan.Check(text, MaxDepth); err != nil {
		return distro.Invalid(field, "%s", err)
	}
	if kind := jsonscan.KindOf(text); kind != want {
		return distro.Invalid(field, "must be %s, not %s", want, kind)
	}
	return nil
}

func (s *Service) queue(name string) (string, error) {
	if name == "" {
		return s.DefaultQueue(), nil
	}
	if !slices.Contains(s.opts.Queues, name) {
		if nearest := distro.Nearest(name, s.opts.Queues); nearest != "" {
			return "", distro.Invalid("queue", "there is no queue %.100q; did you mean %s?", name, nearest)
		}
		return "", distro.Invalid("queue", "there is no queue %.100q; the queues are %s", name, strings.Join(s.opts.Queues, ", "))
	}
	return name, nil
}

// due is the moment before which the job must not start; zero: none.
func (s *Service) due(r Request) (time.Time, error) {
	now := s.opts.Now().UTC()
	switch {
	case !r.At.IsZero() && (r.Delay != 0 || r.Schedule != ""):
		return time.Time{}, distro.Invalid("at", "give a delay or a moment, not both")
	case !r.At.IsZero():
		if r.At.Sub(now) > MaxDelay {
			return time.Time{}, distro.Invalid("at", "lies more than 10 years ahead")
		}
		return r.At.UTC(), nil
	case r.Delay < 0:
		return time.Time{}, distro.Invalid("delay", "must not be negative")
	case r.Delay > MaxDelay:
		return time.Time{}, distro.Invalid("delay", "is longer than 10 years")
	case r.Delay == 0:
		return time.Time{}, nil
	}
	return now.Add(r.Delay), nil
}

func (s *Service) limits(r Request) (timeout time.Duration, retries int, err error) {
	timeout, retries = s.opts.JobTimeout, s.opts.Retries
	if r.Timeout != 0 {
		timeout = r.Timeout
		if timeout != distro.Forever && (timeout < time.Second || timeout > MaxTimeout) {
			return 0, 0, distro.Invalid("timeout", "must be 1 second to 10 years")
		}
	}
	if r.Retries != nil {
		if retries = *r.Retries; retries < 0 || retries > MaxRetries {
			return 0, 0, distro.Invalid("retries", "must be 0 to %d", MaxRetries)
		}
	}
	return timeout, retries, nil
}

// fingerprint is equal for two requests that ask for the same.
func fingerprint(function, queue string, a arguments, r Request) string {
	when := r.Schedule
	if when == "" && !r.At.IsZero() {
		when = r.At.UTC().Format(time.RFC3339Nano)
	} else if when == "" {
		when = r.Delay.String()
	}
	text := fmt.Appendf(nil, "%q %q %q ", function, queue, when)
	text = jsonscan.AppendCanonical(text, a.args)
	text = jsonscan.AppendCanonical(text, a.kwargs)
	if r.Typed {
		text = append(text, " typed"...)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
