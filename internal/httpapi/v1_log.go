package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"strconv"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/service"
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
	if !s.admit(w) {
		return
	}
	defer s.dismiss()
	if _, err := s.opts.Service.Find(r.Context(), r.PathValue("id")); err != nil {
		writeProblem(w, s.problem(r.Context(), err, "path"))
		return
	}
	out := newEventStream(w)
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
			writeEvent(&events, "line", strconv.FormatInt(line.Number, 10), showLine(line))
		}
		if _, err := out.Write(events.Bytes()); err != nil {
			return err
		}
		return out.flush()
	})
	if distro.ErrorCode(err) == distro.CodeNotFound { // it was there when the stream began
		status, err = service.Deleted, nil
	}
	if err != nil {
		s.streamBroke(r.Context(), err)
		return
	}
	events.Reset()
	writeEvent(&events, "end", "", LogEnd{Status: string(status)})
	_, _ = out.Write(events.Bytes()) // the client may have gone
	_ = out.flush()
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
