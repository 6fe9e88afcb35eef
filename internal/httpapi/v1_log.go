package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/service"
)

// Times of an answer that stays open.
const (
	heartbeat  = 15 * time.Second
	slowClient = 30 * time.Second // for one write, before the client is dropped
)

type readLogInput struct {
	ID    string `path:"id" doc:"percent-escaped"`
	From  int64  `query:"from" default:"1" doc:"number of the first line; without q and level, -100 means the last hundred lines"`
	Count int    `query:"count" minimum:"1" maximum:"1000" default:"200"`
	Text  string `query:"q" maxLength:"1000" doc:"only lines with this text, whatever their case"`
	Level string `query:"level" enum:"debug,info,warning,error,critical" doc:"only lines of at least this level, as logging names it in them; where they name none: tracebacks are errors, stderr is a warning, stdout is info"`
}

type readLogOutput struct{ Body LogPage }

func (s *Server) readLog(ctx context.Context, in *readLogInput) (*readLogOutput, error) {
	if in.From == 0 {
		return nil, distro.Invalid("from", "lines are numbered from 1")
	}
	page := LogPage{}
	var log service.Log
	var err error
	if in.Text == "" && in.Level == "" {
		log, err = s.opts.Service.ReadLog(ctx, in.ID, in.From, in.Count)
	} else {
		level, _ := output.ParseLevel(in.Level) // the enum was checked
		log, err = s.opts.Service.SearchLog(ctx, in.ID, output.Query{Text: in.Text, Level: level, From: in.From, Count: in.Count})
		page.Matches = &LogMatches{Found: log.Found, More: log.More}
	}
	if err != nil {
		return nil, err
	}
	page.Next, page.Total, page.Ended = log.Next, log.Total, log.Ended
	page.Lines = make([]LogLine, len(log.Lines))
	for i, line := range log.Lines {
		page.Lines[i] = showLine(line)
	}
	return &readLogOutput{page}, nil
}

// streamLog sends one event "line" per line of output as lines end, a comment
// when nothing came for a while, and one event "end" behind the last line. An
// event's id is its line's number: a client that reconnects with it goes on
// behind that line.
func (s *Server) streamLog(w http.ResponseWriter, r *http.Request) {
	from, err := streamFrom(r)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "query"))
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		w.Header().Set("Retry-After", "5")
		writeProblem(w, newProblem(http.StatusTooManyRequests, distro.CodeUnavailable, "too many streams are open; try again later"))
		return
	}
	if _, err := s.opts.Service.Find(r.Context(), r.PathValue("id")); err != nil {
		writeProblem(w, s.problem(r.Context(), err, "path"))
		return
	}
	out := newStream(w, "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not hold events back
	if out.flush() != nil || r.Method == http.MethodHead {
		return
	}
	ctx, release := s.untilClosing(r.Context())
	defer release()
	var events bytes.Buffer
	status, err := s.opts.Service.FollowLog(ctx, r.PathValue("id"), from, heartbeat, func(lines []output.Line) error {
		events.Reset()
		if len(lines) == 0 {
			events.WriteString(":\n\n")
		}
		for _, line := range lines {
			writeEvent(&events, "line", line.Number, showLine(line))
		}
		if _, err := out.Write(events.Bytes()); err != nil {
			return err
		}
		return out.flush()
	})
	if err != nil {
		s.streamBroke(r.Context(), err)
		return
	}
	events.Reset()
	writeEvent(&events, "end", 0, LogEnd{Status: string(status)})
	_, _ = out.Write(events.Bytes()) // the client may have gone
	_ = out.flush()
}

// streamBroke tells the log why a stream ended early, unless the client or
// the server ended it.
func (s *Server) streamBroke(ctx context.Context, err error) {
	if ctx.Err() == nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errClient) {
		s.opts.Logger.ErrorContext(ctx, "stream broke off", "error", err)
	}
}

// streamFrom is the line a stream begins with.
func streamFrom(r *http.Request) (int64, error) {
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n < 0 || n == 1<<63-1 {
			return 0, distro.Invalid("Last-Event-ID", "must be the number of a line")
		}
		return n + 1, nil
	}
	from := r.URL.Query().Get("from")
	if from == "" {
		return 1, nil
	}
	n, err := strconv.ParseInt(from, 10, 64)
	if err != nil || n < 1 {
		return 0, distro.Invalid("from", "must be the number of a line, from 1")
	}
	return n, nil
}

func writeEvent(to *bytes.Buffer, name string, id int64, data any) {
	text, err := json.Marshal(data) // without line breaks
	if err != nil {
		panic(fmt.Errorf("encode event %s: %w", name, err))
	}
	if id > 0 {
		fmt.Fprintf(to, "id: %d\n", id)
	}
	fmt.Fprintf(to, "event: %s\ndata: %s\n\n", name, text)
}

// textLog sends all of a job's output as it was printed.
func (s *Server) textLog(w http.ResponseWriter, r *http.Request) {
	if _, err := s.opts.Service.Get(r.Context(), r.PathValue("id")); err != nil {
		writeProblem(w, s.problem(r.Context(), err, "path"))
		return
	}
	out := newStream(w, "text/plain; charset=utf-8")
	if err := s.opts.Service.WriteLog(r.Context(), r.PathValue("id"), out); err != nil {
		s.streamBroke(r.Context(), err)
		panic(http.ErrAbortHandler) // so that the client sees that it is not all
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
