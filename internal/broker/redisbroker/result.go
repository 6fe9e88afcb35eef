package redisbroker

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

// wireResult is the field distro_result: what an attempt on a worker of
// Distro's left behind, but for the value, which stands in rq:results. The
// scripts write what comes before wireTail.
type wireResult struct {
	Attempt   int    `json:"a"`
	Worker    string `json:"w"`
	StartedAt string `json:"s"`
	EndedAt   string `json:"e"`
	SettledAt string `json:"at"` // ended_at of the hash, until another attempt ends
	wireTail
}

type wireTail struct {
	Outcome    distro.Outcome `json:"o"`
	View       string         `json:"v,omitempty"`
	JSON       bool           `json:"j,omitempty"`
	Truncated  bool           `json:"t,omitempty"`
	HasValue   bool           `json:"p,omitempty"` // the newest entry of rq:results holds it
	Failure    *wireFailure   `json:"f,omitempty"`
	PeakMemory int64          `json:"pm,omitempty"` // bytes
	CPUTime    int64          `json:"ct,omitempty"` // nanoseconds
}

type wireFailure struct {
	Kind      distro.FailureKind `json:"k"`
	Type      string             `json:"t,omitempty"`
	Message   string             `json:"m,omitempty"`
	Traceback string             `json:"b,omitempty"`
	Deflated  string             `json:"z,omitempty"` // the traceback as excString has it, where that is shorter
	ExitCode  int                `json:"x,omitempty"`
	Signal    int                `json:"g,omitempty"`
}

// resultTail is the end of the JSON of r, from its outcome on. The scripts know
// what stands before it.
func (c *codec) resultTail(r *distro.Result) []byte {
	t := wireTail{
		Outcome: r.Outcome, View: r.View.Text, JSON: r.View.JSON, Truncated: r.View.Truncated,
		HasValue:   r.Outcome == distro.OutcomeFinished && r.Failure == nil && len(r.Pickle) > 0,
		PeakMemory: r.PeakMemory, CPUTime: int64(r.CPUTime),
	}
	if f := r.Failure; f != nil {
		t.Failure = &wireFailure{
			Kind: f.Kind, Type: f.Type, Message: f.Message, Traceback: f.Traceback, ExitCode: f.ExitCode, Signal: f.Signal,
		}
		if len(f.Traceback) > storedBelow {
			t.Failure.Traceback, t.Failure.Deflated = "", c.excString(f.Traceback)
		}
	}
	text, err := json.Marshal(t)
	if err != nil {
		panic("unreachable: texts and numbers become JSON")
	}
	return text[1:]
}

// stored is what Redis holds of a job.
type stored struct {
	fields map[string]string // its hash
	newest map[string]string // the newest entry of rq:results; nil: none
	at     time.Time         // when that was written
}

// job is the job that is stored, with its payload and result.
func (c *codec) job(id string, s stored) distro.Job {
	j := c.decodeJob(id, s.fields)
	j.Result = c.result(&j, s)
	j.Earlier = c.earlier(&j, s)
	return j
}

// earlier are the results that were put aside, and the one that was not where a
// stock worker has made the last attempt.
func (c *codec) earlier(j *distro.Job, s stored) []distro.Result {
	last := j.Result
	ours := last != nil && !last.Stock && last.Run != ""
	var texts []string
	if !ours {
		texts = append(texts, s.fields[fieldSettled]+" "+s.fields[fieldResult])
	}
	for i := range broker.MaxEarlier {
		texts = append(texts, s.fields[fieldEarlier+strconv.Itoa(i)])
	}
	var list []distro.Result
	for _, text := range texts {
		var w wireResult
		parts := strings.SplitN(text, " ", 3)
		if len(parts) < 3 || parts[0] == "" || json.Unmarshal([]byte(parts[2]), &w) != nil || w.Outcome == "" {
			continue
		}
		w.HasValue = false
		r := c.own(w, parts[0], s)
		if !ours || r.Attempt < last.Attempt && r.Attempt >= last.Attempt-broker.MaxEarlier {
			list = append(list, *r)
		}
	}
	slices.SortFunc(list, func(a, b distro.Result) int { return a.Attempt - b.Attempt })
	return list[max(len(list)-broker.MaxEarlier, 0):]
}

// result is what the last attempt left behind, as far as it can be told: an
// attempt on a stock worker that is followed by a retry leaves nothing.
func (c *codec) result(j *distro.Job, s stored) *distro.Result {
	var w wireResult
	if json.Unmarshal([]byte(s.fields[fieldResult]), &w) == nil && w.isOf(j, s.fields) {
		run, _, _ := strings.Cut(s.fields[fieldSettled], " ")
		return c.own(w, run, s)
	}
	return c.stock(j, s)
}

// isOf reports whether no stock worker ended an attempt since w was written.
func (w *wireResult) isOf(j *distro.Job, fields map[string]string) bool {
	if w.Outcome == "" || w.SettledAt != fields["ended_at"] {
		return false
	}
	switch j.Status {
	case distro.StatusFinished, distro.StatusFailed, distro.StatusStopped:
		return w.Outcome.Status() == j.Status && w.Worker == fields["worker_name"]
	}
	return true
}

// own is the result of an attempt on a worker of Distro's.
func (c *codec) own(w wireResult, run string, s stored) *distro.Result {
	r := &distro.Result{
		Outcome: w.Outcome, Attempt: w.Attempt, Run: run, Worker: w.Worker,
		StartedAt: parseRQTime(w.StartedAt), EndedAt: parseRQTime(w.EndedAt),
		View:       distro.View{Text: w.View, JSON: w.JSON, Truncated: w.Truncated},
		PeakMemory: w.PeakMemory, CPUTime: time.Duration(w.CPUTime),
	}
	if w.HasValue {
		r.Pickle = decodeBase64(s.newest["return_value"])
	}
	if f := w.Failure; f != nil {
		r.Failure = &distro.Failure{
			Kind: f.Kind, Type: f.Type, Message: f.Message, Traceback: f.Traceback, ExitCode: f.ExitCode, Signal: f.Signal,
		}
		if f.Deflated != "" {
			r.Failure.Traceback = c.decodeExcString(f.Deflated)
		}
	}
	return r
}

// Types of the entries of rq:results.
const (
	rqSuccessful = "1"
	rqFailed     = "2"
	rqStopped    = "3"
	rqRetried    = "4" // RQ 2.1: the function returned a Retry
	rqExhausted  = "5" // RQ 2.8: and has no attempt left
)

// stock is the result that a worker of RQ's own left behind: the newest entry
// of rq:results, or what versions without entries wrote into the hash.
func (c *codec) stock(j *distro.Job, s stored) *distro.Result {
	kind, text := s.newest["type"], c.decodeExcString(s.newest["exc_string"])
	value, hasValue := s.newest["return_value"]
	pickle := decodeBase64(value)
	failed := j.Status == distro.StatusFailed || j.Status == distro.StatusStopped
	if old := c.inflateText(s.fields["exc_info"]); old != "" && failed && kind != rqFailed {
		kind, text = rqFailed, old
	} else if kind == "" && s.fields["result"] != "" && j.Status == distro.StatusFinished {
		kind, hasValue, pickle = rqSuccessful, true, []byte(s.fields["result"])
	}
	r := &distro.Result{Attempt: j.Attempt, Worker: j.Worker, Stock: true, StartedAt: j.StartedAt, EndedAt: j.EndedAt}
	s.place(r)
	if r.Run = strings.ToValidUTF8(s.newest["execution_id"], "\uFFFD"); r.Run == "" {
		r.Run = rqTime(r.StartedAt)
	}
	if kind == rqSuccessful {
		r.Pickle = pickle
	}
	var ok bool
	if r.Outcome, r.View, r.Failure, ok = readOutcome(kind, text, pickle, hasValue); !ok {
		return nil
	}
	if r.Failure != nil && j.Status == distro.StatusStopped {
		r.Outcome, r.Failure.Kind = distro.OutcomeStopped, distro.FailureStopped
	}
	return r
}

// readOutcome is what an entry of rq:results says of the end of its attempt;
// not ok where it is of a type that is not known.
func readOutcome(kind, text string, pickle []byte, hasValue bool) (o distro.Outcome, v distro.View, f *distro.Failure, ok bool) {
	switch kind {
	case rqSuccessful:
		v = distro.View{Text: "null", JSON: true} // RQ does not write None
		if hasValue {
			v = viewOf(pickle)
		}
		return distro.OutcomeFinished, v, nil, true
	case rqFailed, rqStopped:
		f = readFailure(text)
	case rqRetried, rqExhausted:
		f = readFailure(text)
		f.Kind = distro.FailureRetry
		if f.Message == "" {
			f.Message = "the function returned rq.Retry"
		}
	default:
		return "", v, nil, false
	}
	switch {
	case kind == rqStopped, f.Kind == distro.FailureStopped:
		f.Kind = distro.FailureStopped
		return distro.OutcomeStopped, v, f, true
	case f.Kind == distro.FailureLost:
		return distro.OutcomeLost, v, f, true
	}
	return distro.OutcomeFailed, v, f, true
}

// oneAttempt is how far the time of an entry may lie from the end of the
// attempt in the hash, where both tell of one attempt.
const oneAttempt = time.Minute

// place sets what an entry of rq:results tells of its attempt, which need not
// be the last one.
func (s stored) place(r *distro.Result) {
	if name := s.newest["worker_name"]; name != "" {
		r.Worker = strings.ToValidUTF8(name, "\uFFFD")
	}
	if started, ended := parseUnix(s.newest["execution_started_at"]), parseUnix(s.newest["execution_ended_at"]); !ended.IsZero() {
		r.StartedAt, r.EndedAt = started, ended
	} else if !s.at.IsZero() && s.at.Sub(r.EndedAt).Abs() > oneAttempt {
		r.EndedAt = s.at
		if r.StartedAt.After(s.at) {
			r.StartedAt = time.Time{}
		}
	}
}

// parseUnix reads seconds with a fraction; zero for what is no such time.
func parseUnix(s string) time.Time {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n > 0 && n < 1e11) {
		return time.Time{}
	}
	return time.UnixMicro(int64(math.Round(n * 1e6))).UTC()
}

// readFailure reads what RQ wrote of a failure: a traceback, or one of its own
// sentences.
func readFailure(text string) *distro.Failure {
	f := &distro.Failure{Kind: distro.FailureException}
	line := strings.TrimRight(text, "\n")
	switch {
	case strings.HasPrefix(text, "Traceback "):
		f.Traceback = text
		line = lastException(line)
	case strings.HasPrefix(text, "Job stopped by user"):
		f.Kind = distro.FailureStopped
	case strings.HasPrefix(text, "Work-horse terminated unexpectedly"), strings.HasPrefix(text, "Work-horse process was terminated unexpectedly"):
		readWaitStatus(f, text)
	case strings.HasPrefix(text, "Moved to FailedJobRegistry"), strings.HasPrefix(text, "Job was stuck in"):
		f.Kind = distro.FailureLost
	}
	line, _, _ = strings.Cut(line, "\n")
	f.Message = line
	if f.Traceback != "" {
		f.Type, f.Message, _ = strings.Cut(line, ": ")
		if strings.HasSuffix(f.Type, "JobTimeoutException") {
			f.Kind = distro.FailureTimeout
		}
	}
	return f
}

// lastException is the end of a traceback from the line that names the
// exception: the last one that is not indented and follows one that is.
func lastException(text string) string {
	lines := strings.Split(text, "\n")
	for i := len(lines) - 1; i > 0; i-- {
		if strings.HasPrefix(lines[i-1], " ") && lines[i] != "" && !strings.HasPrefix(lines[i], " ") {
			return strings.Join(lines[i:], "\n")
		}
	}
	return lines[len(lines)-1]
}

// readWaitStatus reads "… waitpid returned 9 (signal 9); " and "… returned 256; ".
func readWaitStatus(f *distro.Failure, text string) {
	f.Kind = distro.FailureExit
	_, number, _ := strings.Cut(text, "waitpid returned ")
	number, _, _ = strings.Cut(number, ";")
	number, _, _ = strings.Cut(number, " ")
	status, err := strconv.Atoi(number)
	if err != nil || status < 0 || status > 0xffff {
		return
	}
	if f.ExitCode = status >> 8; status&0x7f != 0 {
		f.Kind, f.ExitCode, f.Signal = distro.FailureSignal, 0, status&0x7f
	}
}

func decodeBase64(s string) []byte {
	p, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(p) == 0 {
		return nil
	}
	return p
}

// decodeExcString is the text of a field like exc_string.
func (c *codec) decodeExcString(s string) string {
	return c.inflateText(string(decodeBase64(s)))
}

// maxView bounds the view of a value that RQ stored.
const maxView = 16 << 10

// viewOf shows a value for people.
func viewOf(value []byte) distro.View {
	if len(value) <= maxView && json.Valid(value) {
		return distro.View{Text: string(value), JSON: true}
	}
	v, err := pickle.Read(value, pickle.Limits{})
	if err != nil {
		return distro.View{Text: "<undecodable value>"}
	}
	if text, ok := v.JSON(maxView); ok {
		return distro.View{Text: string(text), JSON: true}
	}
	text := v.Repr(maxView)
	return distro.View{Text: text, Truncated: utf8.RuneCountInString(text) > maxView}
}
