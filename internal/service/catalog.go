package service

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro"
)

// Catalog lists what can be called. A module it does not list is an error of
// distro.CodeNotFound.
type Catalog interface {
	// Modules returns the names of all modules, sorted, without parsing them.
	Modules(ctx context.Context) ([]string, error)
	// Module returns one module with its functions.
	Module(ctx context.Context, name string) (distro.Module, error)
	// Source returns what the file of a module holds.
	Source(ctx context.Context, name string) ([]byte, error)
	// All returns every module with its functions, sorted by name.
	All(ctx context.Context) ([]distro.Module, error)
	// FindFunction returns a function of a module, or a *distro.Error about
	// the field "module" or "function" that says why it cannot be called.
	FindFunction(module distro.Module, name string) (distro.Function, error)
	// CheckCall returns a *distro.Error whose Field is "args" or
	// "kwargs.<name>" when the signature of f cannot take such a call.
	CheckCall(f distro.Function, positionals int, keywords []string) error
}

// maxName bounds the names of modules and functions, in bytes.
const maxName = 512

// Modules returns the names of all modules, sorted.
func (s *Service) Modules(ctx context.Context) ([]string, error) {
	return s.opts.Catalog.Modules(ctx)
}

// Automations returns every module with its functions.
func (s *Service) Automations(ctx context.Context) ([]distro.Module, error) {
	return s.opts.Catalog.All(ctx)
}

// Automation returns one module with its functions, or distro.CodeNotFound.
func (s *Service) Automation(ctx context.Context, name string) (distro.Module, error) {
	if !dotted(name) {
		return distro.Module{}, noModule(name)
	}
	return s.opts.Catalog.Module(ctx, name)
}

// maxSource bounds the source text that is shown, in bytes.
const maxSource = 1 << 20

// Source is the file of a module, to be read.
type Source struct {
	Text      string // UTF-8; bytes that are none are replaced
	Truncated bool   // Text is the beginning only
	Hash      string // SHA-256 of the whole file, hexadecimal, as Execution.CodeHash
	Commit    string // what is checked out in modules_path; empty: not known, or no work tree of Git
}

// Source returns the source text of a module of the catalog as it is now, or
// distro.CodeNotFound.
func (s *Service) Source(ctx context.Context, name string) (Source, error) {
	if !dotted(name) {
		return Source{}, noModule(name)
	}
	file, err := s.opts.Catalog.Source(ctx, name)
	if err != nil {
		return Source{}, err
	}
	sum := sha256.Sum256(file)
	shown := file[:min(len(file), maxSource)]
	return Source{
		Text: strings.ToValidUTF8(string(shown), "\uFFFD"), Truncated: len(shown) < len(file),
		Hash: hex.EncodeToString(sum[:]), Commit: s.opts.Commit(),
	}, nil
}

func noModule(name string) error {
	return distro.Errorf(distro.CodeNotFound, "there is no module %.100q", name)
}

// Function returns one function of a module, or distro.CodeNotFound.
func (s *Service) Function(ctx context.Context, module, name string) (distro.Function, error) {
	m, err := s.Automation(ctx, module)
	if err != nil {
		return distro.Function{}, err
	}
	i := slices.IndexFunc(m.Functions, func(f distro.Function) bool { return f.Name == name })
	if i < 0 {
		return distro.Function{}, distro.Errorf(distro.CodeNotFound, "module %q has no function %.100q", module, name)
	}
	return m.Functions[i], nil
}

// target is the function that a request names.
type target struct {
	module   string
	function distro.Function
	types    []distro.Type // of the module
}

func (t target) name() string { return t.module + "." + t.function.Name }

// target finds the function of a request. Where the request names module and
// function in one, every refusal is about the field "function".
func (s *Service) target(ctx context.Context, r Request) (target, error) {
	if r.Module == "" {
		t, err := s.split(ctx, r.Function)
		return t, inField(err, "function")
	}
	m, err := s.module(ctx, r.Module)
	if err != nil {
		return target{}, err
	}
	return s.function(m, r.Function)
}

// split finds the function that a dotted name means. The module is the longest
// part in front that is one, so that a.b.c is found as function c of a.b and
// else as method c of class b in a.
func (s *Service) split(ctx context.Context, name string) (target, error) {
	if !dotted(name) || !strings.Contains(name, ".") {
		return target{}, distro.Invalid("function", "%.100q is not a dotted name like module.function", name)
	}
	var first error
	for i, parts := len(name), 0; parts < 2; parts++ {
		if i = strings.LastIndexByte(name[:i], '.'); i < 0 {
			break
		}
		m, err := s.module(ctx, name[:i])
		if err == nil {
			return s.function(m, name[i+1:])
		}
		if distro.ErrorCode(err) != distro.CodeInvalid {
			return target{}, err
		}
		if first == nil {
			first = err
		}
	}
	return target{}, first
}

func (s *Service) module(ctx context.Context, name string) (distro.Module, error) {
	if !dotted(name) {
		return distro.Module{}, distro.Invalid("module", "%.100q is not a module's name: folders are separated by dots, and there is no .py at the end", name)
	}
	m, err := s.opts.Catalog.Module(ctx, name)
	return m, refused(err, "module")
}

func (s *Service) function(m distro.Module, name string) (target, error) {
	if !dotted(name) {
		return target{}, distro.Invalid("function", "%.100q is not a function's name", name)
	}
	f, err := s.opts.Catalog.FindFunction(m, name)
	if err != nil {
		return target{}, refused(err, "function")
	}
	return target{m.Name, f, m.Types}, nil
}

func didYouMean(name string, known []string) string {
	if nearest := distro.Nearest(name, known); nearest != "" {
		return "; did you mean " + nearest + "?"
	}
	return ""
}

// refused turns "not found" into "invalid": in a request to enqueue the name
// is a wrong value, while the address of the request is right.
func refused(err error, field string) error {
	e, ok := errors.AsType[*distro.Error](err)
	if !ok || e.Code != distro.CodeNotFound && e.Code != distro.CodeInvalid {
		return err
	}
	return &distro.Error{Code: distro.CodeInvalid, Field: cmp.Or(e.Field, field), Message: e.Message, Err: e.Err}
}

// inField moves a refusal to a field.
func inField(err error, field string) error {
	if e, ok := errors.AsType[*distro.Error](err); ok && e.Code == distro.CodeInvalid {
		return &distro.Error{Code: e.Code, Field: field, Message: e.Message, Err: e.Err}
	}
	return err
}

// dotted reports whether name is made of Python identifiers and dots. It keeps
// paths and control characters away from the catalog, which knows the rest.
func dotted(name string) bool {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if !identifier(part) {
			return false
		}
	}
	return true
}

func identifier(part string) bool {
	for i, r := range part {
		switch {
		case r == '_', unicode.IsLetter(r), unicode.Is(unicode.Nl, r), unicode.Is(unicode.Other_ID_Start, r):
		case i > 0 && (unicode.In(r, unicode.Nd, unicode.Mn, unicode.Mc, unicode.Pc) || unicode.Is(unicode.Other_ID_Continue, r)):
		default:
			return false
		}
	}
	return part != ""
}
