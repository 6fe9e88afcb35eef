package form

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// The names of the options of a job.
const (
	OptionQueue = optionPrefix + "queue"
	OptionPlain = optionPrefix + "plain" // arguments stay what JSON has

	optionPrefix  = "opt."
	optionAt      = optionPrefix + "at"
	optionDelay   = optionPrefix + "delay"
	optionTimeout = optionPrefix + "timeout"
	optionRetries = optionPrefix + "retries"
)

// options are their names, in the order of the form.
func options() []string {
	return []string{OptionQueue, optionAt, optionDelay, optionTimeout, optionRetries, OptionPlain}
}

// JobOptions are how and when a job is to run. What was not entered is zero.
type JobOptions struct {
	Queue   string
	At      time.Time
	Delay   time.Duration
	Timeout time.Duration
	Retries *int
	Plain   bool // arguments are what JSON has, not what annotations ask for
}

// JobOptions reads the options. What is wrong is noted.
func (a *Answers) JobOptions() JobOptions {
	o := JobOptions{Queue: a.values.Get(OptionQueue), Plain: a.on(OptionPlain)}
	if text := strings.TrimSpace(a.values.Get(optionAt)); text != "" {
		at, ok := a.when(text)
		if !ok {
			a.Refuse(optionAt, "moment")
		}
		o.At = at
	}
	o.Delay = a.span(optionDelay)
	o.Timeout = a.span(optionTimeout)
	if o.Delay != 0 && !o.At.IsZero() {
		a.Refuse(optionDelay, "both")
	}
	if text := strings.TrimSpace(a.values.Get(optionRetries)); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			a.Refuse(optionRetries, "integer")
		}
		o.Retries = &n
	}
	return o
}

// on reports whether a box is checked: it stands behind a hidden control.
func (a *Answers) on(name string) bool {
	list := a.values[name]
	return len(list) > 0 && list[len(list)-1] != "" && list[len(list)-1] != "false"
}

// span is an option that is a length of time; 0: it is not given.
func (a *Answers) span(name string) time.Duration {
	text := strings.TrimSpace(a.values.Get(name))
	if text == "" {
		return 0
	}
	seconds, ok := parseSpan(text)
	v, err := json.Number(seconds).Float64()
	if !ok || err != nil || v <= 0 || v > a.form.opts.Delay.Seconds() {
		a.Refuse(name, "span")
		return 0
	}
	return time.Duration(v * float64(time.Second))
}

// viewOptions shows the options.
func (a *Answers) viewOptions() []FieldView {
	queue := &field{path: OptionQueue, name: "queue", control: controlChoice, required: true}
	for _, name := range a.form.opts.Queues {
		queue.options = append(queue.options, choice{key: name, label: name})
	}
	if a.values.Get(OptionQueue) == "" {
		a.values.Set(OptionQueue, a.form.opts.Queue)
	}
	list := []FieldView{a.viewField(queue)}
	for _, o := range []struct {
		path    string
		control control
	}{{optionAt, controlMoment}, {optionDelay, controlSpan}, {optionTimeout, controlSpan}, {optionRetries, controlInteger}, {OptionPlain, controlSwitch}} {
		f := &field{path: o.path, control: o.control}
		if o.path == OptionPlain {
			f.help = a.reader.Text("form.plain.help")
		}
		if o.path == optionRetries {
			f.bounds = map[string]json.Number{"minimum": "0", "maximum": json.Number(strconv.Itoa(a.form.opts.Retries))}
		}
		list = append(list, a.viewField(f))
	}
	for i := range list {
		list[i].Name = a.reader.Text("form." + list[i].Path)
		list[i].Nested = true
	}
	return list
}
