package form

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// schema is JSON Schema as package signature writes it.
type schema struct {
	types    []string
	format   string
	enum     [][]byte
	names    []string // of the members of enum, where they have names
	items    *schema
	tuple    []schema
	exact    bool // tuple counts
	values   *schema
	fields   []schemaField
	record   bool // fields count
	any      []schema
	standard []byte
	note     string
	bounds   map[string]json.Number
}

type schemaField struct {
	name     string
	schema   schema
	required bool
}

// wireSchema is schema as it is written.
type wireSchema struct {
	Type        json.RawMessage   `json:"type"`
	Format      string            `json:"format"`
	Enum        []json.RawMessage `json:"enum"`
	Names       []string          `json:"x-names"`
	Items       json.RawMessage   `json:"items"`
	Tuple       []json.RawMessage `json:"prefixItems"`
	Values      json.RawMessage   `json:"additionalProperties"`
	Properties  json.RawMessage   `json:"properties"`
	Required    []string          `json:"required"`
	Any         []json.RawMessage `json:"anyOf"`
	Default     json.RawMessage   `json:"default"`
	Description string            `json:"description"`

	Minimum          json.Number `json:"minimum"`
	ExclusiveMinimum json.Number `json:"exclusiveMinimum"`
	Maximum          json.Number `json:"maximum"`
	ExclusiveMaximum json.Number `json:"exclusiveMaximum"`
	MinLength        json.Number `json:"minLength"`
	MaxLength        json.Number `json:"maxLength"`
	MinItems         json.Number `json:"minItems"`
	MaxItems         json.Number `json:"maxItems"`
}

// readSchema reads what package signature wrote.
func readSchema(text []byte) (schema, error) {
	var w wireSchema
	if err := json.Unmarshal(text, &w); err != nil {
		return schema{}, fmt.Errorf("read a schema: %w", err)
	}
	s := schema{format: w.Format, names: w.Names, standard: w.Default, note: w.Description, bounds: map[string]json.Number{}}
	switch {
	case len(w.Type) == 0:
	case w.Type[0] == '"':
		s.types = []string{jsonscan.Text(w.Type)}
	default:
		if err := json.Unmarshal(w.Type, &s.types); err != nil {
			return schema{}, fmt.Errorf("read the types of a schema: %w", err)
		}
	}
	for _, value := range w.Enum {
		s.enum = append(s.enum, value)
	}
	for name, n := range map[string]json.Number{
		"minimum": w.Minimum, "exclusiveMinimum": w.ExclusiveMinimum, "maximum": w.Maximum, "exclusiveMaximum": w.ExclusiveMaximum,
		"minLength": w.MinLength, "maxLength": w.MaxLength, "minItems": w.MinItems, "maxItems": w.MaxItems,
	} {
		if n != "" {
			s.bounds[name] = n
		}
	}
	s.exact = len(w.Tuple) > 0
	return s, s.readParts(&w)
}

// readParts reads the schemas within.
func (s *schema) readParts(w *wireSchema) (err error) {
	if s.items, err = readInner(w.Items); err != nil {
		return err
	}
	if s.values, err = readInner(w.Values); err != nil {
		return err
	}
	if s.tuple, err = readSchemas(w.Tuple); err != nil {
		return err
	}
	if s.any, err = readSchemas(w.Any); err != nil {
		return err
	}
	if len(w.Properties) == 0 {
		return nil
	}
	s.record = true
	for name, text := range jsonscan.Members(w.Properties) {
		inner, err := readSchema(text)
		if err != nil {
			return err
		}
		s.fields = append(s.fields, schemaField{name, inner, slices.Contains(w.Required, name)})
	}
	return nil
}

func readInner(text json.RawMessage) (*schema, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, nil
	}
	inner, err := readSchema(text)
	return &inner, err
}

func readSchemas(texts []json.RawMessage) ([]schema, error) {
	list := make([]schema, len(texts))
	for i, text := range texts {
		inner, err := readSchema(text)
		if err != nil {
			return nil, err
		}
		list[i] = inner
	}
	return list, nil
}

// alternatives are the schemas one of which a value fits, each of one type, and
// whether null does too. None: any value fits.
func (s *schema) alternatives() (list []schema, nullable bool) {
	if len(s.any) > 0 {
		for i := range s.any {
			inner, null := s.any[i].alternatives()
			list, nullable = append(list, inner...), nullable || null
		}
		return list, nullable
	}
	if len(s.enum) > 0 {
		one := *s
		one.enum, one.names = nil, nil
		for i, value := range s.enum {
			if string(value) == "null" {
				nullable = true
				continue
			}
			one.enum = append(one.enum, value)
			if len(s.names) == len(s.enum) {
				one.names = append(one.names, s.names[i])
			}
		}
		return []schema{one}, nullable
	}
	if s.format == signature.FormatDecimal {
		one := *s
		one.types = []string{"number"}
		return []schema{one}, slices.Contains(s.types, "null")
	}
	for _, kind := range s.types {
		if kind == "null" {
			nullable = true
			continue
		}
		one := *s
		one.types = []string{kind}
		list = append(list, one)
	}
	return list, nullable
}

// kind is the type of an alternative.
func (s *schema) kind() string {
	if len(s.types) > 0 {
		return s.types[0]
	}
	return ""
}
