package httpapi

import (
	"context"

	"github.com/distro-orchestrator/distro/internal/signature"
)

type listAutomationsOutput struct{ Body AutomationList }

func (s *Server) listAutomations(ctx context.Context, _ *struct{}) (*listAutomationsOutput, error) {
	modules, err := s.opts.Service.Automations(ctx)
	if err != nil {
		return nil, err
	}
	out := &listAutomationsOutput{AutomationList{Automations: make([]Automation, len(modules))}}
	for i, m := range modules {
		out.Body.Automations[i] = showModule(m)
	}
	return out, nil
}

type automationInput struct {
	Module string `path:"module" doc:"dotted"`
}

type automationOutput struct{ Body Automation }

func (s *Server) getAutomation(ctx context.Context, in *automationInput) (*automationOutput, error) {
	m, err := s.opts.Service.Automation(ctx, in.Module)
	if err != nil {
		return nil, err
	}
	return &automationOutput{showModule(m)}, nil
}

type sourceOutput struct{ Body ModuleSource }

func (s *Server) getSource(ctx context.Context, in *automationInput) (*sourceOutput, error) {
	source, err := s.opts.Service.Source(ctx, in.Module)
	if err != nil {
		return nil, err
	}
	return &sourceOutput{ModuleSource{
		Module: in.Module, Text: source.Text, Truncated: source.Truncated, Hash: source.Hash, Commit: source.Commit,
	}}, nil
}

type functionInput struct {
	Module   string `path:"module" doc:"dotted"`
	Function string `path:"function"`
}

type functionOutput struct{ Body Function }

func (s *Server) getFunction(ctx context.Context, in *functionInput) (*functionOutput, error) {
	f, err := s.opts.Service.Function(ctx, in.Module, in.Function)
	if err != nil {
		return nil, err
	}
	m, err := s.opts.Service.Automation(ctx, in.Module)
	if err != nil {
		return nil, err
	}
	shown := showFunction(f)
	offered(&shown, m)
	shown.Schema = signature.Schema(f, m.Types...)
	return &functionOutput{shown}, nil
}
