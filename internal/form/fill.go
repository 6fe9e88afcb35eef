package form

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// put enters a value into a field; nil: none. One that the control of the field
// cannot show is entered as JSON.
func (a *Answers) put(f *field, value []byte) {
	a.clear(f.path)
	if value == nil {
		a.putNothing(f)
		return
	}
	if string(value) == "null" && f.nullable {
		a.putNothing(f)
		switch {
		case f.switched():
			a.values.Set(nullMark+f.path, "1")
		case f.control == controlChoice:
			a.values.Set(f.path, "null")
		}
		return
	}
	if a.show(f, value) {
		return
	}
	a.clear(f.path)
	a.setRaw(f.path, true)
	a.values.Set(f.path, prettyJSON(value))
}

// clear takes out all that is entered at a path.
func (a *Answers) clear(path string) {
	for file := range a.files {
		if file == path || strings.HasPrefix(file, path+".") {
			delete(a.files, file)
		}
	}
	for name := range a.values {
		for _, mark := range marks() {
			rest, ok := strings.CutPrefix(name, mark)
			if ok && (rest == path || strings.HasPrefix(rest, path+".")) {
				delete(a.values, name)
			}
		}
	}
	a.setRaw(path, false)
}

// putNothing shows a field into which nothing was entered.
func (a *Answers) putNothing(f *field) {
	switch f.control {
	case controlGroup:
		for i := range f.fields {
			a.put(&f.fields[i], f.fields[i].standard)
		}
	case controlRows:
		a.values.Set(countMark+f.path, "1")
		a.put(f.rowField(0), f.element.standard)
	default:
		a.values.Set(f.path, "")
	}
	if f.switched() && f.source == "" && (f.standard == nil || string(f.standard) == "null") && f.control != controlGroup {
		a.values.Set(nullMark+f.path, "1")
	}
}

// show enters a value, and reports whether reading it again gives the same.
func (a *Answers) show(f *field, value []byte) bool {
	switch f.control {
	case controlGroup:
		return a.showGroup(f, value)
	case controlRows:
		return a.showRows(f, value)
	case controlLines:
		lines, ok := a.lines(f, value)
		if !ok {
			return false
		}
		a.values.Set(f.path, strings.Join(lines, "\n"))
	case controlPairs:
		lines, ok := a.pairs(f, value)
		if !ok {
			return false
		}
		a.values.Set(f.path, strings.Join(lines, "\n"))
	case controlMany:
		a.values[f.path] = append([]string{""}, chosen(f, value)...)
	case controlJSON:
		a.values.Set(f.path, prettyJSON(value))
	default:
		text, ok := a.line(f, value)
		if !ok {
			return false
		}
		a.values.Set(f.path, text)
	}
	return a.same(f, value)
}

// same reports whether a field reads as a value. Moments are the same in every
// zone.
func (a *Answers) same(f *field, value []byte) bool {
	got, given := a.alone().read(f)
	if !given {
		return !f.required && (f.standard == nil && empty(value) || string(value) == `""`)
	}
	if f.control == controlMoment && jsonscan.KindOf(value) == jsonscan.String {
		was, err := time.Parse(time.RFC3339Nano, jsonscan.Text(value))
		is, problem := time.Parse(time.RFC3339Nano, jsonscan.Text(got))
		return err == nil && problem == nil && was.Equal(is)
	}
	return equalJSON(got, value)
}

// line is how a value is entered in one control.
func (a *Answers) line(f *field, value []byte) (string, bool) {
	kind := jsonscan.KindOf(value)
	switch f.control {
	case controlChoice:
		for _, c := range f.options {
			if equalJSON(c.value, value) {
				return c.key, true
			}
		}
		return "", false
	case controlSpan:
		return formatSpan(string(value)), kind == jsonscan.Number
	case controlInteger, controlNumber, controlSwitch:
		return string(value), kind == jsonscan.Number || kind == jsonscan.Bool
	case controlAny:
		if kind != jsonscan.String {
			return string(value), true
		}
		text := jsonscan.Text(value)
		if read, _ := a.form.anything(text); text == "" || !equalJSON(read, value) || unshowable(text) {
			return string(value), true
		}
		return text, true
	}
	if kind != jsonscan.String {
		return "", false
	}
	text := jsonscan.Text(value)
	if f.control == controlMoment {
		at, err := time.Parse(time.RFC3339Nano, text)
		return at.In(a.reader.Zone).Format(localSecond), err == nil
	}
	return text, !unshowable(text)
}

// unshowable reports whether a text has what no control of a browser keeps.
func unshowable(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f })
}

func (a *Answers) lines(f *field, value []byte) ([]string, bool) {
	if f.single && jsonscan.KindOf(value) != jsonscan.List {
		value = joined('[', [][]byte{value}, ']')
	}
	if jsonscan.KindOf(value) != jsonscan.List {
		return nil, false
	}
	var lines []string
	for element := range jsonscan.Elements(value) {
		line, ok := a.line(f.element, element)
		if !ok || strings.Contains(line, "\n") {
			return nil, false
		}
		lines = append(lines, line)
	}
	return lines, true
}

func (a *Answers) pairs(f *field, value []byte) ([]string, bool) {
	if jsonscan.KindOf(value) != jsonscan.Object {
		return nil, false
	}
	var lines []string
	for key, element := range jsonscan.Members(value) {
		line, ok := a.line(f.element, element)
		if !ok || strings.ContainsAny(key+line, "\n") || strings.Contains(key, "=") {
			return nil, false
		}
		lines = append(lines, key+" = "+line)
	}
	return lines, true
}

func chosen(f *field, value []byte) []string {
	if jsonscan.KindOf(value) != jsonscan.List {
		return nil
	}
	var keys []string
	for element := range jsonscan.Elements(value) {
		for _, c := range f.options {
			if equalJSON(c.value, element) {
				keys = append(keys, c.key)
			}
		}
	}
	return keys
}

func (a *Answers) showGroup(f *field, value []byte) bool {
	parts := map[string][]byte{}
	switch kind := jsonscan.KindOf(value); {
	case f.tuple && kind == jsonscan.List:
		n := 0
		for element := range jsonscan.Elements(value) {
			if n == len(f.fields) {
				return false
			}
			parts[f.fields[n].name] = element
			n++
		}
		if n < len(f.fields) {
			return false
		}
	case !f.tuple && kind == jsonscan.Object:
		for name, element := range jsonscan.Members(value) {
			parts[name] = element
		}
	default:
		return false
	}
	for i := range f.fields {
		a.put(&f.fields[i], parts[f.fields[i].name])
		delete(parts, f.fields[i].name)
	}
	return len(parts) == 0
}

func (a *Answers) showRows(f *field, value []byte) bool {
	n := 0
	enter := func(key string, element []byte) bool {
		if n == maxRows {
			return false
		}
		row := f.rowField(n)
		a.put(row, element)
		if f.keyed {
			a.values.Set(keyMark+row.path, key)
		}
		n++
		return !f.keyed || strings.TrimSpace(key) == key && key != ""
	}
	switch kind := jsonscan.KindOf(value); {
	case f.keyed && kind == jsonscan.Object:
		for key, element := range jsonscan.Members(value) {
			if !enter(key, element) {
				return false
			}
		}
	case !f.keyed && kind == jsonscan.List:
		for element := range jsonscan.Elements(value) {
			if !enter("", element) {
				return false
			}
		}
	default:
		return false
	}
	if n == 0 {
		a.putNothing(f)
		return true
	}
	a.values.Set(countMark+f.path, strconv.Itoa(n))
	return a.same(f, value)
}

// addRow appends a row to a field.
func (a *Answers) addRow(f *field) {
	n := a.rows(f.path)
	if n == maxRows {
		return
	}
	a.values.Set(countMark+f.path, strconv.Itoa(n+1))
	row := f.rowField(n)
	a.put(row, row.standard)
}

// dropRow takes out a row; those behind it move up.
func (a *Answers) dropRow(path string, at int) {
	n := a.rows(path)
	if at < 0 || at >= n {
		return
	}
	moved := func(name string) (string, bool) {
		mark := ""
		for _, m := range marks() {
			if m != "" && strings.HasPrefix(name, m) {
				mark = m
			}
		}
		rest, ok := strings.CutPrefix(name, mark+path+".")
		if !ok {
			return name, true
		}
		number, tail, _ := strings.Cut(rest, ".")
		i, err := strconv.Atoi(number)
		if err != nil || i < at {
			return name, true
		}
		if tail != "" {
			tail = "." + tail
		}
		return fmt.Sprintf("%s%s.%d%s", mark, path, i-1, tail), i > at
	}
	after := url.Values{}
	for name, list := range a.values {
		if to, kept := moved(name); kept {
			after[to] = list
		}
	}
	var raw []string
	for _, p := range a.values[rawName] {
		if to, kept := moved(p); kept {
			raw = append(raw, to)
		}
	}
	after[rawName] = raw
	after.Set(countMark+path, strconv.Itoa(n-1))
	a.values = after
}

// prettyJSON indents for an editor.
func prettyJSON(value []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, value, "", "  ") != nil {
		return string(value)
	}
	return b.String()
}
