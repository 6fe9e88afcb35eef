package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
	"github.com/distro-orchestrator/distro/internal/store"
)

// MaxPresetName is how many characters the name of a preset may have.
const MaxPresetName = 80

// Presets keeps what people keep for calls of functions: store.Store.
type Presets interface {
	SavePreset(ctx context.Context, p store.Preset, replace bool) (created bool, err error)
	Preset(ctx context.Context, module, function, name string) (store.Preset, error)
	Presets(ctx context.Context, module, function string) ([]store.Preset, error)
	PresetNames(ctx context.Context, module, function string) ([]string, error)
	DeletePreset(ctx context.Context, module, function, name string) error
}

// Preset is arguments of one function, and how a job with them is to run, kept by
// a name. What is missing among them is left as it is.
type Preset struct {
	Name    string
	Args    []byte // JSON list
	Kwargs  []byte // JSON object
	Typed   bool   // they are meant for a Typed request
	Queue   string // empty: none
	Delay   time.Duration
	Timeout time.Duration // distro.Forever; 0: none
	Retries *int

	Caller  string // who saved it
	SavedAt time.Time
	Omitted []string // of a preset that is saved: what is not kept, as masked fields hold it
}

// kept is the content of a preset in history.
type kept struct {
	Args    json.RawMessage `json:"args"`
	Kwargs  json.RawMessage `json:"kwargs"`
	Typed   bool            `json:"typed,omitempty"`
	Queue   string          `json:"queue,omitempty"`
	Delay   time.Duration   `json:"delay,omitempty"`
	Timeout time.Duration   `json:"timeout,omitempty"`
	Retries *int            `json:"retries,omitempty"`
}

// HasPresets reports whether presets are kept.
func (s *Service) HasPresets() bool { return s.opts.History != nil }

// SavePreset keeps a preset of a function; created says that there was none of its
// name, whatever the case. With replace one of that name is replaced, without it is
// distro.CodeConflict. A call may lack arguments, but what is there has to fit:
// refusals name "name", "args", "kwargs", "kwargs.<name>", "queue", "delay",
// "timeout" or "retries". What masked fields hold, passwords and tokens, is not
// kept, and named in Omitted.
func (s *Service) SavePreset(ctx context.Context, module, function string, p Preset, replace bool) (saved Preset, created bool, err error) {
	t, err := s.presetTarget(ctx, module, function)
	if err != nil {
		return Preset{}, false, err
	}
	if err := checkPresetName(p.Name); err != nil {
		return Preset{}, false, err
	}
	a, err := s.presetCall(t, p)
	if err != nil {
		return Preset{}, false, err
	}
	if err := s.checkPresetOptions(p); err != nil {
		return Preset{}, false, err
	}
	p.Args, p.Kwargs, p.Omitted = newTyping(t).unmasked(t, a)
	content, err := json.Marshal(kept{p.Args, p.Kwargs, p.Typed, p.Queue, p.Delay, p.Timeout, p.Retries})
	if err != nil {
		return Preset{}, false, fmt.Errorf("encode preset %q: %w", p.Name, err) // its parts are checked JSON
	}
	if len(content) > store.MaxPreset {
		return Preset{}, false, distro.Invalid("args", "the arguments take %d bytes; a preset keeps at most %d", len(content), store.MaxPreset)
	}
	p.Caller, p.SavedAt = cutCaller(p.Caller), s.opts.Now().UTC().Truncate(time.Microsecond)
	created, err = s.opts.History.SavePreset(ctx, store.Preset{
		Module: module, Function: function, Name: p.Name, Content: string(content), Caller: p.Caller, SavedAt: p.SavedAt,
	}, replace)
	if err != nil {
		return Preset{}, false, presetFault(err, p.Name)
	}
	s.opts.Logger.InfoContext(ctx, "preset saved", "function", t.name(), "preset", p.Name)
	return p, created, nil
}

// Presets are those of a function, by name.
func (s *Service) Presets(ctx context.Context, module, function string) ([]Preset, error) {
	if _, err := s.presetTarget(ctx, module, function); err != nil {
		return nil, err
	}
	list, err := s.opts.History.Presets(ctx, module, function)
	if err != nil {
		return nil, presetFault(err, "")
	}
	found := make([]Preset, len(list))
	for i := range list {
		found[i] = readPreset(&list[i])
	}
	return found, nil
}

// PresetNames are the names of Presets.
func (s *Service) PresetNames(ctx context.Context, module, function string) ([]string, error) {
	if _, err := s.presetTarget(ctx, module, function); err != nil {
		return nil, err
	}
	names, err := s.opts.History.PresetNames(ctx, module, function)
	if err != nil {
		return nil, presetFault(err, "")
	}
	return names, nil
}

// Preset is one of a function, by its name, whatever the case, or
// distro.CodeNotFound.
func (s *Service) Preset(ctx context.Context, module, function, name string) (Preset, error) {
	if _, err := s.presetTarget(ctx, module, function); err != nil {
		return Preset{}, err
	}
	p, err := s.opts.History.Preset(ctx, module, function, name)
	if errors.Is(err, store.ErrNotFound) {
		return Preset{}, s.noPreset(ctx, module, function, name)
	}
	if err != nil {
		return Preset{}, presetFault(err, name)
	}
	return readPreset(&p), nil
}

// noPreset says that there is no preset of a name, and which one may be meant.
func (s *Service) noPreset(ctx context.Context, module, function, name string) error {
	names, err := s.opts.History.PresetNames(ctx, module, function)
	if err != nil {
		return presetFault(err, name)
	}
	return distro.Errorf(distro.CodeNotFound, "there is no preset %.100q%s", name, didYouMean(name, names))
}

// DeletePreset deletes one of a function, by its name, whatever the case, or is
// distro.CodeNotFound.
func (s *Service) DeletePreset(ctx context.Context, module, function, name string) error {
	t, err := s.presetTarget(ctx, module, function)
	if err != nil {
		return err
	}
	if err := s.opts.History.DeletePreset(ctx, module, function, name); err != nil {
		return presetFault(err, name)
	}
	s.opts.Logger.InfoContext(ctx, "preset deleted", "function", t.name(), "preset", name)
	return nil
}

// presetTarget finds the function of presets, or is distro.CodeNotFound.
func (s *Service) presetTarget(ctx context.Context, module, function string) (target, error) {
	if s.opts.History == nil {
		return target{}, errForgets()
	}
	m, err := s.Automation(ctx, module)
	if err != nil {
		return target{}, err
	}
	i := slices.IndexFunc(m.Functions, func(f distro.Function) bool { return f.Name == function })
	if i < 0 {
		return target{}, distro.Errorf(distro.CodeNotFound, "module %q has no function %.100q", module, function)
	}
	return target{m.Name, m.Functions[i], m.Types}, nil
}

func presetFault(err error, name string) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return distro.Errorf(distro.CodeNotFound, "there is no preset %.100q", name)
	case errors.Is(err, store.ErrConflict):
		return &distro.Error{Code: distro.CodeConflict, Field: "name", Message: fmt.Sprintf("there is already another preset %.100q", name)}
	case errors.Is(err, store.ErrMany):
		return distro.Errorf(distro.CodeConflict, "the function has %d presets already, and no more are kept: delete one first", store.MaxPresets)
	}
	return historyFault(err)
}

// readPreset reads what SavePreset wrote. What cannot be read is empty.
func readPreset(p *store.Preset) Preset {
	var k kept
	_ = json.Unmarshal([]byte(p.Content), &k) // else what could be read of it
	found := Preset{
		Name: p.Name, Args: k.Args, Kwargs: k.Kwargs, Typed: k.Typed, Queue: k.Queue, Delay: k.Delay, Timeout: k.Timeout, Retries: k.Retries,
		Caller: p.Caller, SavedAt: p.SavedAt,
	}
	if jsonscan.Check(found.Args, MaxDepth) != nil || jsonscan.KindOf(found.Args) != jsonscan.List {
		found.Args = []byte("[]")
	}
	if jsonscan.Check(found.Kwargs, MaxDepth) != nil || jsonscan.KindOf(found.Kwargs) != jsonscan.Object {
		found.Kwargs = []byte("{}")
	}
	return found
}

// checkPresetName refuses what is no name for people, or for an address.
func checkPresetName(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case name == "":
		return distro.Invalid("name", "is missing")
	case n > MaxPresetName:
		return distro.Invalid("name", "has %d characters; at most %d are kept", n, MaxPresetName)
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return distro.Invalid("name", "must be printable text of one line")
	case strings.TrimSpace(name) != name:
		return distro.Invalid("name", "must not begin or end with a blank")
	case strings.Trim(name, ".") == "":
		return distro.Invalid("name", "must not be made of dots alone")
	}
	return nil
}

// presetCall checks the arguments of a preset as far as they are there.
func (s *Service) presetCall(t target, p Preset) (arguments, error) {
	a, err := s.arguments(Request{Args: p.Args, Kwargs: p.Kwargs})
	if err != nil {
		return a, err
	}
	if unknown := unknownNames(t.function, a); len(unknown) > 0 {
		return a, distro.Invalid(keyword(unknown[0]), "%s has no such parameter", t.function.Name)
	}
	if most, bounded := positions(t.function); bounded && a.positionals > most {
		return a, distro.Invalid("args", "%s takes at most %d by position, and %d were given", t.function.Name, most, a.positionals)
	}
	for i := range min(a.positionals, len(t.function.Parameters)) {
		if name := positionName(t.function, i); slices.Contains(a.keywords, name) && named(t.function, name) {
			return a, distro.Invalid(keyword(name), "is given by position already")
		}
	}
	if p.Typed {
		if _, _, err := newTyping(t).call(a); err != nil {
			return a, err
		}
	}
	return a, nil
}

// unknownNames are the keyword arguments that f does not take.
func unknownNames(f distro.Function, a arguments) []string {
	if !f.Binding() || slices.ContainsFunc(f.Parameters, func(p distro.Parameter) bool { return p.Kind == distro.VarKeyword }) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(a.keywords), func(name string) bool { return named(f, name) })
}

// named reports whether f takes a keyword argument of a name as a parameter.
func named(f distro.Function, name string) bool {
	return slices.ContainsFunc(f.Parameters, func(p distro.Parameter) bool {
		return p.Name == name && (p.Kind == distro.PositionalOrKeyword || p.Kind == distro.KeywordOnly)
	})
}

// positions is how many arguments f takes by position, where that is bounded.
func positions(f distro.Function) (most int, bounded bool) {
	for _, p := range f.Parameters {
		switch p.Kind {
		case distro.PositionalOnly, distro.PositionalOrKeyword:
			most++
		case distro.VarPositional:
			return 0, false
		case distro.KeywordOnly, distro.VarKeyword:
		}
	}
	return most, f.Binding()
}

func (s *Service) checkPresetOptions(p Preset) error {
	if p.Queue != "" {
		if _, err := s.queue(p.Queue); err != nil {
			return err
		}
	}
	r := Request{Delay: p.Delay, Timeout: p.Timeout, Retries: p.Retries}
	if _, err := s.due(r); err != nil {
		return err
	}
	_, _, err := s.limits(r)
	return err
}

// Fitting is what of a preset still fits a function, and the names of the
// parameters and options whose values do not: the signature, or the configuration,
// has changed since.
func (s *Service) Fitting(m distro.Module, f distro.Function, p Preset) (fits Preset, unfit []string) {
	t := target{m.Name, f, m.Types}
	y := newTyping(t)
	fits = p
	var args, kwargs [][]byte
	n := 0
	most, bounded := positions(f)
	for value := range jsonscan.Elements(p.Args) {
		if bounded && n >= most || len(args) < n || p.Typed && !y.fits(y.at(n), value) {
			unfit = append(unfit, positionName(f, n))
		} else {
			args = append(args, value)
		}
		n++
	}
	var names []string
	for name := range jsonscan.Members(p.Kwargs) {
		names = append(names, name)
	}
	gone := unknownNames(f, arguments{keywords: names})
	for name, value := range jsonscan.Members(p.Kwargs) {
		if slices.Contains(gone, name) || p.Typed && !y.fits(y.of(name), value) {
			unfit = append(unfit, name)
			continue
		}
		kwargs = append(kwargs, slices.Concat(jsonText(name), []byte(":"), value))
	}
	fits.Args = slices.Concat([]byte("["), bytes.Join(args, []byte(",")), []byte("]"))
	fits.Kwargs = slices.Concat([]byte("{"), bytes.Join(kwargs, []byte(",")), []byte("}"))
	if p.Queue != "" && !slices.Contains(s.opts.Queues, p.Queue) {
		fits.Queue, unfit = "", append(unfit, "queue")
	}
	return fits, unfit
}
