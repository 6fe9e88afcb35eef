package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// Bounds of the options of a parameter.
const (
	MaxOptions = 1000 // of one parameter; those behind are left out

	optionsTimeout = 5 * time.Second        // of the function that offers them
	optionsWait    = 6 * time.Second        // of a request for them
	stockLook      = 500 * time.Millisecond // how often a job is looked at that RQ's own workers may run
	optionsKept    = 5 * time.Minute        // how long they are given again without asking anew
	failureKept    = 30 * time.Second       // the same where the function did not offer any
	failureRecord  = 24 * time.Hour         // the queue keeps a job that did not offer any
	maxOffers      = 64                     // functions whose options are kept; those of one take two megabytes at most
	maxOption      = 1000                   // bytes of a value as JSON, and characters of it as Python spells it
	maxOptionLabel = 200                    // characters
)

// OptionsState is what became of a request for options.
type OptionsState string

// The states of options.
const (
	OptionsReady    OptionsState = "ready"
	OptionsPending  OptionsState = "pending"   // the job has not ended yet, and goes on
	OptionsNoWorker OptionsState = "no_worker" // no job was made: no worker would take one
	OptionsFailed   OptionsState = "failed"    // the job did not finish; Message says why
	OptionsTimeout  OptionsState = "timeout"   // the function took longer than it may
	OptionsUnfit    OptionsState = "unfit"     // what the function returned is no options; Message says why
)

// ParameterOptions are the values that an automation offers for a parameter.
// Other values may be given all the same.
type ParameterOptions struct {
	Function string // dotted, that offers them
	Job      string // the ID of the job that called it; empty: none was made
	State    OptionsState
	Message  string // one line for people, where State is not OptionsReady
	Options  []Option
	Cut      bool      // there were more than MaxOptions
	Unfit    int       // values that are left out, as the annotation of the parameter does not take them
	Example  string    // what is wrong with the first of these
	At       time.Time // when its end was seen
}

// Option is one of the values that are offered.
type Option struct {
	Value []byte // JSON, as a Typed request takes it
	Label string // empty: the value says it all
}

// OptionsRequest asks for the options of a parameter.
type OptionsRequest struct {
	Module, Function, Parameter string

	Refresh bool   // do not answer with what was offered before
	Caller  string // who asks, as distro.Job has it
}

// offered is what a function returned, before it is held against a parameter.
type offered struct {
	job     string
	state   OptionsState
	message string
	options []rawOption
	cut     bool
	at      time.Time
}

// offer is what is known of one function that offers options, in one version of
// its module.
type offer struct {
	mu    sync.Mutex // held while a job is made, so that requests at the same time share it
	job   string     // the ID of one that has not ended, as far as is known; empty: there is none
	asked time.Time  // when that was made
	stock bool       // workers of RQ's own may run it
	known *offered   // nil: nothing
	until time.Time  // known is given again
}

// offers keeps what functions offered, so much of it at most.
type offers struct {
	mu   sync.Mutex
	list map[string]*offer
	used []string // keys, the last used one at the end
}

// of returns the offer of a key. One that is not there is nil, or added where
// that is wanted: then the one that was not used for the longest time is forgotten
// where there are too many.
func (o *offers) of(key string, add bool) *offer {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, known := o.list[key]; !known {
		if !add {
			return nil
		}
		if o.list == nil {
			o.list = map[string]*offer{}
		}
		o.list[key] = &offer{}
	}
	o.used = append(slices.DeleteFunc(o.used, func(k string) bool { return k == key }), key)
	if len(o.used) > maxOffers {
		delete(o.list, o.used[0])
		o.used = o.used[1:]
	}
	return o.list[key]
}

// source is where the options of a parameter come from.
type source struct {
	module    distro.Module
	parameter distro.Parameter // as its docstring documents it
	function  distro.Function  // offers them
}

func (c *source) name() string { return c.module.Name + "." + c.function.Name }

// key is another one where the file of the module has changed.
func (c *source) key() string { return c.module.Hash + " " + c.name() }

// source finds the function that offers options for a parameter, or says that
// there is none: distro.CodeNotFound.
func (s *Service) source(ctx context.Context, module, function, parameter string) (source, error) {
	m, err := s.Automation(ctx, module)
	if err != nil {
		return source{}, err
	}
	f, err := s.opts.Catalog.FindFunction(m, function)
	if err != nil {
		return source{}, err
	}
	documented, _ := signature.Documented(f)
	i := slices.IndexFunc(documented.Parameters, func(p distro.Parameter) bool { return p.Name == parameter })
	if i < 0 {
		names := make([]string, len(documented.Parameters))
		for i, p := range documented.Parameters {
			names[i] = p.Name
		}
		return source{}, distro.Errorf(distro.CodeNotFound, "function %q of module %q has no parameter %.100q%s", function, module, parameter, didYouMean(parameter, names))
	}
	offering, ok := m.OffersOptions(parameter)
	if !ok || offering.Name == function {
		return source{}, distro.Errorf(distro.CodeNotFound,
			"no function offers options for parameter %q: module %q has no opcoes_%s and no options_%s", parameter, module, parameter, parameter)
	}
	return source{m, documented.Parameters[i], offering}, nil
}

// ParameterOptions asks the function opcoes_<parameter> or options_<parameter> of
// the module of a function, in a job as any other, for the values that it offers.
// It waits some seconds for the job, no longer: what has not ended then is
// OptionsPending, and a later request waits for the same job. Requests at the same
// time share a job, and what was offered is given again for five minutes, as long
// as the file of the module is the same. A parameter that nothing is offered for is
// distro.CodeNotFound.
func (s *Service) ParameterOptions(ctx context.Context, r OptionsRequest) (ParameterOptions, error) {
	c, err := s.source(ctx, r.Module, r.Function, r.Parameter)
	if err != nil {
		return ParameterOptions{}, err
	}
	if c.function.NeedsArguments() {
		return c.shown(&offered{state: OptionsUnfit, message: "the function needs arguments, and is called without any: give its parameters defaults"}), nil
	}
	o := s.offers.of(c.key(), true)
	known, wait, err := s.ask(ctx, o, &c, r)
	if err == nil && known == nil {
		known, err = s.awaitOffer(ctx, o, wait)
	}
	if err != nil {
		return ParameterOptions{}, err
	}
	return c.shown(known), nil
}

// KnownOptions are the options of a parameter that are given again without asking
// anybody. ok is false where there are none such.
func (s *Service) KnownOptions(ctx context.Context, module, function, parameter string) (options ParameterOptions, ok bool) {
	c, err := s.source(ctx, module, function, parameter)
	if err != nil {
		return ParameterOptions{}, false
	}
	o := s.offers.of(c.key(), false)
	if o == nil {
		return ParameterOptions{}, false
	}
	o.mu.Lock()
	known := o.known
	current := s.opts.Now().Before(o.until)
	o.mu.Unlock()
	if known == nil || !current || known.state != OptionsReady {
		return ParameterOptions{}, false
	}
	return c.shown(known), true
}

// asking is a job that will tell what is offered.
type asking struct {
	job   string
	stock bool // workers of RQ's own may run it, whose end no change tells of
}

// ask returns what is known, or the job that will tell.
func (s *Service) ask(ctx context.Context, o *offer, c *source, r OptionsRequest) (known *offered, wait asking, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := s.opts.Now()
	if o.job != "" && now.Sub(o.asked) < optionsKept {
		return nil, asking{o.job, o.stock}, nil
	}
	if o.known != nil && !r.Refresh && now.Before(o.until) {
		return o.known, asking{}, nil
	}
	queue, stock, why, err := s.servedQueue(ctx)
	if err != nil {
		return nil, asking{}, err
	}
	if queue == "" {
		return &offered{state: OptionsNoWorker, message: why}, asking{}, nil
	}
	none := 0
	made, err := s.job(ctx, Request{
		Module: c.module.Name, Function: c.function.Name, Queue: queue, Timeout: optionsTimeout, Retries: &none,
		Trigger: distro.TriggerOptions, Caller: r.Caller,
	})
	if err != nil {
		return nil, asking{}, err
	}
	// It waits no longer than anybody waits for it, its result is there to be read,
	// whatever is configured, and failures do not pile up with every form that is
	// opened.
	made.TTL, made.ResultTTL, made.FailureTTL = optionsKept, optionsKept, failureRecord
	if err := s.enqueueJob(ctx, made); err != nil {
		return nil, asking{}, err
	}
	o.job, o.asked, o.stock = made.ID, now, stock
	return nil, asking{o.job, stock}, nil
}

// servedQueue is the queue of the highest priority from which a worker takes jobs
// now, as somebody waits for the answer. stock says that one of RQ's own may. Where there
// is no such queue it is empty, and why says so.
func (s *Service) servedQueue(ctx context.Context) (queue string, stock bool, why string, err error) {
	counts, err := s.Queues(ctx)
	if err != nil {
		return "", false, "", err
	}
	if counts.Suspended {
		return "", false, "all workers are suspended", nil
	}
	workers, err := s.Workers(ctx)
	if err != nil {
		return "", false, "", err
	}
	why = "no worker is there"
	for _, name := range s.opts.Queues {
		serves := func(w distro.Worker) bool { return !w.Draining && slices.Contains(w.Queues, name) }
		if !slices.ContainsFunc(workers, serves) {
			continue
		}
		if !slices.ContainsFunc(counts.Queues, func(q distro.QueueInfo) bool { return q.Name == name && q.Paused }) {
			return name, slices.ContainsFunc(workers, func(w distro.Worker) bool { return w.Stock && serves(w) }), "", nil
		}
		why = "the queues that workers serve are paused"
	}
	return "", false, why, nil
}

// awaitOffer waits for a job, and keeps what it offers.
func (s *Service) awaitOffer(ctx context.Context, o *offer, wait asking) (*offered, error) {
	id, step := wait.job, optionsWait
	if wait.stock {
		step = stockLook
	}
	var job distro.Job
	var err error
	for waited := time.Duration(0); waited < optionsWait; waited += step {
		if job, err = s.Wait(ctx, id, step); err != nil || job.Status.Ended() {
			break
		}
	}
	missing := distro.ErrorCode(err) == distro.CodeNotFound
	switch {
	case missing:
		job = distro.Job{ID: id}
	case err != nil:
		return nil, err
	case !job.Status.Ended():
		return &offered{job: id, state: OptionsPending, message: "the job has not ended yet, and goes on"}, nil
	}
	known := readOffer(&job)
	known.at = s.opts.Now().UTC()
	kept := optionsKept
	if known.state != OptionsReady {
		kept = failureKept
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.job == id {
		o.job, o.known, o.until = "", known, known.at.Add(kept)
	}
	return known, nil
}

// shown holds what was offered against the parameter.
func (c *source) shown(known *offered) ParameterOptions {
	shown := ParameterOptions{
		Function: c.name(), Job: known.job, State: known.state, Message: known.message, Cut: known.cut, At: known.at,
		Options: make([]Option, 0, len(known.options)),
	}
	y := newTyping(target{c.module.Name, distro.Function{}, c.module.Types})
	typ := y.plan.Parameter(c.parameter)
	for _, raw := range known.options {
		value, err := y.option(typ, &raw)
		if err != nil {
			if shown.Unfit++; shown.Unfit == 1 {
				shown.Example = raw.said() + ": " + err.Message
			}
			continue
		}
		label := raw.label
		if label == string(value) || jsonscan.KindOf(value) == jsonscan.String && label == jsonscan.Text(value) {
			label = ""
		}
		shown.Options = append(shown.Options, Option{value, label})
	}
	return shown
}

// option is the JSON of an offered value for a parameter of a type, or for each of
// the elements of one that takes many.
func (y *typing) option(t signature.Type, raw *rawOption) ([]byte, *distro.Error) {
	value := raw.json
	if value == nil {
		if spelled, ok := y.plan.Spelled(raw.source, maxOption); ok && len(spelled) == 1 && spelled[0].Name == "" {
			value = spelled[0].JSON
		}
	}
	if value == nil {
		return nil, distro.Invalid("", "is no plain value, or a long one")
	}
	y.begin(len(value))
	_, err := y.value(t, value, "", MaxDepth)
	if err == nil {
		return value, nil
	}
	y.begin(len(value))
	_, asElement := y.value(t, slices.Concat([]byte("["), value, []byte("]")), "", MaxDepth)
	if asElement == nil {
		return value, nil
	}
	if slices.Contains([]signature.Class{signature.List, signature.Tuple, signature.Set, signature.Frozenset, signature.Deque}, t.Class) {
		err = asElement
	}
	if e, ok := errors.AsType[*distro.Error](err); ok {
		return nil, e
	}
	return nil, distro.Invalid("", "does not fit")
}

// oneLine is text for people in a line of so many characters.
func oneLine(text string, most int) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}
