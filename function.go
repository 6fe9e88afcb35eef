package distro

import (
	"slices"
	"strings"
)

// Module is one Python file under modules_path.
type Module struct {
	Name      string // dotted, relative to modules_path
	Doc       string
	Functions []Function
	Imported  []string     // names bound by import statements: they belong to other modules and cannot be called
	Types     []Type       // that annotations of its functions may name
	Hash      string       // SHA-256 of the file, hexadecimal
	Error     *SyntaxError // the file does not parse; Functions is empty then
	Shadows   bool         // hides a module of the standard library, so nothing of it can be enqueued
}

// SyntaxError says where a file does not parse.
type SyntaxError struct {
	Message string
	Line    int // from 1
	Column  int // from 1
	Text    string
}

// Function is a Python callable defined in a Module.
type Function struct {
	Name       string // function, or Class.staticmethod
	Doc        string
	Line       int
	Async      bool
	Decorators []string // source text without "@"; a decorated signature is not binding
	Parameters []Parameter
	Returns    string // source text of the annotation
}

// Binding reports whether a call must fit the parameters. What a decorator other
// than staticmethod leaves of a signature cannot be known, so a function that
// has one takes any call.
func (f Function) Binding() bool {
	return !slices.ContainsFunc(f.Decorators, func(d string) bool { return d != "staticmethod" })
}

// ParameterKind is how Python takes an argument, by inspect's names.
type ParameterKind string

// The parameter kinds.
const (
	PositionalOnly      ParameterKind = "POSITIONAL_ONLY"
	PositionalOrKeyword ParameterKind = "POSITIONAL_OR_KEYWORD"
	VarPositional       ParameterKind = "VAR_POSITIONAL"
	KeywordOnly         ParameterKind = "KEYWORD_ONLY"
	VarKeyword          ParameterKind = "VAR_KEYWORD"
)

// Parameter is one parameter of a Function.
type Parameter struct {
	Name       string
	Kind       ParameterKind
	Annotation string  // source text; empty when there is none
	Default    *string // source text; nil when the argument is required
}

// Type is a class or a name of a module, of whose values its source tells.
type Type struct {
	Name   string
	Kind   TypeKind
	Doc    string
	Fields []Parameter // of a record, with what it inherits; of an enumeration its members, whose Default is the value
	Of     string      // source text of what an alias stands for
	Class  bool        // of a record: calling it with its fields by name makes a value; else its values are dicts
}

// TypeKind is what a Type is made of.
type TypeKind string

// The kinds of types.
const (
	Enumeration TypeKind = "ENUM"
	Record      TypeKind = "RECORD" // dataclass, TypedDict, NamedTuple or model; a Default of "..." is a key that may be left out
	Alias       TypeKind = "ALIAS"
)

// optionsPrefixes begin the names of functions that offer the values of a
// parameter, the rest being its name. Of two such functions the first counts.
func optionsPrefixes() []string { return []string{"opcoes_", "options_"} }

// OffersOptions finds the function of m that offers values for a parameter of
// the others.
func (m Module) OffersOptions(parameter string) (Function, bool) {
	for _, prefix := range optionsPrefixes() {
		for _, f := range m.Functions {
			if f.Name == prefix+parameter {
				return f, true
			}
		}
	}
	return Function{}, false
}

// OptionsOf is the parameter of other functions of m for which the function of a
// name offers values; empty: for none.
func (m Module) OptionsOf(function string) string {
	for _, prefix := range optionsPrefixes() {
		parameter, ok := strings.CutPrefix(function, prefix)
		if !ok || parameter == "" {
			continue
		}
		if f, found := m.OffersOptions(parameter); !found || f.Name != function {
			continue
		}
		for _, f := range m.Functions {
			if f.Name != function && slices.ContainsFunc(f.Parameters, func(p Parameter) bool { return p.Name == parameter }) {
				return parameter
			}
		}
	}
	return ""
}

// NeedsArguments reports whether a call without arguments is refused.
func (f Function) NeedsArguments() bool {
	return f.Binding() && slices.ContainsFunc(f.Parameters, func(p Parameter) bool {
		return p.Default == nil && p.Kind != VarPositional && p.Kind != VarKeyword
	})
}
