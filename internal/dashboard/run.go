package dashboard

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// runForm is the form that runs a function.
type runForm struct {
	Fields   []fieldView
	Problems []formProblem // all of them, for the head of the form
	Refused  *formProblem  // about no field
	Files    bool          // it takes some
	Options  []fieldView
	Opened   bool // the options are shown
	ID       string
	From     string // the job whose arguments stand in the form
	Lost     bool   // they are not known
	Partly   bool   // some of them have no place here
	Ran      string // the job that the form made last
}

type formProblem struct {
	ID, Name, Text string
	English        bool
}

// prefillNotice says where what stands in a form comes from.
type prefillNotice struct {
	from         string
	lost, partly bool
}

// The names of the options of a form.
const (
	optionQueue   = "opt.queue"
	optionAt      = "opt.at"
	optionDelay   = "opt.delay"
	optionTimeout = "opt.timeout"
	optionRetries = "opt.retries"
	optionPlain   = "opt.plain" // arguments stay what JSON has
	optionID      = "opt.id"
)

// blank are the answers of a form that nobody filled in: the options that the
// address names.
func (r *request) blank() url.Values {
	values := url.Values{}
	for _, name := range []string{optionQueue, optionAt, optionDelay, optionTimeout, optionRetries, optionPlain} {
		if v := r.query(name); v != "" {
			values.Set(name, v)
		}
	}
	return values
}

// prefill enters the arguments of an earlier job, and what the address says.
// What is masked is never taken from an address: these are kept in many places.
func (s *Server) prefill(r *request, t *target, fm *form, a *answers) (prefillNotice, error) {
	notice := prefillNotice{from: r.query("from")}
	if notice.from != "" {
		k, err := s.look(r, notice.from)
		if err != nil && distro.ErrorCode(err) != distro.CodeNotFound {
			return notice, err
		}
		call := callOf(&k, t)
		notice.lost = err != nil || call.Args == nil
		if !notice.lost {
			notice.partly = !fm.enter(a, call.Args, call.Kwargs) || call.Partly
			if !call.Typed {
				a.values.Set(optionPlain, "true")
			}
			if k.kept && slices.Contains(s.opts.Service.QueueNames(), k.job.Queue) {
				a.values.Set(optionQueue, k.job.Queue)
			}
		}
	}
	fm.asked(a, r.URL.Query())
	return notice, nil
}

// asked enters what an address says.
func (fm *form) asked(a *answers, asked url.Values) {
	for i := range fm.fields {
		f := &fm.fields[i]
		if f.control == controlSecret {
			continue
		}
		var names []string
		for name := range asked {
			if inField(name, f.path) {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			a.clear(f.path)
		}
		for _, name := range names {
			a.values[name] = asked[name]
		}
	}
}

// inField reports whether a control belongs to the field at a path.
func inField(name, path string) bool {
	for _, mark := range []string{"", nullMark, countMark, keyMark} {
		if rest, ok := strings.CutPrefix(name, mark); ok && (rest == path || strings.HasPrefix(rest, path+".")) {
			return true
		}
	}
	return false
}

// callOf are the arguments of a job as far as they are known.
func callOf(k *known, t *target) service.Recalled {
	if k.kept {
		return service.Recall(t.module, t.function, k.job.Payload)
	}
	if last := k.last(); last != nil {
		return service.RecallText(t.module, t.function, last.Arguments)
	}
	return service.Recalled{}
}

// enter puts the arguments of a call into the form, and reports whether all of
// them have a place there.
func (fm *form) enter(a *answers, args, kwargs []byte) bool {
	var list [][]byte
	for element := range jsonscan.Elements(args) {
		list = append(list, element)
	}
	named, extra := map[string]*field{}, (*field)(nil)
	for i := range fm.fields {
		f := &fm.fields[i]
		switch f.kind {
		case distro.PositionalOnly, distro.PositionalOrKeyword:
			if f.kind == distro.PositionalOrKeyword {
				named[f.name] = f
			}
			if len(list) > 0 {
				a.put(f, list[0])
				list = list[1:]
			}
		case distro.VarPositional:
			if len(list) > 0 {
				a.put(f, joined('[', list, ']'))
				list = nil
			}
		case distro.KeywordOnly:
			named[f.name] = f
		case distro.VarKeyword:
			extra = f
		}
	}
	complete := len(list) == 0
	var others [][]byte
	for name, value := range jsonscan.Members(kwargs) {
		switch {
		case named[name] != nil:
			a.put(named[name], value)
		case extra != nil:
			others = append(others, memberOf(name, value))
		default:
			complete = false
		}
	}
	if len(others) > 0 {
		a.put(extra, joined('{', others, '}'))
	}
	return complete
}

// find is the field at a path; nil: there is none.
func (fm *form) find(path string) *field {
	for i := range fm.fields {
		if f := fm.fields[i].find(path); f != nil {
			return f
		}
	}
	return nil
}

func (f *field) find(path string) *field {
	if f.path == path {
		return f
	}
	rest, ok := strings.CutPrefix(path, f.path+".")
	if !ok {
		return nil
	}
	if f.control == controlRows {
		number, _, _ := strings.Cut(rest, ".")
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= maxRows {
			return nil
		}
		return f.rowField(i).find(path)
	}
	for i := range f.fields {
		if inner := f.fields[i].find(path); inner != nil {
			return inner
		}
	}
	return nil
}

// runAutomation does what a button of the form asks for: makes the job, or
// shows the form with a row more or less.
func (s *Server) runAutomation(r *request) error {
	if err := r.operator(); err != nil {
		return err
	}
	t, err := s.target(r)
	if err != nil {
		return err
	}
	view := r.viewAutomation(&t, "run")
	if view.Refused != "" {
		return s.showAutomation(r, http.StatusConflict, &t, &view)
	}
	fm, err := s.formOf(&t)
	if err != nil {
		return err
	}
	a, err := s.receive(r, fm)
	if err != nil {
		return err
	}
	if reshapes(r.PostForm) {
		a.hold()
		fm.reshape(a, r.PostForm)
		a.files = map[string]filed{} // rows may have moved
		if err := s.refer(r, fm, a); err != nil {
			return err
		}
		a.hold()
		view.Form = s.viewRun(r, fm, a, prefillNotice{})
		return s.showAutomation(r, http.StatusOK, &t, &view)
	}
	job, refused, err := s.enqueue(r, &t, fm, a)
	if err != nil {
		return err
	}
	if refused != nil || len(a.problems) > 0 {
		a.hold()
		view.Form = s.viewRun(r, fm, a, prefillNotice{})
		view.Form.Refused = refused
		return s.showAutomation(r, http.StatusUnprocessableEntity, &t, &view)
	}
	if r.PostForm.Get("do") == "run" {
		return r.seeOther(query(t.url(), "from", job.ID, "ran", job.ID))
	}
	return r.seeOther("/jobs/" + url.PathEscape(job.ID))
}

// reshapes reports whether a button asks for a form that is shaped otherwise.
func reshapes(posted url.Values) bool {
	return slices.ContainsFunc([]string{"add", "drop", "as-json", "as-form"}, func(name string) bool { return posted.Get(name) != "" })
}

// reshape changes the form as a button asks for.
func (fm *form) reshape(a *answers, posted url.Values) {
	switch {
	case posted.Get("add") != "":
		if f := fm.find(posted.Get("add")); f != nil && f.control == controlRows {
			a.addRow(f)
		}
	case posted.Get("drop") != "":
		path := posted.Get("drop")
		at := strings.LastIndexByte(path, '.')
		if i, err := strconv.Atoi(path[at+1:]); err == nil && at > 0 {
			a.dropRow(path[:at], i)
		}
	case posted.Get("as-json") != "":
		if f := fm.find(posted.Get("as-json")); f != nil {
			a.asJSON(f)
		}
	case posted.Get("as-form") != "":
		if f := fm.find(posted.Get("as-form")); f != nil {
			a.asForm(f)
		}
	}
}

// asJSON changes a field to one that takes JSON. What is wrong in it has to be
// corrected first.
func (a *answers) asJSON(f *field) {
	value, _ := a.read(f)
	if len(a.problems) > onlyMissing(a) {
		return
	}
	a.problems = map[string]*problem{}
	a.clear(f.path)
	a.setRaw(f.path, true)
	a.values.Set(f.path, prettyJSON(value))
}

// asForm changes a field that takes JSON to its own control.
func (a *answers) asForm(f *field) {
	value, given := a.read(f)
	switch {
	case given:
		a.put(f, value)
	case strings.TrimSpace(a.values.Get(f.path)) == "":
		a.problems = map[string]*problem{}
		a.put(f, nil)
	}
}

// onlyMissing counts the problems of fields that nobody filled in yet.
func onlyMissing(a *answers) int {
	n := 0
	for _, p := range a.problems {
		if p.key == "form.problem.required" {
			n++
		}
	}
	return n
}

// sameFor is how long a form that is sent again makes the same job: the button
// was pressed twice.
const sameFor = 10 * time.Second

// enqueue makes the job that a form asks for. What is wrong with it is noted at
// its field, or returned where it is about none; then there is no job.
func (s *Server) enqueue(r *request, t *target, fm *form, a *answers) (distro.Job, *formProblem, error) {
	req := service.Request{Module: t.module.Name, Function: t.function.Name, Trigger: distro.TriggerAPI, Caller: r.caller()}
	req.Typed = !a.on(optionPlain)
	req.Args, req.Kwargs = fm.arguments(a)
	a.options(&req)
	if len(a.problems) > 0 {
		return distro.Job{}, nil, nil
	}
	if req.Delay > 0 || !req.At.IsZero() {
		req.Trigger = distro.TriggerSchedule
	}
	if req.ID = a.values.Get(optionID); !distro.ValidID(req.ID) {
		req.ID = distro.NewID()
	}
	before, err := s.opts.Service.Get(r.Context(), req.ID)
	if err == nil && !r.lately(before.CreatedAt, sameFor) {
		req.ID = distro.NewID() // a page that was kept open makes another job
	}
	job, err := s.opts.Service.Enqueue(r.Context(), req)
	if distro.ErrorCode(err) == distro.CodeConflict {
		req.ID = distro.NewID() // as does one that was changed
		job, err = s.opts.Service.Enqueue(r.Context(), req)
	}
	e, ok := errors.AsType[*distro.Error](err)
	if !ok || e.Code != distro.CodeInvalid {
		return job, nil, err
	}
	p := &problem{said: e.Message}
	switch path, within := fm.refused(e.Field); {
	case path != "":
		if within != "" {
			p.said = within + ": " + e.Message
		}
		a.refuse(path, p)
	case slices.Contains([]string{"queue", "at", "delay", "timeout", "retries"}, e.Field):
		a.refuse("opt."+e.Field, p)
	default:
		return job, &formProblem{Name: e.Field, Text: e.Message, English: true}, nil
	}
	return job, nil, nil
}

// refused is the path of the field that a refusal of the service is about, and
// where in it; empty: there is none.
func (fm *form) refused(name string) (path, within string) {
	rest, isNamed := strings.CutPrefix(name, "kwargs.")
	if !isNamed {
		return "", ""
	}
	for at := len(rest); at > 0; at = strings.LastIndexAny(rest[:at], ".[") {
		if f := fm.find(prefix + rest[:at]); f != nil {
			return f.path, strings.TrimPrefix(rest[at:], ".")
		}
	}
	return "", ""
}

// on reports whether a box is checked: it stands behind a hidden control.
func (a *answers) on(name string) bool {
	list := a.values[name]
	return len(list) > 0 && list[len(list)-1] != "" && list[len(list)-1] != "false"
}

// options reads the options of a form.
func (a *answers) options(req *service.Request) {
	req.Queue = a.values.Get(optionQueue)
	if text := strings.TrimSpace(a.values.Get(optionAt)); text != "" {
		at, ok := a.when(text)
		if !ok {
			a.refuse(optionAt, wrong("moment"))
		}
		req.At = at
	}
	req.Delay = a.span(optionDelay)
	req.Timeout = a.span(optionTimeout)
	if req.Delay != 0 && !req.At.IsZero() {
		a.refuse(optionDelay, wrong("both"))
	}
	if text := strings.TrimSpace(a.values.Get(optionRetries)); text != "" {
		n, ok := digits(text)
		if !ok {
			a.refuse(optionRetries, wrong("integer"))
		}
		req.Retries = &n
	}
}

// span is an option that is a length of time; 0: it is not given.
func (a *answers) span(name string) time.Duration {
	text := strings.TrimSpace(a.values.Get(name))
	if text == "" {
		return 0
	}
	seconds, ok := parseSpan(text)
	v, err := json.Number(seconds).Float64()
	if !ok || err != nil || v <= 0 || v > service.MaxDelay.Seconds() {
		a.refuse(name, wrong("span"))
		return 0
	}
	return time.Duration(v * float64(time.Second))
}

// viewRun is the form with what stands in it.
func (s *Server) viewRun(r *request, fm *form, a *answers, notice prefillNotice) *runForm {
	a.room = s.room()
	if takes(fm.fields, formatPath) {
		a.elsewhere = s.elsewhere(r)
	}
	v := &runForm{Files: takes(fm.fields, ""), Fields: r.viewForm(fm, a), From: notice.from, Lost: notice.lost, Partly: notice.partly, ID: a.values.Get(optionID)}
	if v.ID == "" {
		v.ID = distro.NewID()
	}
	if ran := r.query("ran"); ran != "" && ran == notice.from {
		v.Ran, v.From, v.Lost = ran, "", false
	}
	v.Options = s.viewOptions(r, a)
	for i := range v.Options {
		v.Opened = v.Opened || v.Options[i].On || v.Options[i].Problem != "" || v.Options[i].Text != "" && v.Options[i].Path != optionQueue
	}
	v.collect(v.Fields)
	v.collect(v.Options)
	return v
}

// collect lists the problems of fields, and of those within them.
func (v *runForm) collect(fields []fieldView) {
	for i := range fields {
		f := &fields[i]
		if f.Problem != "" {
			v.Problems = append(v.Problems, formProblem{f.ID, f.Name, f.Problem, f.English})
		}
		v.collect(f.Fields)
		for _, row := range f.Rows {
			if row.KeyProblem != "" {
				v.Problems = append(v.Problems, formProblem{f.ID, f.Name, row.KeyProblem, false})
			}
			v.collect(row.Fields)
		}
	}
}

func (s *Server) viewOptions(r *request, a *answers) []fieldView {
	queue := &field{path: optionQueue, name: "queue", control: controlChoice, required: true}
	for _, name := range s.opts.Service.QueueNames() {
		queue.options = append(queue.options, choice{key: name, label: name})
	}
	if a.values.Get(optionQueue) == "" {
		a.values.Set(optionQueue, s.opts.Service.DefaultQueue())
	}
	list := []fieldView{r.viewField(queue, a)}
	for _, o := range []struct {
		path    string
		control control
	}{{optionAt, controlMoment}, {optionDelay, controlSpan}, {optionTimeout, controlSpan}, {optionRetries, controlInteger}, {optionPlain, controlSwitch}} {
		f := &field{path: o.path, control: o.control}
		if o.path == optionPlain {
			f.help = r.T("form.plain.help")
		}
		if o.path == optionRetries {
			f.bounds = map[string]json.Number{"minimum": "0", "maximum": json.Number(strconv.Itoa(service.MaxRetries))}
		}
		list = append(list, r.viewField(f, a))
	}
	for i := range list {
		list[i].Name = r.T("form." + list[i].Path)
		list[i].Nested = true
	}
	return list
}

// lately is a moment that passed no longer ago than d.
func (r *reader) lately(t time.Time, d time.Duration) bool { return !t.IsZero() && r.now.Sub(t) < d }

func digits(text string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	return n, err == nil
}
