package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/service"
)

// jobView is the page of a job.
type jobView struct {
	Row      jobRow
	Kept     bool // the queue knows it; else history alone
	Retries  int  // that are left
	Timeout  string
	Trigger  string
	Caller   string
	Host     string
	Python   string
	Memory   string
	CPU      string
	Commit   string
	Created  moment
	Steps    []step
	Tabs     []tab
	Tab      string
	Stopping bool

	Change string // address of the form that runs it again with changes; empty: there is none

	Primary   string // the action that is asked for most likely; empty: none
	Secondary []string

	Error     *errorView
	Log       *logView
	Arguments *argumentsView
	Result    *resultView
	Attempts  []attemptView
	Raw       string
	Files     []fileView
	Picture   *fileView // beside the error: the newest one of the attempt that failed
}

// fileView is a file that a job left.
type fileView struct {
	Name    string
	URL     string // empty: it cannot be had here
	Size    string
	At      moment
	Attempt int
	Image   bool
}

// step is a part of a job's life.
type step struct {
	Key   string // of its name
	At    moment
	Full  string
	Took  string // till the next one
	Tone  string
	Share int // of the whole, in percent, for the bar
}

// tab is one of the views of a job.
type tab struct {
	Key   string
	Count string
	URL   string
	On    bool
}

// resultView is what the function returned.
type resultView struct {
	Text      string
	JSON      bool
	Truncated bool
}

// attemptView is one attempt.
type attemptView struct {
	Row     jobRow
	Started string
	Memory  string
	CPU     string
	Host    string
	Stock   bool
}

// logView is the end of the output, and where all of it is.
type logView struct {
	Lines   []logLine
	Total   int
	Shown   int
	Running bool
	URL     string // of the API; empty: scripts cannot read it
	Text    string
}

type logLine struct {
	Number int64
	At     string
	Stream string
	Text   string
}

// known is what is known of a job: by the queue, by history, or by both.
type known struct {
	job      distro.Job
	kept     bool
	attempts []distro.Execution
}

// last is the newest attempt.
func (k *known) last() *distro.Execution {
	if len(k.attempts) == 0 {
		return nil
	}
	return &k.attempts[len(k.attempts)-1]
}

// look finds what is known of a job.
func (s *Server) look(r *request, id string) (known, error) {
	var k known
	job, err := s.opts.Service.Get(r.Context(), id)
	if err != nil && distro.ErrorCode(err) != distro.CodeNotFound {
		return k, err
	}
	k.job, k.kept = job, err == nil
	if s.full() {
		attempts, problem := s.opts.Service.Attempts(r.Context(), id)
		if problem != nil && distro.ErrorCode(problem) != distro.CodeNotFound && !k.kept {
			return k, problem
		}
		k.attempts = attempts
	}
	if !k.kept && len(k.attempts) == 0 {
		return k, err
	}
	return k, nil
}

// job shows a job.
func (s *Server) job(r *request) error {
	id := r.PathValue("id")
	k, err := s.look(r, id)
	if err != nil {
		return err
	}
	view := r.viewJob(&k)
	view.Stopping = r.query("stopping") != "" && view.Row.State.Code == string(distro.StatusStarted)
	if address := s.automationOf(r, &k); address != "" {
		view.Change = query(address, "from", id)
	}
	files, err := s.filesOf(r, id)
	if err != nil {
		return err
	}
	tabs := s.tabsOf(&k)
	if len(files) > 0 {
		tabs = slices.Insert(tabs, len(tabs)-1, "files")
	}
	view.Tab = r.query("tab")
	if !slices.Contains(tabs, view.Tab) {
		view.Tab = firstTab(&view, tabs)
	}
	for _, key := range tabs {
		t := tab{Key: key, URL: query("/jobs/"+url.PathEscape(id), "tab", key), On: key == view.Tab}
		if key == "attempts" {
			t.Count = r.number(len(k.attempts))
		}
		if key == "files" {
			t.Count = r.number(len(files))
		}
		view.Tabs = append(view.Tabs, t)
	}
	if view.Tab == "files" {
		view.Files = files
	}
	if err := s.fillTab(r, &view, &k); err != nil {
		return err
	}
	if at := slices.IndexFunc(files, func(f fileView) bool { return f.Image && f.Attempt == view.Row.Attempt }); at >= 0 && view.Tab == "error" {
		view.Picture = &files[at]
	}
	return s.show(r, http.StatusOK, "job", view.Row.Name(), view, live("job:"+url.PathEscape(id)))
}

// filesOf are the files that a job left, those of the last attempt and the newest
// first.
func (s *Server) filesOf(r *request, id string) ([]fileView, error) {
	if !s.full() || s.opts.API == nil {
		return nil, nil
	}
	files, err := s.opts.Service.Artifacts(r.Context(), id)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(files, func(a, b service.Artifact) int {
		return cmp.Or(cmp.Compare(b.Attempt, a.Attempt), b.ModTime.Compare(a.ModTime))
	})
	list := make([]fileView, len(files))
	for i, f := range files {
		list[i] = fileView{
			Name: f.Name, Size: r.bytes(f.Size), At: r.moment(f.ModTime), Attempt: f.Attempt, Image: f.Image,
			URL: "/api/v1/jobs/" + url.PathEscape(id) + "/artifacts/" + escapedPath(f.Name),
		}
	}
	return list, nil
}

// escapedPath is a path whose parts are escaped.
func escapedPath(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// viewJob is the head of the page.
func (r *reader) viewJob(k *known) jobView {
	var view jobView
	last := k.last()
	if k.kept {
		view.Row = r.rowOfJob(&k.job)
		view.Row.Arguments = cut(service.ArgumentLine(k.job.Payload), shownArguments)
		view.Retries, view.Trigger, view.Caller = k.job.RetriesLeft, k.job.Trigger, k.job.Caller
		view.Created = r.moment(k.job.CreatedAt)
		if k.job.Timeout > 0 {
			view.Timeout = r.lasted(k.job.Timeout)
		}
	} else {
		view.Row = r.rowOfExecution(last)
		view.Trigger, view.Caller = last.Trigger, last.Caller
	}
	if last != nil {
		if module, function := last.Module, last.Function; function != "" {
			view.Row.Module, view.Row.Function = module, function
		}
		view.Host, view.Python, view.Commit = last.Host, last.Python, last.Commit
		view.Memory, view.CPU = r.usage(last)
	}
	view.Kept = k.kept
	view.Steps = r.steps(k)
	view.Primary, view.Secondary = actionsOf(view.Row.State.Code, k.kept)
	return view
}

// usage is what an attempt used.
func (r *reader) usage(x *distro.Execution) (memory, cpu string) {
	if x.PeakMemory > 0 {
		memory = r.bytes(x.PeakMemory)
	}
	if x.CPUTime > 0 {
		cpu = r.lasted(x.CPUTime)
	}
	return memory, cpu
}

// steps are the times of a job's last attempt, with what passed between them.
func (r *reader) steps(k *known) []step {
	enqueued, started, ended := k.job.EnqueuedAt, k.job.StartedAt, k.job.EndedAt
	state := string(k.job.Status)
	if last := k.last(); !k.kept {
		enqueued, started, ended, state = last.EnqueuedAt, last.StartedAt, last.EndedAt, string(last.State)
	}
	type part struct {
		key  string
		at   time.Time
		tone string
	}
	parts := []part{{"created", k.job.CreatedAt, "rest"}, {"enqueued", enqueued, "rest"}}
	if state == string(distro.StatusScheduled) {
		parts = append(parts, part{"due", k.job.DueAt, "wait"})
	}
	if !waits(state) {
		parts = append(parts, part{"started", started, "run"})
	}
	if state != string(distro.StatusStarted) && !waits(state) || state == string(distro.StatusCanceled) {
		parts = append(parts, part{"ended", ended, viewState(state).Tone})
	}
	parts = slices.DeleteFunc(parts, func(p part) bool {
		return p.at.IsZero() || p.key == "created" && !enqueued.IsZero() && enqueued.Sub(p.at).Abs() < time.Millisecond
	})
	slices.SortStableFunc(parts, func(a, b part) int { return a.at.Compare(b.at) })
	list := make([]step, len(parts))
	for i, p := range parts {
		list[i] = step{Key: "step." + p.key, At: r.moment(p.at), Full: r.full(p.at), Tone: p.tone}
		switch {
		case i+1 < len(parts):
			list[i].Took = r.lasted(parts[i+1].at.Sub(p.at))
		case state == string(distro.StatusStarted), state == string(distro.StatusQueued):
			list[i].Took = r.lasted(r.now.Sub(p.at))
		}
	}
	return list
}

// actionRerun makes a new job with the same call.
const actionRerun = "rerun"

// actionsOf are what can be done to a job in a state. One that only history
// knows can be run again at most.
func actionsOf(state string, kept bool) (primary string, secondary []string) {
	if !kept {
		return actionRerun, nil
	}
	switch distro.Status(state) {
	case distro.StatusFailed, distro.StatusStopped, distro.StatusCanceled:
		return "requeue", []string{actionRerun, "delete"}
	case distro.StatusFinished:
		return actionRerun, []string{"delete"}
	case distro.StatusStarted:
		return "stop", nil
	case distro.StatusQueued, distro.StatusScheduled:
		return "run-first", []string{"cancel", "delete"}
	case distro.StatusDeferred:
		return "cancel", []string{"delete"}
	}
	return "", []string{"delete"}
}

// tabsOf are the views of a job that there is something to see in.
func (s *Server) tabsOf(k *known) []string {
	tabs := []string{}
	if k.failure() != nil {
		tabs = append(tabs, "error")
	}
	if s.full() {
		tabs = append(tabs, "log")
	}
	tabs = append(tabs, "arguments")
	if _, ok := k.result(); ok {
		tabs = append(tabs, "result")
	}
	if len(k.attempts) > 0 {
		tabs = append(tabs, "attempts")
	}
	return append(tabs, "raw")
}

// firstTab is what a reader most likely came for.
func firstTab(view *jobView, tabs []string) string {
	wanted := "arguments"
	switch view.Row.State.Tone {
	case "fail":
		wanted = "error"
	case "run":
		wanted = "log"
	case "done":
		wanted = "result"
	}
	if slices.Contains(tabs, wanted) {
		return wanted
	}
	return tabs[0]
}

// failure is that of the last attempt.
func (k *known) failure() *distro.Failure {
	if k.kept && k.job.Result != nil {
		return k.job.Result.Failure
	}
	if last := k.last(); last != nil {
		return last.Failure
	}
	return nil
}

// result is what the last attempt returned.
func (k *known) result() (distro.View, bool) {
	if k.kept && k.job.Result != nil && k.job.Result.Outcome == distro.OutcomeFinished {
		return k.job.Result.View, true
	}
	if last := k.last(); last != nil && last.State == distro.ExecutionFinished {
		return last.Result, true
	}
	return distro.View{}, false
}

// fillTab reads what the chosen view shows, and nothing else.
func (s *Server) fillTab(r *request, view *jobView, k *known) error {
	switch view.Tab {
	case "error":
		view.Error = viewFailure(k.failure())
	case "log":
		return s.fillLog(r, view)
	case "arguments":
		view.Arguments = viewArguments(k)
	case "result":
		v, _ := k.result()
		view.Result = viewResult(v)
	case "attempts":
		for i := len(k.attempts) - 1; i >= 0; i-- {
			x := &k.attempts[i]
			a := attemptView{Row: r.rowOfExecution(x), Started: r.full(x.StartedAt), Host: x.Host, Stock: x.Stock}
			a.Memory, a.CPU = r.usage(x)
			view.Attempts = append(view.Attempts, a)
		}
	case "raw":
		raw, err := rawOf(k)
		if err != nil {
			return err
		}
		view.Raw = raw
	}
	return nil
}

// logLines is how much of the output is on the page itself.
const logLines = 300

func (s *Server) fillLog(r *request, view *jobView) error {
	log, err := s.opts.Service.ReadLog(r.Context(), view.Row.ID, -logLines, logLines)
	if err != nil {
		return err
	}
	v := &logView{Total: int(log.Total), Shown: len(log.Lines), Running: !log.Ended}
	if s.opts.API != nil {
		v.URL = "/api/v1/jobs/" + url.PathEscape(view.Row.ID) + "/log"
		v.Text = v.URL + ".txt"
	}
	for _, l := range log.Lines {
		v.Lines = append(v.Lines, r.viewLine(l))
	}
	view.Log = v
	return nil
}

func (r *reader) viewLine(l output.Line) logLine {
	return logLine{Number: l.Number, At: l.At.In(r.zone).Format("15:04:05"), Stream: l.Stream.String(), Text: plain(l.Text)}
}

// plain takes terminal's control sequences out of a line, and keeps of what it
// wrote over itself what was seen last.
func plain(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		at := strings.IndexByte(text, 0x1b)
		if at < 0 {
			b.WriteString(text)
			break
		}
		b.WriteString(text[:at])
		text = text[at+1:]
		if strings.HasPrefix(text, "[") {
			end := strings.IndexFunc(text[1:], func(c rune) bool { return c >= 0x40 && c <= 0x7e })
			text = text[min(len(text), end+2):]
			if end < 0 {
				break
			}
		}
	}
	line := strings.TrimSuffix(b.String(), "\r")
	return line[strings.LastIndexByte(line, '\r')+1:]
}

func viewResult(v distro.View) *resultView {
	shown := &resultView{Text: v.Text, JSON: v.JSON, Truncated: v.Truncated}
	if v.JSON && !v.Truncated {
		shown.Text = indented([]byte(v.Text))
	}
	return shown
}

// rawOf is everything the queue and history know of a job but its payload.
func rawOf(k *known) (string, error) {
	shown := map[string]any{}
	if k.kept {
		job := k.job
		size := len(job.Payload.Data)
		job.Payload.Data = nil
		if job.Result != nil {
			result := *job.Result
			result.Pickle = nil
			job.Result = &result
		}
		shown["job"], shown["payload_bytes"] = job, size
	}
	if len(k.attempts) > 0 {
		shown["attempts"] = k.attempts
	}
	text, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode job %q: %w", k.job.ID, err)
	}
	return string(text), nil
}

// actOnJob does what a button asks for.
func (s *Server) actOnJob(r *request) error {
	if err := r.operator(); err != nil {
		return err
	}
	id, action := r.PathValue("id"), broker.Action(r.PathValue("action"))
	address := "/jobs/" + url.PathEscape(id)
	switch action {
	case broker.ActionDelete:
		if err := s.opts.Service.Delete(r.Context(), id); err != nil {
			return err
		}
		address = "/jobs"
	case broker.ActionStop:
		if _, err := s.opts.Service.Act(r.Context(), action, id); err != nil {
			return err
		}
		address += "?stopping=1"
	case broker.ActionRequeue, broker.ActionCancel, broker.ActionRunFirst:
		if _, err := s.opts.Service.Act(r.Context(), action, id); err != nil {
			return err
		}
	case actionRerun:
		job, err := s.opts.Service.Rerun(r.Context(), id, service.RerunRequest{Caller: r.caller()})
		if err != nil {
			return err
		}
		return r.seeOther("/jobs/" + url.PathEscape(job.ID))
	default:
		return distro.Errorf(distro.CodeNotFound, "there is no action %.40q", action)
	}
	if back := r.PostForm.Get("back"); back != "" {
		address = r.back()
	}
	return r.seeOther(address)
}
