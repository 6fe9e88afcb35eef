package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/guard"
)

// access is who may use a route. It has no default: a route that declares none
// cannot be registered, and what is not registered needs the token.
type access string

const (
	open    access = "open"    // everybody who reaches the listener
	read    access = "read"    // readers: it changes nothing but what the reader sees
	operate access = "operate" // operators
)

// needs is the role that a route asks for. What is no route is told to those
// only who may read.
func (a access) needs() guard.Role {
	switch a {
	case open:
		return guard.None
	case operate:
		return guard.Operator
	default:
		return guard.Reader
	}
}

// Route is one registered route.
type Route struct {
	Method, Path string
	Open         bool // needs no token
	Reader       bool // a token that may only read is enough
}

// Routes lists every registered route.
func (s *Server) Routes() []Route { return slices.Clone(s.routes) }

// route is a row of the table.
type route struct {
	method string
	path   string
	access access
	mount  func(*registrar, route)
}

// table is every route of the API.
func (s *Server) table() []route {
	return []route{
		{"GET", "/scheduler/modules", read, twice("List modules", s.modules, gives[[]ModuleItem](http.StatusOK))},
		{"POST", "/scheduler/queue-task", operate, twice("Queue a task", s.queueTask, takes[NewTask](), created[TaskReply]())},
		{"POST", "/scheduler/schedule-task", operate, twice("Queue a task later", s.scheduleTask, takes[NewScheduledTask](), created[TaskReply]())},
		{"GET", cleanPath, operate, twice("Delete what waits in the queues", s.cleanQueueByGet, limitsToQueue, gives[CleanReply](http.StatusOK))},
		{"POST", cleanPath, operate, twice("Delete what waits in the queues", s.cleanQueue, limitsToQueue, gives[CleanReply](http.StatusOK))},
		{"DELETE", cleanPath, operate, twice("Delete what waits in the queues", s.cleanQueue, limitsToQueue, gives[CleanReply](http.StatusOK))},

		{"GET", "/api/v1/overview", read, typed("Get how things stand", s.overview)},
		{"GET", "/api/v1/events", read, raw("Follow what changes as server-sent events", s.streamEvents, follows, sends("text/event-stream"), tells(tellEvents))},
		{"POST", "/api/v1/events/{stream}", read, typed("Change the topics of a stream of events", s.setTopics)},

		{"POST", "/api/v1/jobs", operate, raw("Create a job", s.createJob, takes[NewJob](), created[Job](), tells(tellRepeats))},
		{"POST", "/api/v1/jobs/batch", operate, raw("Create many jobs, all or none", s.createJobs, takes[BatchRequest](), gives[BatchReply](http.StatusCreated))},
		{"GET", "/api/v1/jobs", read, typed("List jobs, newest first", s.listJobs)},
		{"GET", "/api/v1/jobs/count", read, typed("Count jobs", s.countJobs)},
		{"GET", "/api/v1/jobs/{id}", read, typed("Get a job, or wait for its end", s.getJob)},
		{"DELETE", "/api/v1/jobs/{id}", operate, typed("Delete a job with its output", s.deleteJob, conflicts)},
		{"POST", "/api/v1/jobs/{id}/cancel", operate, typed("Cancel a job that waits", s.cancelJob)},
		{"POST", "/api/v1/jobs/{id}/stop", operate, typed("Stop a job that runs", s.stopJob)},
		{"POST", "/api/v1/jobs/{id}/requeue", operate, typed("Queue a job again that ended", s.requeueJob)},
		{"POST", "/api/v1/jobs/{id}/rerun", operate, raw("Make a new job after a job", s.rerunJob, path("id"), mayTake[RerunJob](), created[Job](), tells(tellRerun))},
		{"POST", "/api/v1/jobs/{id}/run-first", operate, typed("Move a job to the front of its queue", s.runFirstJob)},
		{"GET", "/api/v1/jobs/{id}/log", read, typed("Read a range of a job's output", s.readLog)},
		{"GET", "/api/v1/jobs/{id}/log/stream", read, raw("Follow a job's output as server-sent events", s.streamLog, path("id"), resumes, sends("text/event-stream"), tells(tellStream))},
		{"GET", "/api/v1/jobs/{id}/log.txt", read, raw("Get all of a job's output", s.textLog, path("id"), sends("text/plain"))},

		{"GET", "/api/v1/jobs/{id}/attempts", read, typed("List the attempts of a job, the oldest first", s.listAttempts)},

		{"GET", "/api/v1/jobs/{id}/artifacts", read, typed("List the files that a job left", s.listArtifacts)},
		{"GET", "/api/v1/jobs/{id}/artifacts/{name...}", read, raw("Get a file that a job left", s.getArtifact, path("id", "name"), sends(plainFile), tells(tellFile))},

		{"GET", "/api/v1/executions", read, typed("Search what ran, the newest first", s.listExecutions)},
		{"GET", "/api/v1/executions/count", read, typed("Count what ran", s.countExecutions)},
		{"GET", "/api/v1/series", read, typed("Get counts and times of what ran, for charts", s.listSeries)},

		{"POST", operationsPath, operate, typed("Requeue, cancel or delete many jobs", s.createOperation, accepts[Operation])},
		{"GET", "/api/v1/operations", read, typed("List operations, the newest first", s.listOperations)},
		{"GET", "/api/v1/operations/{id}", read, typed("Get an operation and its progress", s.getOperation)},
		{"POST", "/api/v1/operations/{id}/cancel", operate, typed("Cancel an operation; what is done stays done", s.cancelOperation)},

		{"GET", "/api/v1/queues", read, typed("List queues", s.listQueues)},
		{"GET", "/api/v1/queues/{queue}", read, typed("Get a queue", s.getQueue)},
		{"POST", "/api/v1/queues/{queue}/pause", operate, typed("Pause a queue", s.pauseQueue)},
		{"POST", "/api/v1/queues/{queue}/resume", operate, typed("Let a queue go on", s.resumeQueue)},
		{"POST", "/api/v1/queues/{queue}/empty", operate, typed("Delete what waits in a queue", s.emptyQueue, unhurried)},

		{"GET", "/api/v1/workers", read, typed("List workers", s.listWorkers)},
		{"POST", "/api/v1/workers/suspend", operate, typed("Suspend all workers", s.suspendWorkers)},
		{"POST", "/api/v1/workers/resume", operate, typed("Let all workers go on", s.resumeWorkers)},
		{"POST", "/api/v1/workers/{worker}/stop", operate, typed("Let a worker end after the jobs it runs", s.stopWorker, tells(tellWorkers))},
		{"POST", "/api/v1/workers/{worker}/kill-horse", operate, typed("Kill the jobs that a worker runs", s.killHorse, tells(tellWorkers))},

		{"GET", "/api/v1/automations", read, typed("List modules with their functions", s.listAutomations)},
		{"GET", "/api/v1/automations/{module}", read, typed("Get a module with its functions", s.getAutomation)},
		{"GET", "/api/v1/automations/{module}/source", read, typed("Get the source text of a module", s.getSource)},
		{"GET", "/api/v1/automations/{module}/{function}", read, typed("Get a function", s.getFunction)},
		{"POST", "/api/v1/automations/{module}/{function}/options/{parameter}", operate, typed("Get the options that a module offers for a parameter", s.parameterOptions, tells(tellOptions))},
		{"GET", "/api/v1/automations/{module}/{function}/presets", read, typed("List the presets of a function", s.listPresets)},
		{"GET", presetPath, read, typed("Get a preset", s.getPreset)},
		{"PUT", presetPath, operate, typed("Save a preset, or replace it", s.savePreset, saves[Preset], tells(tellPresets))},
		{"DELETE", presetPath, operate, typed("Delete a preset", s.deletePreset)},

		{"GET", "/healthz", open, raw("Ask whether the server lives", s.health, gives[Health](http.StatusOK))},
		{"GET", "/readyz", open, raw("Ask whether the server takes work", s.ready, gives[Health](http.StatusOK))},
		{"GET", "/metrics", read, raw("Get metrics for Prometheus", s.opts.Metrics.ServeHTTP, sends("text/plain"))},
		{"GET", "/openapi.json", read, plain(s.openAPI)},
		{"GET", "/docs", read, plain(s.showDocs)},
	}
}

// register puts the table on the mux and describes it.
func (s *Server) register() error {
	reg := &registrar{server: s}
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Distro", Version: s.opts.Version,
				Description: "Errors are application/problem+json with a code for programs. Cursors are opaque.",
				License:     &huma.License{Name: "MIT", Identifier: "MIT"},
			},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}},
			},
			Security: []map[string][]string{{"token": {}}},
			Tags:     tags(),
		},
		// Every body is JSON, also where curl -d calls it something else.
		Formats: map[string]huma.Format{
			"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat, "application/x-www-form-urlencoded": huma.DefaultJSONFormat,
		},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{asProblem},
	}
	config.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[Problem]())
	reg.api = huma.NewAPI(config, reg)
	for _, r := range s.table() {
		r.mount(reg, r)
	}
	if len(reg.faults) > 0 {
		return errors.Join(reg.faults...)
	}
	s.description = reg.api.OpenAPI()
	describeProblems(s.description)
	if err := loosenAnswers(s.description); err != nil {
		return err
	}
	spec, err := json.Marshal(s.description)
	if err != nil {
		return fmt.Errorf("encode OpenAPI description: %w", err)
	}
	s.spec = spec
	return nil
}

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(s.spec)
}

// registrar is the one way to the mux, and the adapter of huma.
type registrar struct {
	server *Server
	api    huma.API
	faults []error
}

func (g *registrar) handle(r route, handler http.HandlerFunc) {
	if r.access != open && r.access != read && r.access != operate {
		g.faults = append(g.faults, fmt.Errorf("%s %s declares no access", r.method, r.path))
		return
	}
	if r.method == http.MethodPost {
		handler = g.server.once(handler, r.creates())
	}
	pattern := r.method + " " + r.path
	g.server.mux.HandleFunc(pattern, handler)
	g.server.access[pattern] = r.access
	g.server.routes = append(g.server.routes, Route{r.method, strings.TrimSuffix(r.described(), "{$}"), r.access == open, r.access == read})
}

const accessKey = "access"

// Handle registers an operation for huma.
func (g *registrar) Handle(op *huma.Operation, handler func(huma.Context)) {
	declared, _ := op.Metadata[accessKey].(access)
	serve := func(w http.ResponseWriter, r *http.Request) { handler(humago.NewContext(op, r, w)) }
	if op.Method == http.MethodGet {
		serve = tagged(serve)
	}
	g.handle(route{method: op.Method, path: op.Path, access: declared}, serve)
}

// ServeHTTP completes huma.Adapter.
func (g *registrar) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.server.mux.ServeHTTP(w, r) }

// plain mounts a handler that the OpenAPI description leaves out.
func plain(handler http.HandlerFunc) func(*registrar, route) {
	return func(g *registrar, r route) { g.handle(r, handler) }
}

// twice is raw, with and without a slash at the end, as the original answered.
func twice(summary string, handler http.HandlerFunc, describe ...description) func(*registrar, route) {
	return func(g *registrar, r route) {
		raw(summary, handler, describe...)(g, r)
		r.path += "/{$}"
		g.handle(r, handler)
	}
}

// typed mounts a function from a typed request to a typed answer.
func typed[I, O any](
	summary string, handler func(context.Context, *I) (*O, error), describe ...description,
) func(*registrar, route) {
	return func(g *registrar, r route) {
		op := r.operation(summary)
		op.Responses = map[string]*huma.Response{}
		for _, part := range describe {
			part(g.api.OpenAPI().Components.Schemas, &op)
		}
		huma.Register(g.api, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := handler(ctx, in)
			if err != nil {
				return nil, g.server.problem(ctx, err, r.part(err))
			}
			return out, nil
		})
	}
}

// part is where the field of an error stands in a request without a body.
func (r route) part(err error) string {
	if e, ok := errors.AsType[*distro.Error](err); ok && e.Field != "" && strings.Contains(r.path, "{"+e.Field+"}") {
		return "path"
	}
	if r.method == http.MethodPost && r.path == operationsPath || r.method == http.MethodPut {
		return "body"
	}
	return "query"
}

// described is the path as a description writes it: it knows no wildcard that
// takes slashes.
func (r route) described() string { return strings.Replace(r.path, "...}", "}", 1) }

// creates reports whether a request makes jobs whose IDs come of its
// idempotency key.
func (r route) creates() bool {
	switch strings.TrimSuffix(r.path, "/{$}") {
	case "/api/v1/jobs", "/api/v1/jobs/batch", "/api/v1/jobs/{id}/rerun", "/scheduler/queue-task", "/scheduler/schedule-task":
		return true
	}
	return false
}

// unhurried lets an operation take its time.
func unhurried(_ huma.Registry, op *huma.Operation) {
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		_, w := humago.Unwrap(ctx)
		liftDeadlines(w)
		next(ctx)
	})
}

// liftDeadlines takes the server's deadlines from an answer, where its writer
// has any.
func liftDeadlines(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	_, _ = control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})
}

// raw mounts a handler that reads its request and writes its answer itself,
// and is described by hand.
func raw(summary string, handler http.HandlerFunc, describe ...description) func(*registrar, route) {
	return func(g *registrar, r route) {
		op := r.operation(summary)
		op.Responses = map[string]*huma.Response{}
		for _, part := range describe {
			part(g.api.OpenAPI().Components.Schemas, &op)
		}
		g.api.OpenAPI().AddOperation(&op)
		g.handle(r, handler)
	}
}

func (r route) operation(summary string) huma.Operation {
	name := strings.TrimPrefix(strings.TrimPrefix(r.described(), "/api/v1"), "/")
	tag, _, _ := strings.Cut(name, "/")
	if !slices.ContainsFunc(tags(), func(t *huma.Tag) bool { return t.Name == tag }) {
		tag = serverTag
	}
	var parameters []*huma.Param
	if r.method == http.MethodPost {
		parameters = append(parameters, keyParameter())
	}
	op := huma.Operation{
		Parameters:  parameters,
		OperationID: strings.ToLower(r.method) + "-" + strings.NewReplacer("/", "-", "{", "", "}", "", ".", "-").Replace(name),
		Method:      r.method,
		Path:        r.described(),
		Summary:     summary,
		Tags:        []string{tag},
		Metadata:    map[string]any{accessKey: r.access},
	}
	if r.access == open {
		op.Security = []map[string][]string{{}} // of the kinds of access, none
	}
	return op
}
