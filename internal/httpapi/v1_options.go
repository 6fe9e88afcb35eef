package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service"
)

const tellOptions = "The function `opcoes_<parameter>` or `options_<parameter>` of the module is called in an ordinary job, and the answer comes when that has ended, within about six seconds. " +
	"Requests at the same time share a job, and what was offered is given again for five minutes while the file of the module is the same. Other values than these may be given all the same."

// ParameterOptions are the values that a module offers for a parameter.
type ParameterOptions struct {
	Function string            `json:"function" doc:"that offers them, module.function"`
	State    string            `json:"state" enum:"ready,pending,no_worker,failed,timeout,unfit" doc:"pending: the job has not ended, and asking again waits for it; no_worker: no job was made, as no worker would take it; unfit: what the function returned is no options"`
	Message  string            `json:"message,omitempty" doc:"why there are none, for people"`
	Job      string            `json:"job_id,omitempty" doc:"the job that called the function"`
	Options  []ParameterOption `json:"options"`
	Cut      bool              `json:"truncated,omitempty" doc:"there were more than 1000"`
	Unfit    int               `json:"unfit,omitempty" doc:"number of values that are left out, as the annotation of the parameter does not take them"`
	Example  string            `json:"unfit_example,omitempty" doc:"what is wrong with one of them"`
	At       *time.Time        `json:"at,omitempty" doc:"when they were offered"`
}

// ParameterOption is one of them.
type ParameterOption struct {
	Value json.RawMessage `json:"value" doc:"as kwargs take it with typed; of a parameter that takes a list, a value or an element of it"`
	Label string          `json:"label,omitempty" doc:"for people; absent: the value says it all"`
}

// TransformSchema describes the value, which may be anything.
func (ParameterOption) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["value"] = &huma.Schema{Description: s.Properties["value"].Description}
	return s
}

type parameterOptionsInput struct {
	Module    string `path:"module" doc:"dotted"`
	Function  string `path:"function"`
	Parameter string `path:"parameter"`
	Refresh   bool   `query:"refresh" doc:"ask the function anew"`
}

type parameterOptionsOutput struct{ Body ParameterOptions }

func (s *Server) parameterOptions(ctx context.Context, in *parameterOptionsInput) (*parameterOptionsOutput, error) {
	ctx, release := s.untilClosing(ctx)
	defer release()
	found, err := s.opts.Service.ParameterOptions(ctx, service.OptionsRequest{
		Module: in.Module, Function: in.Function, Parameter: in.Parameter, Refresh: in.Refresh, Caller: callerOf(ctx).address,
	})
	if err != nil {
		return nil, err
	}
	out := &parameterOptionsOutput{ParameterOptions{
		Function: found.Function, State: string(found.State), Message: found.Message, Job: found.Job, Cut: found.Cut,
		Unfit: found.Unfit, Example: found.Example, At: moment(found.At), Options: make([]ParameterOption, len(found.Options)),
	}}
	for i, o := range found.Options {
		out.Body.Options[i] = ParameterOption{o.Value, o.Label}
	}
	return out, nil
}

// offered names the functions of a module that offer the options of parameters.
func offered(shown *Function, m distro.Module) {
	shown.OptionsOf = m.OptionsOf(shown.Name)
	for i := range shown.Parameters {
		p := &shown.Parameters[i]
		if f, ok := m.OffersOptions(p.Name); ok && f.Name != shown.Name {
			p.Options = f.Name
		}
	}
}
