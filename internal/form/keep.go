package form

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// Keep reads what of the form can be kept for another day: the arguments as they
// stand there, defaults too, so that they stay when these change. Fields that
// nobody filled in yet are left out, and so are files: of which parameters they
// are, omitted says. What else is wrong is noted.
func (a *Answers) Keep() (args, kwargs []byte, omitted []string) {
	for path := range a.files {
		name, _, _ := strings.Cut(strings.TrimPrefix(path, prefix), ".")
		omitted = append(omitted, name)
	}
	slices.Sort(omitted)
	kept := a.alone()
	kept.files = nil
	args, kwargs = kept.gather(func(*field, []byte) bool { return true })
	for path := range a.files {
		delete(kept.problems, path) // what it stands in is left out, too
	}
	if jsonscan.Check(args, a.form.opts.Depth) == nil { // else one that is missing stands before others
		for i := range a.form.fields {
			kept.forgive(&a.form.fields[i])
		}
	}
	a.refuseAll(kept)
	return args, kwargs, slices.Compact(omitted)
}

// forgive takes back that a field, or what is within it, has to be filled in, where
// nothing at all was entered there.
func (a *Answers) forgive(f *field) {
	if a.entered(f) {
		return
	}
	for path, p := range a.problems {
		if p.key == "form.problem.required" && (path == f.path || strings.HasPrefix(path, f.path+".")) {
			delete(a.problems, path)
		}
	}
}

// EnterOptions puts options of a job into the form, as far as they are given there
// and can be entered; a moment is none of them.
func (a *Answers) EnterOptions(o JobOptions) {
	if o.Queue != "" {
		a.values.Set(OptionQueue, o.Queue)
	}
	for name, d := range map[string]time.Duration{optionDelay: o.Delay, optionTimeout: o.Timeout} {
		if d > 0 {
			a.values.Set(name, formatSpan(strconv.FormatFloat(d.Seconds(), 'f', -1, 64)))
		}
	}
	if o.Retries != nil {
		a.values.Set(optionRetries, strconv.Itoa(*o.Retries))
	}
	if o.Plain {
		a.values.Set(OptionPlain, "true")
	}
}
