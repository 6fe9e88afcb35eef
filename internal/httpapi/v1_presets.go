package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service"
)

const (
	presetPath = "/api/v1/automations/{module}/{function}/presets/{name}"

	tellPresets = "What masked fields hold, passwords and tokens by the name or the type of the parameter, is not kept; `omitted` names what lacks something for it."
)

// NewPreset is the body of PUT /api/v1/automations/{module}/{function}/presets/{name}.
type NewPreset struct {
	Args    json.RawMessage `json:"args,omitempty" doc:"positional arguments, a list"`
	Kwargs  json.RawMessage `json:"kwargs,omitempty" doc:"keyword arguments, an object"`
	Typed   bool            `json:"typed,omitempty" doc:"they are meant for a request with typed, and what does not fit the annotations is refused"`
	Queue   string          `json:"queue,omitempty" doc:"default: none is kept"`
	Delay   string          `json:"delay,omitempty" doc:"time to wait first, like 2h10m20s"`
	Timeout string          `json:"timeout,omitempty" doc:"of one attempt, like 90s; \"none\" for no limit"`
	Retries *int            `json:"retries,omitempty" minimum:"0" maximum:"100" doc:"attempts that may follow a failed one"`
}

// TransformSchema describes arguments.
func (NewPreset) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	callProperties(s)
	s.Properties["kwargs"].Examples = []any{map[string]any{"month": "2026-10"}}
	return s
}

// Preset is arguments of a function that somebody keeps by a name.
type Preset struct {
	Name    string          `json:"name"`
	Args    json.RawMessage `json:"args"`
	Kwargs  json.RawMessage `json:"kwargs"`
	Typed   bool            `json:"typed,omitempty"`
	Queue   string          `json:"queue,omitempty"`
	Delay   string          `json:"delay,omitempty"`
	Timeout string          `json:"timeout,omitempty" doc:"\"none\": no limit"`
	Retries *int            `json:"retries,omitempty"`
	Caller  string          `json:"caller,omitempty" doc:"who saved it"`
	SavedAt *time.Time      `json:"saved_at,omitempty"`
	Omitted []string        `json:"omitted,omitempty" doc:"in the answer to a request that saves it: parameters of which something is not kept, as masked fields hold it"`
}

// TransformSchema describes arguments.
func (Preset) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	callProperties(s)
	return s
}

// PresetList is the presets of a function.
type PresetList struct {
	Presets []Preset `json:"presets" doc:"by name, at most 100"`
}

type presetInput struct {
	Module   string `path:"module" doc:"dotted"`
	Function string `path:"function"`
	Name     string `path:"name" doc:"1 to 80 characters, percent-escaped; its case does not matter"`
}

type newPresetInput struct {
	Module   string `path:"module" doc:"dotted"`
	Function string `path:"function"`
	Name     string `path:"name" doc:"1 to 80 characters, percent-escaped; its case does not matter"`
	Body     NewPreset
}

type presetOutput struct{ Body Preset }

type newPresetOutput struct {
	Status   int
	Location string `header:"Location"`
	Body     Preset
}

type listPresetsOutput struct{ Body PresetList }

func (s *Server) listPresets(ctx context.Context, in *functionInput) (*listPresetsOutput, error) {
	list, err := s.opts.Service.Presets(ctx, in.Module, in.Function)
	if err != nil {
		return nil, err
	}
	out := &listPresetsOutput{PresetList{Presets: make([]Preset, len(list))}}
	for i, p := range list {
		out.Body.Presets[i] = showPreset(p)
	}
	return out, nil
}

func (s *Server) getPreset(ctx context.Context, in *presetInput) (*presetOutput, error) {
	p, err := s.opts.Service.Preset(ctx, in.Module, in.Function, in.Name)
	if err != nil {
		return nil, err
	}
	return &presetOutput{showPreset(p)}, nil
}

func (s *Server) savePreset(ctx context.Context, in *newPresetInput) (*newPresetOutput, error) {
	p := service.Preset{
		Name: in.Name, Args: in.Body.Args, Kwargs: in.Body.Kwargs, Typed: in.Body.Typed, Queue: in.Body.Queue, Retries: in.Body.Retries,
		Caller: callerOf(ctx).address,
	}
	var err error
	if p.Delay, err = presetTime("delay", in.Body.Delay); err != nil {
		return nil, err
	}
	if p.Timeout, err = presetTime("timeout", in.Body.Timeout); err != nil {
		return nil, err
	}
	saved, created, err := s.opts.Service.SavePreset(ctx, in.Module, in.Function, p, true)
	if err != nil {
		return nil, err
	}
	out := &newPresetOutput{
		Status: http.StatusOK, Body: showPreset(saved),
		Location: "/api/v1/automations/" + url.PathEscape(in.Module) + "/" + url.PathEscape(in.Function) + "/presets/" + url.PathEscape(in.Name),
	}
	if created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

func (s *Server) deletePreset(ctx context.Context, in *presetInput) (*struct{}, error) {
	return nil, s.opts.Service.DeletePreset(ctx, in.Module, in.Function, in.Name)
}

// noLimit is how a timeout is written that is none.
const noLimit = "none"

// presetTime reads a length of time; 0: it is not given.
func presetTime(field, text string) (time.Duration, error) {
	switch {
	case text == "":
		return 0, nil
	case field == "timeout" && text == noLimit:
		return distro.Forever, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, distro.Invalid(field, "%.40q is not a time like 1h30m", text)
	}
	return d, nil
}

func showPreset(p service.Preset) Preset {
	shown := Preset{
		Name: p.Name, Args: p.Args, Kwargs: p.Kwargs, Typed: p.Typed, Queue: p.Queue, Retries: p.Retries,
		Caller: p.Caller, SavedAt: moment(p.SavedAt), Omitted: p.Omitted,
	}
	if p.Delay > 0 {
		shown.Delay = p.Delay.String()
	}
	switch {
	case p.Timeout == distro.Forever:
		shown.Timeout = noLimit
	case p.Timeout > 0:
		shown.Timeout = p.Timeout.String()
	}
	return shown
}

// saves describes the answer to a request that makes something, or replaces it.
func saves[T any](schemas huma.Registry, op *huma.Operation) {
	gives[T](http.StatusCreated)(schemas, op)
	op.Responses["201"].Headers = location(schemas)
	op.Responses["200"] = describeBody[T](schemas, "application/json", "Of one that was replaced")
	op.Responses["200"].Headers = location(schemas)
	conflicts(schemas, op)
	op.DefaultStatus = http.StatusCreated
}
