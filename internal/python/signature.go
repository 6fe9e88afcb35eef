package python

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// FindFunction returns a function of a module. Its errors are for people: of
// distro.CodeInvalid, Field "module", where nothing of the module can be called;
// of distro.CodeInvalid, Field "function", where name is there but cannot be
// called; else of distro.CodeNotFound, Field "function".
func FindFunction(module distro.Module, name string) (distro.Function, error) {
	if module.Shadows {
		top, _, _ := strings.Cut(module.Name, ".")
		return distro.Function{}, distro.Invalid("module",
			"%q hides the module %q of Python's standard library: rename it", module.Name, top)
	}
	if e := module.Error; e != nil {
		return distro.Function{}, distro.Invalid("module",
			"%q cannot be imported: %s (line %d, column %d)", module.Name, e.Message, e.Line, e.Column)
	}
	names := make([]string, len(module.Functions))
	for i, f := range module.Functions {
		if f.Name == name {
			return f, nil
		}
		names[i] = f.Name
	}
	first, _, _ := strings.Cut(name, ".")
	switch {
	case slices.Contains(module.Imported, first):
		return distro.Function{}, distro.Invalid("function",
			"%.100q is only imported by module %q: functions are called in the module that defines them", name, module.Name)
	case strings.HasPrefix(name, "_") || strings.Contains(name, "._"):
		return distro.Function{}, distro.Invalid("function",
			"%.100q begins with an underscore: such functions are private to module %q", name, module.Name)
	}
	return distro.Function{}, &distro.Error{Code: distro.CodeNotFound, Field: "function",
		Message: fmt.Sprintf("module %q defines no function or static method %.100q", module.Name, name) + didYouMean(name, names)}
}

// CheckCall reports whether a call with this number of positional arguments and
// these keyword arguments can bind to f's parameters. The error is of
// distro.CodeInvalid and names the first argument in the way: Field is "args"
// or "kwargs.<name>". Functions whose signature is not binding take any call.
func CheckCall(f distro.Function, positionals int, keywords []string) error {
	if !f.Binding() {
		return nil
	}
	s := signatureOf(f)
	if s.args < positionals && !s.varArgs {
		return distro.Invalid("args", "%s takes at most %d positional %s, and %d were given",
			f.Name, s.args, plural(s.args, "argument"), positionals)
	}
	given := make(map[string]bool, len(keywords))
	for _, name := range keywords {
		if given[name] {
			return distro.Invalid(keywordField(name), "%s was given this argument twice", f.Name)
		}
		given[name] = true
		if err := s.checkKeyword(f, name, positionals); err != nil {
			return err
		}
	}
	return s.checkMissing(f, given, positionals)
}

// CheckCall is the function CheckCall, for callers that know an interface only.
func (*Catalog) CheckCall(f distro.Function, positionals int, keywords []string) error {
	return CheckCall(f, positionals, keywords)
}

// FindFunction is the function FindFunction, for callers that know an interface
// only.
func (*Catalog) FindFunction(module distro.Module, name string) (distro.Function, error) {
	return FindFunction(module, name)
}

// signature is a Function's parameters as a call meets them.
type signature struct {
	args     int      // parameters that take positional arguments
	byName   []string // parameters that take keyword arguments
	varArgs  bool
	varNames bool
}

func signatureOf(f distro.Function) signature {
	var s signature
	for _, p := range f.Parameters {
		switch p.Kind {
		case distro.PositionalOnly:
			s.args++
		case distro.PositionalOrKeyword:
			s.args++
			s.byName = append(s.byName, p.Name)
		case distro.KeywordOnly:
			s.byName = append(s.byName, p.Name)
		case distro.VarPositional:
			s.varArgs = true
		case distro.VarKeyword:
			s.varNames = true
		}
	}
	return s
}

func (s signature) checkKeyword(f distro.Function, name string, positionals int) error {
	i := slices.IndexFunc(f.Parameters, func(p distro.Parameter) bool { return p.Name == name })
	isParameter := i >= 0 && slices.Contains(s.byName, name)
	switch {
	case isParameter && f.Parameters[i].Kind == distro.PositionalOrKeyword && i < positionals:
		return distro.Invalid(keywordField(name), "%s was given this argument by position too", f.Name)
	case isParameter || s.varNames:
		return nil
	case i >= 0 && f.Parameters[i].Kind == distro.PositionalOnly:
		return distro.Invalid(keywordField(name), "%s takes this argument by position only", f.Name)
	}
	return distro.Invalid(keywordField(name), "%s takes no argument of this name%s", f.Name, didYouMean(name, s.byName))
}

func (s signature) checkMissing(f distro.Function, given map[string]bool, positionals int) error {
	for i, p := range f.Parameters {
		if p.Default != nil {
			continue
		}
		byPosition := i < positionals
		switch p.Kind {
		case distro.PositionalOnly:
			if !byPosition {
				return distro.Invalid("args", "%s needs its argument %s, by position", f.Name, p.Name)
			}
		case distro.PositionalOrKeyword:
			if !byPosition && !given[p.Name] {
				return distro.Invalid(keywordField(p.Name), "%s needs this argument", f.Name)
			}
		case distro.KeywordOnly:
			if !given[p.Name] {
				return distro.Invalid(keywordField(p.Name), "%s needs this argument, by name", f.Name)
			}
		case distro.VarPositional, distro.VarKeyword: // may always be empty
		}
	}
	return nil
}

// keywordField names a keyword argument in the notation of a request.
func keywordField(name string) string {
	const longest = 100
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "") + "…"
	}
	return "kwargs." + name
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
