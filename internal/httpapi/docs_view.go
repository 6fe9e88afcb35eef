package httpapi

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// docsView is what the page of the documentation shows.
type docsView struct {
	Code    string // of the language
	Style   template.CSS
	Base    string
	Secret  bool // a token is set
	Version string
	Groups  []docsGroup
	Problem []docsField
}

// Home is the address of the page in a language.
func (v docsView) Home(code string) string { return "/docs?lang=" + code[:2] }

type docsGroup struct {
	Name, About string
	Operations  []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, About string
	Open                             bool // needs no token
	Parameters                       []docsField
	Body                             *docsField
	BodyType                         string
	Answers                          []docsAnswer
	Example                          string
}

type docsAnswer struct {
	Status, About, ContentType string
	Body                       *docsField
	Problem                    bool // every error, which is described once
	Headers                    []docsField
}

// docsField is a parameter, a member of an object, or a body as a whole.
type docsField struct {
	Name, In, Type, About string
	Required              bool // in a request
	Optional              bool // in an answer
	Notes                 []docsNote
	Fields                []docsField // of the object, or of the elements of the list
}

// docsNote is a bound of a value.
type docsNote struct {
	Label  string
	Values []string
}

// maxDocsDepth bounds how deep objects within objects are written out.
const maxDocsDepth = 6

// docsWriter writes an OpenAPI description for people.
type docsWriter struct {
	schemas map[string]*huma.Schema
	words   language
	answers bool // it is about what is sent, not about what is asked
}

// describeGroups is every operation in the order of the routes, by its tag.
func describeGroups(spec *huma.OpenAPI, routes []Route, words language) []docsGroup {
	w := docsWriter{schemas: spec.Components.Schemas.Map(), words: words}
	var groups []docsGroup
	for _, tag := range spec.Tags {
		groups = append(groups, docsGroup{Name: tag.Name, About: words.phrase(tag.Description)})
	}
	for _, r := range routes {
		item := spec.Paths[r.Path]
		if item == nil {
			continue
		}
		i := slices.IndexFunc(operationsOf(item), func(op *huma.Operation) bool { return op.Method == r.Method })
		if i < 0 {
			continue
		}
		op := operationsOf(item)[i]
		g := slices.IndexFunc(groups, func(g docsGroup) bool { return slices.Contains(op.Tags, g.Name) })
		groups[g].Operations = append(groups[g].Operations, w.operation(op, r.Open))
	}
	return groups
}

// describeNamed are the members of one schema of an answer.
func describeNamed(spec *huma.OpenAPI, name string, words language) []docsField {
	w := docsWriter{schemas: spec.Components.Schemas.Map(), words: words, answers: true}
	return w.field(&huma.Schema{Ref: schemaPrefix + name}, nil).Fields
}

func (w docsWriter) operation(op *huma.Operation, open bool) docsOperation {
	shown := docsOperation{
		ID: op.OperationID, Method: op.Method, Path: op.Path, Open: open,
		Summary: w.words.phrase(op.Summary), About: w.words.phrase(op.Description), Example: w.example(op),
	}
	for _, p := range op.Parameters {
		shown.Parameters = append(shown.Parameters, w.parameter(p, p.Name))
	}
	if op.RequestBody != nil {
		for contentType, media := range op.RequestBody.Content {
			body := w.field(media.Schema, nil)
			shown.Body, shown.BodyType = &body, contentType
		}
	}
	problems := docsAnswer{Problem: true}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) { // "default" comes last
		a := w.answer(status, op.Responses[status])
		if !a.Problem {
			shown.Answers = append(shown.Answers, a)
			continue
		}
		problems.ContentType = a.ContentType
		problems.Status += ", " + a.Status
	}
	problems.Status = strings.TrimPrefix(problems.Status, ", ")
	shown.Answers = append(shown.Answers, problems)
	return shown
}

func (w docsWriter) parameter(p *huma.Param, name string) docsField {
	f := w.field(p.Schema, nil)
	f.Name, f.In, f.Required = name, w.words.phrase(p.In), p.Required
	if p.Description != "" {
		f.About = w.words.phrase(p.Description)
	}
	if p.Example != nil && len(p.Schema.Examples) == 0 {
		f.Notes = append(f.Notes, docsNote{w.words.phrase("example"), []string{plainText(p.Example)}})
	}
	return f
}

func (w docsWriter) answer(status string, r *huma.Response) docsAnswer {
	w.answers = true
	a := docsAnswer{Status: status, About: w.words.phrase(r.Description)}
	if status == "default" {
		a.Status = "…"
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		a.Headers = append(a.Headers, w.parameter(r.Headers[name], name))
	}
	for contentType, media := range r.Content {
		a.ContentType, a.Problem = contentType, contentType == problemType
		if !a.Problem {
			body := w.field(media.Schema, nil)
			a.Body = &body
		}
	}
	return a
}

// field describes a schema. within are the names of those that it is part of.
func (w docsWriter) field(s *huma.Schema, within []string) docsField {
	f := docsField{About: w.words.phrase(s.Description)}
	if name, ok := strings.CutPrefix(s.Ref, schemaPrefix); ok {
		f.Type = name
		if slices.Contains(within, name) || len(within) >= maxDocsDepth {
			return f
		}
		f.Fields = w.members(w.schemas[name], append(slices.Clip(within), name))
		return f
	}
	f.Notes = w.notes(s)
	switch values, isMap := s.AdditionalProperties.(*huma.Schema); {
	case len(s.OneOf) > 0:
		kinds := make([]string, len(s.OneOf))
		for i, one := range s.OneOf {
			kinds[i] = w.field(one, within).Type
		}
		f.Type = strings.Join(kinds, " | ")
	case s.Type == huma.TypeArray && s.Items != nil:
		of := w.field(s.Items, within)
		f.Type, f.Fields = fmt.Sprintf(w.words.phrase("list of %s"), of.Type), of.Fields
		f.Notes = append(f.Notes, of.Notes...)
	case isMap:
		of := w.field(values, within)
		f.Type, f.Fields = fmt.Sprintf(w.words.phrase("object of %s by name"), of.Type), of.Fields
	case s.Type == "":
		f.Type = w.words.phrase("any value")
	default:
		f.Type = w.words.phrase(s.Type)
		if len(s.Properties) > 0 {
			f.Fields = w.members(s, append(slices.Clip(within), ""))
		}
	}
	return f
}

// members are the properties of an object: the required ones in their order,
// then the others by name.
func (w docsWriter) members(s *huma.Schema, within []string) []docsField {
	if s == nil {
		return nil
	}
	fields := make([]docsField, 0, len(s.Properties))
	for _, name := range propertyNames(s) {
		f := w.field(s.Properties[name], within)
		required := slices.Contains(s.Required, name)
		f.Name, f.Required, f.Optional = name, required && !w.answers, !required && w.answers
		fields = append(fields, f)
	}
	return fields
}

func propertyNames(s *huma.Schema) []string {
	names := slices.DeleteFunc(slices.Clone(s.Required), func(name string) bool { return s.Properties[name] == nil })
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// notes are the bounds of a value.
func (w docsWriter) notes(s *huma.Schema) []docsNote {
	var notes []docsNote
	add := func(label string, values ...string) {
		notes = append(notes, docsNote{w.words.phrase(label), values})
	}
	if len(s.Enum) > 0 {
		values := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			values[i] = plainText(v)
		}
		add("one of", values...)
	}
	if s.Default != nil {
		add("default", plainText(s.Default))
	}
	if s.Minimum != nil || s.Maximum != nil {
		add("range", interval(s.Minimum, s.Maximum))
	}
	if s.MinLength != nil || s.MaxLength != nil {
		add("length", interval(float(s.MinLength), float(s.MaxLength)))
	}
	if s.MinItems != nil || s.MaxItems != nil {
		add("elements", interval(float(s.MinItems), float(s.MaxItems)))
	}
	if s.Pattern != "" {
		add("pattern", s.Pattern)
	}
	if s.Format != "" && s.Type == huma.TypeString {
		add("format", s.Format)
	}
	if len(s.Examples) > 0 {
		add("example", plainText(s.Examples[0]))
	}
	return notes
}

func float(n *int) *float64 {
	if n == nil {
		return nil
	}
	f := float64(*n)
	return &f
}

func interval(low, high *float64) string {
	switch {
	case high == nil:
		return "≥ " + strconv.FormatFloat(*low, 'f', -1, 64)
	case low == nil:
		return "≤ " + strconv.FormatFloat(*high, 'f', -1, 64)
	}
	return strconv.FormatFloat(*low, 'f', -1, 64) + " – " + strconv.FormatFloat(*high, 'f', -1, 64)
}

// plainText is a value as people read it: text without quotes, else JSON.
func plainText(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

// example is a command that asks for the operation.
func (w docsWriter) example(op *huma.Operation) string {
	var line strings.Builder
	line.WriteString("curl")
	if op.Method != http.MethodGet && (op.Method != http.MethodPost || op.RequestBody == nil) {
		line.WriteString(" -X " + op.Method)
	}
	for _, response := range op.Responses {
		if response.Content["text/event-stream"] != nil {
			line.WriteString(" -N")
		}
	}
	if len(op.Security) == 0 {
		line.WriteString(` -H "Authorization: Bearer $TOKEN"`)
	}
	line.WriteString(` "$DISTRO` + w.exampleAddress(op) + `"`)
	if op.RequestBody != nil {
		for contentType, media := range op.RequestBody.Content {
			line.WriteString(" \\\n  -H 'Content-Type: " + contentType + "'")
			line.WriteString(" \\\n  -d '" + strings.ReplaceAll(w.exampleValue(media.Schema, maxDocsDepth), "'", `'\''`) + "'")
		}
	}
	return line.String()
}

// exampleAddress is the path with its parameters, and those of the query that
// are required or have an example.
func (w docsWriter) exampleAddress(op *huma.Operation) string {
	known := map[string]string{
		"module": "hello_world", "function": "send_hello_world", "queue": "default", "id": "$ID", "name": "1/screenshot.png", "worker": "$WORKER", "stream": "$STREAM",
	}
	address, query := op.Path, url.Values{}
	for _, p := range op.Parameters {
		switch {
		case p.In == "path":
			address = strings.ReplaceAll(address, "{"+p.Name+"}", known[p.Name])
		case p.In == "query" && p.Example != nil:
			query.Set(p.Name, plainText(p.Example))
		case p.In == "query" && len(p.Schema.Examples) > 0:
			query.Set(p.Name, plainText(p.Schema.Examples[0]))
		case p.In == "query" && p.Required && len(p.Schema.Enum) > 0:
			query.Set(p.Name, plainText(p.Schema.Enum[0]))
		}
	}
	if len(query) == 0 {
		return address
	}
	return address + "?" + query.Encode()
}

// exampleValue is a JSON text that a schema takes: of an object the required
// members and those with an example.
func (w docsWriter) exampleValue(s *huma.Schema, depth int) string {
	if name, ok := strings.CutPrefix(s.Ref, schemaPrefix); ok {
		s = w.schemas[name]
	}
	switch {
	case s == nil || depth == 0:
		return "null"
	case len(s.Examples) > 0:
		return jsonText(s.Examples[0])
	case s.Default != nil:
		return jsonText(s.Default)
	case len(s.Enum) > 0:
		return jsonText(s.Enum[0])
	case s.Type == huma.TypeArray:
		return "[" + w.exampleValue(s.Items, depth-1) + "]"
	case s.Type == huma.TypeObject:
		var members []string
		for _, name := range propertyNames(s) {
			if p := s.Properties[name]; slices.Contains(s.Required, name) || len(p.Examples) > 0 {
				members = append(members, jsonText(name)+": "+w.exampleValue(p, depth-1))
			}
		}
		return "{" + strings.Join(members, ", ") + "}"
	case s.Type == huma.TypeInteger, s.Type == huma.TypeNumber:
		return "1"
	case s.Type == huma.TypeBoolean:
		return "true"
	}
	return `"…"`
}

func jsonText(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(data)
}
