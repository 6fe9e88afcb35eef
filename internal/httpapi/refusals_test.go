package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// task is a body of queue-task with one member more, or another value of one
// it has: of two members of one name the last counts.
func task(member string) string {
	return `{"module":"pkg.report","function":"build","queue":"default","args":["10"],` + member + `}`
}

// refusals of both enqueueing endpoints; want is the field named.
func refusals() map[string]struct{ body, want string } {
	return map[string]struct{ body, want string }{
		"empty body":                {"", "body"},
		"blanks":                    {" \n", "body"},
		"not JSON":                  {"module=hello_world", "body"},
		"a list":                    {"[]", "body"},
		"null":                      {"null", "body"},
		"text behind":               {task(`"x":1`) + "x", "body"},
		"cut off":                   {`{"module":"hello_world"`, "body"},
		"invalid UTF-8":             {"{\"module\":\"\xff\"}", "body"},
		"deep JSON":                 {task(`"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000)), "body"},
		"deep argument":             {task(`"args":[` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + "]"), "args"},
		"NaN":                       {task(`"args":[NaN]`), "body"},
		"a number nobody reads":     {task(`"args":[` + strings.Repeat("9", 5000) + "]"), "body"},
		"no module":                 {`{"function":"build","queue":"default"}`, "module"},
		"no function":               {`{"module":"pkg.report","queue":"default"}`, "function"},
		"no queue":                  {`{"module":"pkg.report","function":"build"}`, "queue"},
		"nothing":                   {`{}`, "module"},
		"null module":               {task(`"module":null`), "module"},
		"empty module":              {task(`"module":""`), "module"},
		"module is a number":        {task(`"module":5`), "module"},
		"module is a list":          {task(`"module":["pkg.report"]`), "module"},
		"function is an object":     {task(`"function":{}`), "function"},
		"queue is a boolean":        {task(`"queue":true`), "queue"},
		"module os":                 {task(`"module":"os","function":"system"`), "module"},
		"module outside":            {task(`"module":"../x"`), "module"},
		"module with a slash":       {task(`"module":"a/b"`), "module"},
		"module __init__":           {task(`"module":"__init__"`), "module"},
		"module with a null":        {task(`"module":"hello_world\u0000"`), "module"},
		"module with dots":          {task(`"module":"..pkg"`), "module"},
		"a long module":             {task(`"module":"` + strings.Repeat("a", 600) + `"`), "module"},
		"unknown module":            {task(`"module":"nothing"`), "module"},
		"module of the library":     {task(`"module":"json","function":"loads"`), "module"},
		"module with syntax error":  {task(`"module":"broken"`), "module"},
		"unknown function":          {task(`"function":"nothing"`), "function"},
		"function of another":       {task(`"module":"hello_world","function":"os.system"`), "function"},
		"imported name":             {task(`"module":"hello_world","function":"os"`), "function"},
		"function with a call":      {task(`"function":"build()"`), "function"},
		"unknown queue":             {task(`"queue":"defualt"`), "queue"},
		"args is an object":         {task(`"args":{}`), "args"},
		"kwargs is a list":          {task(`"kwargs":[]`), "kwargs"},
		"missing argument":          {task(`"args":[]`), "kwargs.month"},
		"one argument too many":     {task(`"args":["1","2"]`), "args"},
		"unknown keyword":           {task(`"kwargs":{"mont":1}`), "kwargs.mont"},
		"argument twice":            {task(`"kwargs":{"month":1}`), "kwargs.month"},
		"job_id is a number":        {task(`"job_id":1`), "job_id"},
		"job_id is empty":           {task(`"job_id":""`), "job_id"},
		"job_id with a slash":       {task(`"job_id":"a/b"`), "job_id"},
		"a long job_id":             {task(`"job_id":"` + strings.Repeat("a", 129) + `"`), "job_id"},
		"timeout zero":              {task(`"timeout":0`), "timeout"},
		"timeout negative":          {task(`"timeout":-1`), "timeout"},
		"timeout is a boolean":      {task(`"timeout":true`), "timeout"},
		"timeout is a fraction":     {task(`"timeout":1.5`), "timeout"},
		"timeout is no time":        {task(`"timeout":"soon"`), "timeout"},
		"timeout is a list":         {task(`"timeout":[1]`), "timeout"},
		"a keyword without a name":  {task(`"kwargs":{"":1}`), `kwargs.""`},
		"too many keywords":         {task(`"kwargs":{` + strings.Repeat(`"month":1,`, 10_000) + `"month":1}`), "kwargs"},
		"too many members":          {task(strings.Repeat(`"module":"x",`, 120) + `"module":"x"`), "body"},
		"retries negative":          {task(`"retries":-1`), "retries"},
		"retries above 100":         {task(`"retries":101`), "retries"},
		"retries is a text":         {task(`"retries":"1"`), "retries"},
		"retries beyond any number": {task(`"retries":99999999999999999999`), "retries"},
	}
}

func delayRefusals() map[string]struct{ body, want string } {
	return map[string]struct{ body, want string }{
		"negative seconds":     {task(`"seconds":-1`), "seconds"},
		"negative huge":        {task(`"seconds":-99999999999999999999`), "seconds"},
		"minutes is a float":   {task(`"minutes":1.0`), "minutes"},
		"minutes is a power":   {task(`"minutes":1e3`), "minutes"},
		"hours is a boolean":   {task(`"hours":true`), "hours"},
		"hours is a text":      {task(`"hours":"2"`), "hours"},
		"hours beyond":         {task(`"hours":87601`), "hours"},
		"seconds beyond int64": {task(`"seconds":9223372036854775808`), "seconds"},
		"minutes at int64":     {task(`"minutes":9223372036854775807`), "minutes"},
		"too long in total":    {task(`"hours":87600,"seconds":1`), "hours"},
	}
}

func TestWrongTasksAreRefusedWithTheFieldNamedAndNothingIsEnqueued(t *testing.T) {
	t.Parallel()
	b := setup(t)
	check := func(path, name, body, field string) {
		w := b.do("POST", path, body)
		var p httpapi.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Errorf("%s: %s: %v in %s", path, name, err, w.Body)
		}
		located := len(p.Errors) > 0 && (p.Errors[0].Location == "body."+field || p.Errors[0].Location == field)
		if w.Code < 400 || w.Code > 499 || w.Code != p.Status || p.Code != "invalid" || p.Field != field || !located {
			t.Errorf("%s: %s: %d %s; want field %q", path, name, w.Code, w.Body, field)
		}
		if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s: %s: Content-Type %q", path, name, got)
		}
	}
	for name, tt := range refusals() {
		check("/scheduler/queue-task", name, tt.body, tt.want)
		check("/scheduler/schedule-task/", name, tt.body, tt.want)
	}
	for name, tt := range delayRefusals() {
		check("/scheduler/schedule-task", name, tt.body, tt.want)
	}
	check("/scheduler/queue-task", "very deep JSON", strings.Repeat(`{"x":[`, 150_000), "body")
	if n := len(b.jobs()); n != 0 {
		t.Errorf("%d jobs were enqueued", n)
	}
	if w := b.do("POST", "/scheduler/queue-task", task(`"queue":"low"`)); w.Code != http.StatusCreated {
		t.Errorf("the right one: %d %s", w.Code, w.Body)
	}
}

func TestEveryMissingFieldIsNamed(t *testing.T) {
	t.Parallel()
	p := ask[httpapi.Problem](setup(t), http.StatusUnprocessableEntity, "POST", "/scheduler/queue-task", `{"queue":7}`)
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Location)
	}
	if want := "body.queue body.module body.function"; strings.Join(got, " ") != want {
		t.Errorf("%v; want %s", got, want)
	}
}

func TestABodyOverTheLimitIsRefusedUnread(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *httpapi.Options) { o.MaxBody = 1000 })
	body := task(`"args":["` + strings.Repeat("x", 2000) + `"]`)
	for name, length := range map[string]int64{"announced": int64(len(body)), "chunked": -1} {
		for _, path := range []string{"/scheduler/queue-task", "/api/v1/jobs", "/api/v1/jobs/batch"} {
			r := httptest.NewRequestWithContext(t.Context(), "POST", path, bytes.NewBufferString(body))
			r.Host, r.ContentLength = "localhost", length
			w := httptest.NewRecorder()
			b.api.ServeHTTP(w, r)
			if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), `"too_large","field":"body"`) {
				t.Errorf("%s to %s: %d %s", name, path, w.Code, w.Body)
			}
		}
	}
	if n := len(b.jobs()); n != 0 {
		t.Errorf("%d jobs were enqueued", n)
	}
}

func TestWrongAddressesAndMethodsAreProblems(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""}, {"GET", "/nothing", 404, ""}, {"GET", "/api/v1/", 404, ""}, {"GET", "/docs/", 404, ""},
		{"GET", "/scheduler/queue-task", 405, "POST"}, {"PUT", "/scheduler/modules/", 405, "GET, HEAD"},
		{"HEAD", "/scheduler/clean-queue", 405, "DELETE, GET, POST"}, {"PATCH", "/scheduler/clean-queue", 405, "DELETE, GET, POST"},
		{"DELETE", "/api/v1/jobs", 405, "GET, HEAD, POST"}, {"POST", "/api/v1/jobs/x", 405, "DELETE, GET, HEAD"},
		{"GET", "/api/v1/jobs/x/stop", 405, "POST"}, {"OPTIONS", "/scheduler/queue-task", 405, "POST"},
		{"GET", "//nothing", 404, ""}, {"GET", "/../etc/passwd", 404, ""}, {"GET", "/%2e%2e/etc/passwd", 404, ""},
		{"GET", "/scheduler/clean-queue?queu=low", 422, ""}, {"DELETE", "/scheduler/clean-queue/?QUEUE=low", 422, ""}, {"POST", "/scheduler/clean-queue?queue=low&x", 422, ""},
		{"GET", "/scheduler/clean-queue?queue=other", 422, ""}, {"GET", "/scheduler/clean-queue?queue=", 422, ""},
		{"GET", "/scheduler/clean-queue?queue=low&queue=high", 422, ""}, {"GET", "/scheduler/clean-queue?queue=%zz", 422, ""},
	} {
		w := b.do(tt.method, tt.path, "")
		if w.Code != tt.status || w.Header().Get("Allow") != tt.allow || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d, Allow %q, %s; want %d, %q", tt.method, tt.path, w.Code, w.Header().Get("Allow"), w.Body, tt.status, tt.allow)
		}
	}
}

func TestABodyIsJSONWhateverCurlCallsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const form, text = "application/x-www-form-urlencoded", "text/csv"
	ask[httpapi.Operation](b, http.StatusOK, "POST", "/api/v1/operations", `{"action":"requeue","status":"failed","dry_run":true}`, "Content-Type", form)
	p := ask[httpapi.Problem](b, http.StatusUnsupportedMediaType, "POST", "/api/v1/operations", "a;b", "Content-Type", text)
	if p.Field != "body" || p.Detail != "body: unknown content type: "+text {
		t.Errorf("%+v", p)
	}
}
