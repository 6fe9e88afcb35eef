package form

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// Ask enters what an address says. What is masked is never taken from one: these
// are kept in many places.
func (a *Answers) Ask(asked url.Values) {
	fm := a.form
	for i := range fm.fields {
		f := &fm.fields[i]
		var names []string
		for name := range asked {
			if inField(name, f.path) && !fm.masks(name) {
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

// masks reports whether what a control holds is masked, or would be in a field of
// its own.
func (fm *Form) masks(name string) bool {
	for _, mark := range marks() {
		path, ok := strings.CutPrefix(name, mark)
		if !ok {
			continue
		}
		if f := fm.find(path); f != nil && (f.control == controlSecret || f.element != nil && f.element.control == controlSecret) {
			return true
		}
	}
	return false
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

// Enter puts the arguments of a call into the form, a JSON list and a JSON object,
// and reports whether all of them have a place there.
func (a *Answers) Enter(args, kwargs []byte) bool {
	fm := a.form
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
func (fm *Form) find(path string) *field {
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
