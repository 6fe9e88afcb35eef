package form

import (
	"slices"
	"strconv"
	"strings"
)

// Reshapes reports whether a button asks for a form that is shaped otherwise: with
// a row or a line more or less, or a field as JSON.
func (a *Answers) Reshapes() bool {
	return slices.ContainsFunc([]string{"add", "drop", "as-json", "as-form", "pick"}, func(name string) bool { return a.Get(name) != "" })
}

// Reshape changes the form as the button asks for. Rows may move, and references
// to files with them, so that these are to be looked up again.
func (a *Answers) Reshape() {
	a.Hold()
	fm := a.form
	switch {
	case a.Get("add") != "":
		if f := fm.find(a.Get("add")); f != nil && f.control == controlRows {
			a.addRow(f)
		}
	case a.Get("drop") != "":
		path := a.Get("drop")
		at := strings.LastIndexByte(path, '.')
		if i, err := strconv.Atoi(path[at+1:]); err == nil && at > 0 {
			a.dropRow(path[:at], i)
		}
	case a.Get("as-json") != "":
		if f := fm.find(a.Get("as-json")); f != nil {
			a.asJSON(f)
		}
	case a.Get("as-form") != "":
		if f := fm.find(a.Get("as-form")); f != nil {
			a.asForm(f)
		}
	case a.Get("pick") != "":
		if f := fm.find(a.Get("pick")); f != nil {
			a.pick(f)
		}
	}
	a.files = map[string]File{}
}

// asJSON changes a field to one that takes JSON. What is wrong in it has to be
// corrected first.
func (a *Answers) asJSON(f *field) {
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
func (a *Answers) asForm(f *field) {
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
func onlyMissing(a *Answers) int {
	n := 0
	for _, p := range a.problems {
		if p.key == "form.problem.required" {
			n++
		}
	}
	return n
}
