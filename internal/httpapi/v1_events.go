package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service"
)

// EventHello is the data of the first event, "hello", of GET /api/v1/events.
type EventHello struct {
	Stream string `json:"stream" doc:"names the stream where its topics are to be changed"`
}

// EventJobs is the data of an event "jobs".
type EventJobs struct {
	Changes []JobChange `json:"changes" doc:"the newest of each job"`
	More    int         `json:"more,omitempty" doc:"changes that are left out as there are too many"`
}

// JobChange says that a job took a status.
type JobChange struct {
	JobID   string    `json:"job_id"`
	Queue   string    `json:"queue"`
	Status  string    `json:"status,omitempty" doc:"absent: its record was deleted"`
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"`
}

// EventOverview is the data of an event "overview": all of it, whatever changed.
type EventOverview struct {
	Queues    []Queue `json:"queues"`
	Suspended bool    `json:"suspended" doc:"no worker starts a job"`
	Workers   int     `json:"workers"`
	Stock     int     `json:"stock_workers" doc:"of these, those of RQ's own"`
	Slots     int     `json:"slots" doc:"jobs that Distro's workers can run at a time"`
	Running   int     `json:"running" doc:"jobs that workers run now"`
}

// EventTopics is the body of POST /api/v1/events/{stream}.
type EventTopics struct {
	Topics []string `json:"topics" maxItems:"100" doc:"jobs, queue:NAME, job:ID, overview, operations"`
}

// SetTopics answers it.
type SetTopics struct {
	Topics []string `json:"topics"`
}

// streamEvents sends what becomes different: "hello" first, then "jobs",
// "overview" and "operations" as the topics ask for them, "resync" where a client
// has to read anew what it shows, and a comment when there was nothing for a
// while. An id stands at the last event of those that belong together: a client
// that reconnects with it goes on behind them.
func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request) {
	topics := []string{service.TopicOverview}
	if lists := r.URL.Query()["topics"]; len(lists) > 0 {
		topics = strings.Split(strings.Join(lists, ","), ",")
	}
	sub, err := service.Subscribe(topics)
	if err != nil {
		writeProblem(w, s.problem(r.Context(), err, "query"))
		return
	}
	if !s.admit(w) {
		return
	}
	defer s.dismiss()
	name := distro.NewID()
	s.subscriptions.Store(name, sub)
	defer s.subscriptions.Delete(name)

	ctx, release := s.untilClosing(r.Context())
	defer release()
	var out *stream
	var events bytes.Buffer
	after := cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after"))
	err = s.opts.Service.Follow(ctx, sub, after, heartbeat, func(u service.Update) error {
		events.Reset()
		if out == nil {
			out = newEventStream(w)
			writeEvent(&events, "hello", "", EventHello{name})
		}
		writeUpdate(&events, u)
		if r.Method == http.MethodHead {
			return errClient
		}
		if _, err := out.Write(events.Bytes()); err != nil {
			return err
		}
		return out.flush()
	})
	if out == nil {
		writeProblem(w, s.problem(r.Context(), err, "query"))
		return
	}
	s.streamBroke(r.Context(), err)
}

func writeUpdate(to *bytes.Buffer, u service.Update) {
	type event struct {
		name string
		data any
	}
	var list []event
	if u.Resync {
		list = append(list, event{"resync", struct{}{}})
	}
	if u.Current != nil {
		list = append(list, event{"overview", showCurrent(u.Current)})
	}
	if len(u.Operations) > 0 {
		shown := make([]Operation, len(u.Operations))
		for i, o := range u.Operations {
			shown[i] = showOperation(o)
		}
		list = append(list, event{"operations", OperationList{shown}})
	}
	if len(u.Changes) > 0 {
		jobs := EventJobs{Changes: make([]JobChange, len(u.Changes)), More: u.More}
		for i, c := range u.Changes {
			jobs.Changes[i] = JobChange{JobID: c.JobID, Queue: c.Queue, Status: string(c.Status), Attempt: c.Attempt, At: c.At.UTC()}
		}
		list = append(list, event{"jobs", jobs})
	}
	for i, e := range list {
		id := ""
		if i == len(list)-1 {
			id = u.Position
		}
		writeEvent(to, e.name, id, e.data)
	}
	if len(list) > 0 {
		return
	}
	if u.Position != "" { // where a client that saw nothing yet goes on
		to.WriteString("id: " + u.Position + "\n")
	}
	to.WriteString(":\n\n")
}

func showCurrent(c *service.Current) EventOverview {
	shown := EventOverview{
		Queues: make([]Queue, len(c.Queues)), Suspended: c.Suspended, Workers: c.Workers, Stock: c.Stock, Slots: c.Slots, Running: c.Running,
	}
	for i, q := range c.Queues {
		shown.Queues[i] = showQueue(q)
	}
	return shown
}

type setTopicsInput struct {
	Stream string `path:"stream" maxLength:"64"`
	Body   EventTopics
}

type setTopicsOutput struct{ Body SetTopics }

func (s *Server) setTopics(_ context.Context, in *setTopicsInput) (*setTopicsOutput, error) {
	sub, ok := s.subscriptions.Load(in.Stream)
	if !ok {
		return nil, distro.Errorf(distro.CodeNotFound, "there is no stream %.64q: it ended, or another process serves it", in.Stream)
	}
	if err := sub.(*service.Subscription).SetTopics(in.Body.Topics); err != nil {
		return nil, err
	}
	return &setTopicsOutput{SetTopics(in.Body)}, nil
}

// follows describes what a stream of events is about, and where it may go on.
func follows(_ huma.Registry, op *huma.Operation) {
	text := &huma.Schema{Type: huma.TypeString}
	op.Parameters = append(op.Parameters,
		&huma.Param{
			Name: "topics", In: "query", Schema: text, Example: "overview,queue:high",
			Description: "separated by commas: jobs, queue:NAME, job:ID, overview, operations; default: overview",
		},
		&huma.Param{Name: "after", In: "query", Schema: text, Description: "the same as Last-Event-ID, which wins, for a first connection"},
		&huma.Param{Name: "Last-Event-ID", In: "header", Schema: text, Description: "id of the last event that was received"})
}
