package service

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pickle"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// rawOption is a value that a function offers.
type rawOption struct {
	json   []byte // nil: it is no plain data
	source string // as Python spells it, where json is nil
	label  string // empty: the function gave none
}

// said is the option for people.
func (o *rawOption) said() string {
	switch {
	case o.label != "":
		return o.label
	case o.json != nil && jsonscan.KindOf(o.json) == jsonscan.String:
		return oneLine(jsonscan.Text(o.json), maxOptionLabel)
	}
	return oneLine(string(o.json)+o.source, maxOptionLabel)
}

// plainText is what Python's str makes of plain values.
func plainText(v pickle.Value) string {
	if text, ok := v.Text(); ok {
		return text
	}
	return v.Repr(maxOptionLabel)
}

// unserializable is what RQ keeps of a value that cannot be pickled.
const unserializable = "Unserializable return value"

// readOffer reads what a job that has ended offers. Nothing of it is unpickled.
func readOffer(job *distro.Job) *offered {
	known := &offered{job: job.ID, state: OptionsFailed}
	r := job.Result
	switch {
	case job.Status == "":
		known.message = "the job is gone"
	case r != nil && r.Failure != nil:
		if known.message = oneLine(r.Failure.Message, maxOptionLabel); r.Failure.Type != "" {
			known.message = oneLine(r.Failure.Type+": "+r.Failure.Message, maxOptionLabel)
		}
		if r.Failure.Kind == distro.FailureTimeout || strings.HasSuffix(r.Failure.Type, "JobTimeoutException") {
			known.state, known.message = OptionsTimeout, fmt.Sprintf("the function took longer than %d seconds", int(optionsTimeout.Seconds()))
		}
	case job.Status != distro.StatusFinished || r == nil:
		known.message = "the job is " + string(job.Status)
	default:
		known.read(r.Pickle)
	}
	return known
}

// read reads a returned value.
func (k *offered) read(data []byte) {
	k.state = OptionsUnfit
	if len(data) == 0 {
		k.message = "what the function returned cannot be pickled; return a list"
		return
	}
	value, err := pickle.Read(data, pickle.Limits{})
	if err != nil {
		k.message = "what the function returned cannot be read: " + oneLine(err.Error(), maxOptionLabel)
		return
	}
	if text, ok := value.Text(); ok && text == unserializable {
		k.message = "what the function returned cannot be pickled; return a list"
		return
	}
	if entries, ok := value.Entries(); ok {
		for i, e := range entries[:min(len(entries), MaxOptions)] {
			if !k.add(i, e.Key, &e.Value) {
				return
			}
		}
		k.finish(len(entries))
		return
	}
	elements, ok := value.Elements()
	if !ok {
		k.message = fmt.Sprintf("the function returned %s, not a list of values, a list of pairs of a value and a label, or a dict of labels by value",
			oneLine(value.Type(), maxOptionLabel))
		return
	}
	for i, element := range elements[:min(len(elements), MaxOptions)] {
		v, label := element, (*pickle.Value)(nil)
		if pair, ok := element.Elements(); ok && len(pair) == 2 && !element.Unordered() {
			v, label = pair[0], &pair[1]
		}
		if !k.add(i, v, label) {
			return
		}
	}
	if value.Unordered() {
		slices.SortFunc(k.options, func(a, b rawOption) int { return strings.Compare(a.said(), b.said()) })
	}
	k.finish(len(elements))
}

// finish drops values that were offered twice.
func (k *offered) finish(of int) {
	seen := map[string]bool{}
	k.options = slices.DeleteFunc(k.options, func(o rawOption) bool {
		key := string(o.json) + o.source
		before := seen[key]
		seen[key] = true
		return before
	})
	k.state, k.message, k.cut = OptionsReady, "", of > MaxOptions
}

// add takes element i; what is no value with a label is the end of all.
func (k *offered) add(i int, v pickle.Value, label *pickle.Value) bool {
	_, isList := v.Elements()
	_, isDict := v.Entries()
	if isList || isDict {
		k.options, k.message = nil, fmt.Sprintf("element %d of what the function returned is neither a value nor a pair of a value and a label", i+1)
		return false
	}
	var o rawOption
	if text, ok := v.JSON(maxOption); ok {
		o.json = text
	} else {
		o.source = v.Repr(maxOption)
	}
	if label != nil {
		o.label = oneLine(plainText(*label), maxOptionLabel)
	}
	k.options = append(k.options, o)
	return true
}
