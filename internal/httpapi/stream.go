package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/distro-orchestrator/distro"
)

// Times of an answer that stays open.
const (
	heartbeat  = 15 * time.Second
	slowClient = 30 * time.Second // for one write, before the client is dropped
)

// admit reports whether there is room for one more answer that stays open, and
// answers where there is none. Where there is, dismiss must be called at its end.
func (s *Server) admit(w http.ResponseWriter) bool {
	select {
	case s.streams <- struct{}{}:
		return true
	default:
		w.Header().Set("Retry-After", "5")
		writeProblem(w, newProblem(http.StatusTooManyRequests, distro.CodeUnavailable, "too many streams are open; try again later"))
		return false
	}
}

func (s *Server) dismiss() { <-s.streams }

// streamBroke tells the log why a stream ended early, unless the client or
// the server ended it.
func (s *Server) streamBroke(ctx context.Context, err error) {
	if ctx.Err() == nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errClient) {
		s.opts.Logger.ErrorContext(ctx, "stream broke off", "error", err)
	}
}

// errClient says that the client did not take what was sent.
var errClient = errors.New("the client is gone or too slow")

// stream is an answer that outlives the server's deadlines: only a client that
// takes nothing for a while is dropped.
type stream struct {
	to      http.ResponseWriter
	control *http.ResponseController
}

func newStream(w http.ResponseWriter, contentType string) *stream {
	s := &stream{w, http.NewResponseController(w)}
	_ = s.control.SetReadDeadline(time.Time{}) // where the writer has deadlines
	w.Header().Set("Content-Type", contentType)
	return s
}

// newEventStream begins server-sent events.
func newEventStream(w http.ResponseWriter) *stream {
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not hold events back
	return newStream(w, "text/event-stream")
}

func (s *stream) extend() { _ = s.control.SetWriteDeadline(time.Now().Add(slowClient)) }

func (s *stream) Write(p []byte) (int, error) {
	s.extend()
	n, err := s.to.Write(p)
	if err != nil {
		return n, errors.Join(errClient, err)
	}
	return n, nil
}

func (s *stream) flush() error {
	s.extend()
	if err := s.control.Flush(); err != nil {
		return errors.Join(errClient, err)
	}
	return nil
}

// writeEvent writes one server-sent event; an empty id leaves the client's last
// one as it is.
func writeEvent(to *bytes.Buffer, name, id string, data any) {
	text, err := json.Marshal(data) // without line breaks
	if err != nil {
		panic(fmt.Errorf("encode event %s: %w", name, err))
	}
	if id != "" {
		fmt.Fprintf(to, "id: %s\n", id)
	}
	fmt.Fprintf(to, "event: %s\ndata: %s\n\n", name, text)
}
