package httpapi

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// description describes a part of an operation.
type description func(huma.Registry, *huma.Operation)

// serverTag is the tag of operations about the server as a whole.
const serverTag = "server"

// tags are the groups of operations, in the order of the documentation.
func tags() []*huma.Tag {
	return []*huma.Tag{
		{Name: "scheduler", Description: "The four requests of the service that Distro replaces, with its fields and messages. A slash at the end changes nothing."},
		{Name: "jobs", Description: "Calls of functions: create, follow, cancel, requeue; and what they print."},
		{Name: "executions", Description: "History: every attempt of every job, for as long as retention says."},
		{Name: "series", Description: "What a chart is drawn from."},
		{Name: "operations", Description: "One action on many jobs, in the background."},
		{Name: "overview", Description: "How things stand, for those who watch."},
		{Name: "events", Description: "What changes, as it changes."},
		{Name: "queues", Description: "Where jobs wait, the highest priority first."},
		{Name: "workers", Description: "Who runs jobs, and where."},
		{Name: "automations", Description: "Modules and functions that can be called, found without running any of them."},
		{Name: serverTag, Description: "The server itself."},
	}
}

// What is told of operations beyond their summaries.
const (
	tellRepeats = "With an `id` the request can be repeated: the same request again changes nothing and is answered with the job as it is now; another request with that `id` is refused with 409."
	tellRerun   = "Without a body the call is that of the job, byte for byte, whatever became of it. Of a job that the queue has forgotten history knows the call, where its arguments are plain data and were short enough to be kept whole."
	tellStream  = "An event `line` has a line of output as its data and the line's number as its id; a comment comes when nothing else came for 15 seconds; an event `end` has the job's status and closes the stream. A client that reconnects with `Last-Event-ID` goes on behind that line."
	tellEvents  = "An event `hello` comes first and names the stream. Then come `jobs`, `overview` and `operations`, as the topics ask for them, and `resync` where what is shown has to be read anew; a comment comes when nothing else came for 15 seconds. A client that reconnects with `Last-Event-ID` goes on where it was."
	tellFile    = "Sent as an attachment whatever it is; only a PNG, JPEG, GIF or WebP picture has a type that a browser shows. Parts can be asked for with `Range`."
	tellWorkers = "Workers of a queue on Redis hear it, RQ's own too; the answer is the worker as it was, and whether it obeys shows later. Jobs that are killed fail, and are tried again if they have retries left."
	tellQueue   = "limits it to one queue; default: all that are configured"
)

func tells(text string) description {
	return func(_ huma.Registry, op *huma.Operation) { op.Description = text }
}

func describeBody[T any](schemas huma.Registry, contentType, description string) *huma.Response {
	return &huma.Response{Description: description, Content: map[string]*huma.MediaType{
		contentType: {Schema: schemas.Schema(reflect.TypeFor[T](), true, "")},
	}}
}

func takes[T any]() description {
	return func(schemas huma.Registry, op *huma.Operation) {
		op.RequestBody = &huma.RequestBody{Required: true, Content: describeBody[T](schemas, "application/json", "").Content}
	}
}

// mayTake is takes for a body that may be left out.
func mayTake[T any]() description {
	return func(schemas huma.Registry, op *huma.Operation) {
		takes[T]()(schemas, op)
		op.RequestBody.Required = false
	}
}

func gives[T any](status int) description {
	return func(schemas huma.Registry, op *huma.Operation) {
		op.Responses[strconv.Itoa(status)] = describeBody[T](schemas, "application/json", http.StatusText(status))
	}
}

// created is gives for what has an address of its own.
func created[T any]() description {
	return func(schemas huma.Registry, op *huma.Operation) {
		gives[T](http.StatusCreated)(schemas, op)
		op.Responses["201"].Headers = location(schemas)
	}
}

// accepts describes the answer of an operation that goes on in the background,
// beside that of a dry run.
func accepts[T any](schemas huma.Registry, op *huma.Operation) {
	gives[T](http.StatusAccepted)(schemas, op)
	op.Responses["202"].Headers = location(schemas)
	op.Responses["200"] = describeBody[T](schemas, "application/json", "Of a dry run")
	op.DefaultStatus = http.StatusAccepted
}

func location(schemas huma.Registry) map[string]*huma.Param {
	return map[string]*huma.Param{"Location": {Description: "its address", Schema: schemas.Schema(reflect.TypeFor[string](), true, "")}}
}

func sends(contentType string) description {
	return func(schemas huma.Registry, op *huma.Operation) {
		op.Responses["200"] = describeBody[string](schemas, contentType, http.StatusText(http.StatusOK))
	}
}

func path(names ...string) description {
	return func(schemas huma.Registry, op *huma.Operation) {
		for _, name := range names {
			op.Parameters = append(op.Parameters, &huma.Param{
				Name: name, In: "path", Required: true, Description: "percent-escaped",
				Schema: schemas.Schema(reflect.TypeFor[string](), true, ""),
			})
		}
	}
}

// resumes describes where a stream may begin.
func resumes(schemas huma.Registry, op *huma.Operation) {
	number := schemas.Schema(reflect.TypeFor[int64](), true, "")
	op.Parameters = append(op.Parameters,
		&huma.Param{Name: "from", In: "query", Description: "number of the first line, from 1", Schema: number},
		&huma.Param{Name: "Last-Event-ID", In: "header", Description: "number of the last line that was received; wins over from", Schema: number})
}

func limitsToQueue(schemas huma.Registry, op *huma.Operation) {
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: "queue", In: "query", Description: tellQueue, Schema: schemas.Schema(reflect.TypeFor[string](), true, ""),
	})
}

// TransformSchema says what the schema of a function is.
func (Function) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	anyObject(s.Properties["schema"])
	return s
}

// TransformSchema describes arguments, and the timeout, which may be a number
// too.
func (NewJob) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	callProperties(s)
	timeoutProperty(s)
	s.Properties["kwargs"].Examples = []any{map[string]any{"month": "2026-10"}}
	return s
}

// TransformSchema is that of a NewJob; members that are unknown are ignored, as
// the original ignored them.
func (NewTask) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	callProperties(s)
	timeoutProperty(s)
	s.AdditionalProperties = nil
	return s
}

// TransformSchema describes arguments.
func (RerunJob) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	callProperties(s)
	return s
}

// TransformSchema describes arguments.
func (Job) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	callProperties(s)
	return s
}

func callProperties(s *huma.Schema) {
	s.Properties["args"].Type, s.Properties["args"].Items = huma.TypeArray, &huma.Schema{}
	anyObject(s.Properties["kwargs"])
}

func anyObject(s *huma.Schema) { s.Type, s.AdditionalProperties = huma.TypeObject, true }

func timeoutProperty(s *huma.Schema) {
	least := 1.0
	timeout := s.Properties["timeout"]
	timeout.Type = ""
	timeout.OneOf = []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeInteger, Minimum: &least, Description: "seconds"}}
}

// conflicts describes the refusal of what the status of a job does not allow.
func conflicts(schemas huma.Registry, op *huma.Operation) {
	op.Responses["409"] = describeBody[Problem](schemas, problemType, http.StatusText(http.StatusConflict))
}

// describeProblems adds the refusals that an operation has for what it takes:
// generators make a type for each status that is named.
func describeProblems(spec *huma.OpenAPI) {
	for _, item := range spec.Paths {
		for _, op := range operationsOf(item) {
			var statuses []int
			if op.Metadata[accessKey] != open {
				statuses = append(statuses, http.StatusUnauthorized)
			}
			if op.Metadata[accessKey] == operate {
				statuses = append(statuses, http.StatusForbidden)
			}
			if strings.Contains(op.Path, "{") {
				statuses = append(statuses, http.StatusNotFound)
			}
			if op.Method == http.MethodPost { // the key may be in use, the id taken, the status another
				statuses = append(statuses, http.StatusConflict)
			}
			if op.RequestBody != nil {
				statuses = append(statuses, http.StatusBadRequest, http.StatusRequestEntityTooLarge)
			}
			if op.RequestBody != nil || slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In != "path" }) {
				statuses = append(statuses, http.StatusUnprocessableEntity)
			}
			for _, status := range statuses {
				op.Responses[strconv.Itoa(status)] = describeBody[Problem](spec.Components.Schemas, problemType, http.StatusText(status))
			}
			op.Responses["default"] = describeBody[Problem](spec.Components.Schemas, problemType, "Error")
		}
	}
}

// loosenAnswers says what holds for answers and not for requests: a list is
// never null, and members may be added later.
func loosenAnswers(spec *huma.OpenAPI) error {
	schemas := spec.Components.Schemas.Map()
	asked, answered := map[string]bool{}, map[string]bool{}
	for _, item := range spec.Paths {
		for _, op := range operationsOf(item) {
			if op.RequestBody != nil {
				for _, media := range op.RequestBody.Content {
					visit(schemas, media.Schema, asked, func(*huma.Schema) {})
				}
			}
		}
	}
	for _, item := range spec.Paths {
		for _, op := range operationsOf(item) {
			for _, response := range op.Responses {
				for _, media := range response.Content {
					visit(schemas, media.Schema, answered, func(s *huma.Schema) {
						s.Nullable = s.Nullable && s.Type != huma.TypeArray
						if s.AdditionalProperties == false {
							s.AdditionalProperties = nil
						}
					})
				}
			}
		}
	}
	for name := range asked {
		if answered[name] {
			return fmt.Errorf("schema %s is of requests and of answers: give each a type of its own", name)
		}
	}
	return nil
}

// operationsOf are the operations of a path that exist.
func operationsOf(item *huma.PathItem) []*huma.Operation {
	var all []*huma.Operation
	for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
		if op != nil {
			all = append(all, op)
		}
	}
	return all
}

// visit calls f for a schema and all below it, each named one once.
func visit(schemas map[string]*huma.Schema, s *huma.Schema, seen map[string]bool, f func(*huma.Schema)) {
	if s == nil {
		return
	}
	if name, ok := strings.CutPrefix(s.Ref, schemaPrefix); ok {
		if !seen[name] {
			seen[name] = true
			visit(schemas, schemas[name], seen, f)
		}
		return
	}
	f(s)
	visit(schemas, s.Items, seen, f)
	for _, p := range s.Properties {
		visit(schemas, p, seen, f)
	}
	for _, one := range s.OneOf {
		visit(schemas, one, seen, f)
	}
	if values, ok := s.AdditionalProperties.(*huma.Schema); ok {
		visit(schemas, values, seen, f)
	}
}

const schemaPrefix = "#/components/schemas/"
