package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

// rqQueue is an item of queues.json.
type rqQueue struct {
	Name         string `json:"name"`
	Count        int    `json:"count"`
	QueuedURL    string `json:"queued_url"`
	Failed       int    `json:"failed_job_registry_count"`
	FailedURL    string `json:"failed_url"`
	Started      int    `json:"started_job_registry_count"`
	StartedURL   string `json:"started_url"`
	Deferred     int    `json:"deferred_job_registry_count"`
	DeferredURL  string `json:"deferred_url"`
	Finished     int    `json:"finished_job_registry_count"`
	FinishedURL  string `json:"finished_url"`
	Canceled     int    `json:"canceled_job_registry_count"`
	CanceledURL  string `json:"canceled_url"`
	Scheduled    int    `json:"scheduled_job_registry_count"`
	ScheduledURL string `json:"scheduled_url"`
}

type rqQueues struct {
	Queues []rqQueue `json:"queues"`
}

// queues are all of them by name, those that hold nothing too.
func (d *rqDashboard) queues(ctx context.Context) (rqQueues, error) {
	counts, err := d.service.Queues(ctx)
	if err != nil {
		return rqQueues{}, err
	}
	known := counts.Queues
	for _, name := range counts.Idle {
		if !slices.ContainsFunc(known, func(q distro.QueueInfo) bool { return q.Name == name }) {
			known = append(known, distro.QueueInfo{Name: name})
		}
	}
	list := []rqQueue{}
	for _, q := range known {
		address := func(registry distro.Status) string {
			return rqPage{queue: q.Name, registry: registry, perPage: 8, order: "asc", page: 1}.url()
		}
		list = append(list, rqQueue{
			Name: q.Name, Count: q.Jobs[distro.StatusQueued], QueuedURL: address(distro.StatusQueued),
			// RQ keeps stopped jobs among the failed.
			Failed: q.Jobs[distro.StatusFailed] + q.Jobs[distro.StatusStopped], FailedURL: address(distro.StatusFailed),
			Started: q.Jobs[distro.StatusStarted], StartedURL: address(distro.StatusStarted),
			Deferred: q.Jobs[distro.StatusDeferred], DeferredURL: address(distro.StatusDeferred),
			Finished: q.Jobs[distro.StatusFinished], FinishedURL: address(distro.StatusFinished),
			Canceled: q.Jobs[distro.StatusCanceled], CanceledURL: address(distro.StatusCanceled),
			Scheduled: q.Jobs[distro.StatusScheduled], ScheduledURL: address(distro.StatusScheduled),
		})
	}
	slices.SortFunc(list, func(a, b rqQueue) int { return strings.Compare(a.Name, b.Name) })
	return rqQueues{list}, nil
}

// rqRow is an item of a list of jobs.
type rqRow struct {
	ID          string  `json:"id"`
	CreatedAt   *string `json:"created_at"`
	StartedAt   *string `json:"started_at"`
	EndedAt     *string `json:"ended_at"`
	ExcInfo     *string `json:"exc_info"`
	Description *string `json:"description"`
	Gone        bool    `json:"gone,omitempty"` // the list names a job that is not there
}

type rqLink struct {
	URL string `json:"url"`
}

type rqNumbered struct {
	Number int    `json:"number"`
	URL    string `json:"url"`
}

type rqPagination struct {
	CurrentPage   int          `json:"current_page"`
	NumPages      int          `json:"num_pages"`
	PagesInWindow []rqNumbered `json:"pages_in_window"`
	NextPage      *rqLink      `json:"next_page,omitempty"`
	PrevPage      *rqLink      `json:"prev_page,omitempty"`
	FirstPage     rqLink       `json:"first_page"`
	LastPage      rqLink       `json:"last_page"`
}

type rqJobs struct {
	Name         string       `json:"name"`
	RegistryName string       `json:"registry_name"`
	Jobs         []rqRow      `json:"jobs"`
	Pagination   rqPagination `json:"pagination"`
}

// jobs is a page of a list: exactly perPage entries, but on the last one.
func (d *rqDashboard) jobs(ctx context.Context, p rqPage) (rqJobs, error) {
	page, err := d.service.Places(ctx, broker.PlaceQuery{
		Queue: p.queue, Status: p.registry, Backward: p.order == "dsc", Offset: (p.page - 1) * p.perPage, Limit: p.perPage,
	})
	if err != nil {
		return rqJobs{}, err
	}
	rows := make([]rqRow, 0, len(page.Places))
	for i := range page.Places {
		job := &page.Places[i].Job
		rows = append(rows, rqRow{
			ID: job.ID, CreatedAt: isoTime(job.CreatedAt), StartedAt: isoTime(job.StartedAt), EndedAt: isoTime(job.EndedAt),
			ExcInfo: excInfo(job.Result), Description: some(job.Description), Gone: page.Places[i].Gone,
		})
	}
	return rqJobs{Name: p.queue, RegistryName: string(p.registry), Jobs: rows, Pagination: p.pagination(page.Total)}, nil
}

// url is the address of the page where RQ Dashboard shows it.
func (p rqPage) url() string {
	return "/0/view/jobs/" + url.PathEscape(p.queue) + "/" + string(p.registry) + "/" + strconv.Itoa(p.perPage) + "/" + p.order + "/" + strconv.Itoa(p.page)
}

func (p rqPage) at(page int) string {
	p.page = page
	return p.url()
}

// rqWindow is how many pages a page leads to by their number.
const rqWindow = 10

func (p rqPage) pagination(total int) rqPagination {
	last := (total + p.perPage - 1) / p.perPage
	shown := rqPagination{
		CurrentPage: p.page, NumPages: last, PagesInWindow: []rqNumbered{},
		FirstPage: rqLink{p.at(1)}, LastPage: rqLink{p.at(last)},
	}
	first := max(min(last-rqWindow, p.page-1-rqWindow/2), 0) + 1
	for n := first; n <= min(first+rqWindow-1, last); n++ {
		shown.PagesInWindow = append(shown.PagesInWindow, rqNumbered{n, p.at(n)})
	}
	if p.page < last {
		shown.NextPage = &rqLink{p.at(p.page + 1)}
	}
	if p.page > 1 {
		shown.PrevPage = &rqLink{p.at(p.page - 1)}
	}
	return shown
}

// rqJob is job.json.
type rqJob struct {
	ID          string          `json:"id"`
	CreatedAt   *string         `json:"created_at"`
	EnqueuedAt  *string         `json:"enqueued_at"`
	StartedAt   *string         `json:"started_at"`
	EndedAt     *string         `json:"ended_at"`
	Origin      string          `json:"origin"`
	Status      *string         `json:"status"`
	Result      json.RawMessage `json:"result"`
	ExcInfo     *string         `json:"exc_info"`
	Description *string         `json:"description"`
	Metadata    string          `json:"metadata"`

	DependsOn       []string `json:"depends_on,omitempty"`
	DependsOnStatus []string `json:"depends_on_status,omitempty"`
}

func (d *rqDashboard) job(ctx context.Context, id string) (rqJob, error) {
	job, err := d.service.Get(ctx, id)
	if err != nil {
		return rqJob{}, err
	}
	shown := rqJob{
		ID: job.ID, CreatedAt: isoTime(job.CreatedAt), EnqueuedAt: isoTime(job.EnqueuedAt),
		StartedAt: isoTime(job.StartedAt), EndedAt: isoTime(job.EndedAt),
		Origin: job.Queue, Status: some(string(job.Status)), Result: returned(job.Result), ExcInfo: excInfo(job.Result),
		Description: some(describe(&job)), Metadata: metadata(job.Meta), DependsOn: job.DependsOn,
	}
	if len(job.DependsOn) == 0 {
		return shown, nil
	}
	active := map[string]bool{}
	if err := d.service.ReadWhole(ctx, job.DependsOn, func(parent *distro.Job) { active[parent.ID] = true }); err != nil {
		return rqJob{}, err
	}
	for _, parent := range job.DependsOn {
		status := "expired"
		if active[parent] {
			status = "active"
		}
		shown.DependsOnStatus = append(shown.DependsOnStatus, status)
	}
	return shown, nil
}

// rqCurrent is the job that a worker runs.
type rqCurrent struct {
	JobID       string  `json:"job_id"`
	Description *string `json:"description"`
	CreatedAt   *string `json:"created_at"`
	CallString  *string `json:"call_string"`
}

// rqWorker is an item of workers.json.
type rqWorker struct {
	Name             string   `json:"name"`
	PID              *int     `json:"pid"`
	Queues           []string `json:"queues"`
	State            string   `json:"state"`
	CurrentJob       any      `json:"current_job"` // rqCurrent, or "idle"
	LastHeartbeat    *string  `json:"last_heartbeat"`
	BirthDate        *string  `json:"birth_date"`
	Successful       int64    `json:"successful_job_count"`
	Failed           int64    `json:"failed_job_count"`
	TotalWorkingTime float64  `json:"total_working_time"` // seconds
	Version          string   `json:"version"`
	PythonVersion    string   `json:"python_version"`
}

type rqWorkers struct {
	Workers []rqWorker `json:"workers"`
}

// workers are those of RQ and of Distro. A worker of Distro with several slots
// is as many, as RQ sees it; what it counts of all of them is told of the first.
func (d *rqDashboard) workers(ctx context.Context) (rqWorkers, error) {
	counts, err := d.service.Queues(ctx)
	if err != nil {
		return rqWorkers{}, err
	}
	workers, err := d.service.Workers(ctx)
	if err != nil {
		return rqWorkers{}, err
	}
	var ids []string
	for i := range workers {
		ids = append(ids, workers[i].Running...)
	}
	running := map[string]currentJob{}
	if err := d.service.ReadWhole(ctx, ids, func(job *distro.Job) { running[job.ID] = current(job) }); err != nil {
		return rqWorkers{}, err
	}
	list := []rqWorker{}
	for i := range workers {
		list = append(list, slotsOf(&workers[i], running, counts.Suspended)...)
	}
	slices.SortFunc(list, func(a, b rqWorker) int {
		return cmp.Or(strings.Compare(a.State, b.State), slices.Compare(a.Queues, b.Queues), strings.Compare(a.Name, b.Name))
	})
	return rqWorkers{list}, nil
}

// currentJob is a job that runs, and the name of the worker that it gives.
type currentJob struct {
	rqCurrent

	worker string
}

// maxCallString bounds each argument of a call that is shown, in characters.
const maxCallString = 1000

func current(job *distro.Job) currentJob {
	shown := rqCurrent{JobID: job.ID, Description: some(describe(job)), CreatedAt: isoTime(job.CreatedAt)}
	if call := callString(job); call != "" {
		shown.CallString = &call
	}
	return currentJob{shown, job.Worker}
}

// slotsOf shows a worker as RQ does: one for each job that it runs at a time.
func slotsOf(w *distro.Worker, running map[string]currentJob, suspended bool) []rqWorker {
	names := []string{w.Name}
	for n := 2; n <= min(w.Slots, maxSlots); n++ {
		names[0] = w.Name + ".1"
		names = append(names, w.Name+"."+strconv.Itoa(n))
	}
	list := make([]rqWorker, len(names))
	for i, name := range names {
		list[i] = rqWorker{
			Name: name, Queues: slices.Clone(w.Queues), State: "idle", CurrentJob: "idle",
			LastHeartbeat: httpTime(w.SeenAt), BirthDate: httpTime(w.StartedAt), Version: w.Version, PythonVersion: cmp.Or(w.Build, w.Python),
		}
		if list[i].Queues == nil {
			list[i].Queues = []string{}
		}
		if suspended {
			list[i].State = "suspended"
		}
		if w.PID != 0 {
			list[i].PID = &w.PID
		}
	}
	list[0].Successful, list[0].Failed, list[0].TotalWorkingTime = max(w.Finished-w.Failed, 0), w.Failed, w.Worked.Seconds()
	free := slices.Clone(names)
	place := func(job currentJob, at int) {
		list[slices.Index(names, free[at])].State = "busy"
		list[slices.Index(names, free[at])].CurrentJob = job.rqCurrent
		free = slices.Delete(free, at, at+1)
	}
	var others []currentJob // whose slot is not known
	for _, id := range w.Running {
		job, known := running[id]
		at := slices.Index(free, job.worker)
		switch {
		case known && at >= 0:
			place(job, at)
		case known:
			others = append(others, job)
		}
	}
	for _, job := range others[:min(len(others), len(free))] {
		place(job, 0)
	}
	if w.Stock && w.State != "" {
		list[0].State = w.State
	}
	return list
}

// maxSlots bounds what one worker is shown as.
const maxSlots = 1024

// some is nil for an empty text, and readable else.
func some(text string) *string {
	if text == "" {
		return nil
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	return &text
}

// isoTime is a time as Python's isoformat writes it, nil for none.
func isoTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	layout := "2006-01-02T15:04:05.000000+00:00"
	if t.Nanosecond() < int(time.Microsecond) {
		layout = "2006-01-02T15:04:05+00:00"
	}
	return some(t.UTC().Format(layout))
}

// httpTime is a time as HTTP writes it, nil for none.
func httpTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return some(t.UTC().Format(http.TimeFormat))
}

// excInfo is why an attempt failed: its traceback, or a sentence where there is
// none.
func excInfo(r *distro.Result) *string {
	if r == nil || r.Failure == nil {
		return nil
	}
	return some(cmp.Or(r.Failure.Traceback, r.Failure.Message, string(r.Failure.Kind)))
}

// returned is what a job returned: JSON, or a text of what is none.
func returned(r *distro.Result) json.RawMessage {
	switch {
	case r == nil || r.Failure != nil:
		return json.RawMessage("null")
	case r.View.JSON && !r.View.Truncated && json.Valid([]byte(r.View.Text)):
		return json.RawMessage(r.View.Text)
	}
	text, err := json.Marshal(r.View.Text)
	if err != nil || r.View.Text == "" {
		return json.RawMessage("null")
	}
	return text
}

// describe is the call as RQ describes it.
func describe(job *distro.Job) string {
	if job.Description != "" || len(job.Payload.Data) == 0 {
		return cmp.Or(job.Description, job.Function)
	}
	return pickle.Description(job.Function, job.Payload.Data)
}

// maxCall is how long a payload may be that is read for its call.
const maxCall = 1 << 20

// callString is the call with its arguments; empty where the payload is none that
// can be read.
func callString(job *distro.Job) string {
	data := job.Payload.Data
	if len(data) > maxCall {
		return ""
	}
	if job.Payload.Serializer == distro.SerializerJSON {
		if text := pickle.Description(job.Function, data); text != job.Function {
			return text
		}
		return ""
	}
	call, err := pickle.Call(data)
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(call.Describe(maxCallString), "\uFFFD")
}

// maxMetadata bounds what is shown of job.meta, in bytes.
const maxMetadata = 64 << 10

// metadata is job.meta as JSON. What is no plain data is what RQ makes of what it
// cannot load.
func metadata(meta []byte) string {
	if len(meta) == 0 {
		return "{}"
	}
	var compact bytes.Buffer
	if meta[0] == '{' && len(meta) <= maxMetadata && json.Compact(&compact, meta) == nil {
		return compact.String()
	}
	shown := "<undecodable value>"
	if len(meta) <= maxCall {
		if value, err := pickle.Read(meta, pickle.Limits{}); err == nil {
			if text, plain := value.JSON(maxMetadata); plain {
				return string(text)
			}
			shown = value.Repr(maxMetadata)
		}
	}
	text, err := json.Marshal(map[string]string{"unserialized": strings.ToValidUTF8(shown, "\uFFFD")})
	if err != nil {
		panic(fmt.Errorf("encode metadata: %w", err)) // it is a text
	}
	return string(text)
}
