package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/httpapi"
)

func newModules(con *console) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "modules",
		Short:   "List the modules and what can be called in them",
		Example: "  distro modules\n  distro modules --json",
		Args:    arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return look(cmd.Context(), con, &r, endpoint("automations"), nil, con.printModules)
		},
	}
	r.flags(cmd)
	return cmd
}

func (con *console) printModules(list httpapi.AutomationList) {
	g := newGrid(-1, "MODULE", "FUNCTION", "ABOUT")
	for _, m := range list.Automations {
		switch {
		case m.Error != nil:
			g.add(m.Module, "", fmt.Sprintf("line %d, column %d: %s", m.Error.Line, m.Error.Column, m.Error.Message))
			continue
		case m.Refused != "":
			g.add(m.Module, "", m.Refused)
			continue
		case len(m.Functions) == 0:
			g.add(m.Module, "", firstLine(m.Doc))
		}
		for _, f := range m.Functions {
			g.add(m.Module, signatureText(f), firstLine(f.Doc))
		}
	}
	g.print(con, "no modules: put .py files into modules_path")
}

// signatureText writes a function's parameters as Python does.
func signatureText(f httpapi.Function) string {
	var parts []string
	starred := false
	for i, p := range f.Parameters {
		kind := distro.ParameterKind(p.Kind)
		if kind == distro.KeywordOnly && !starred {
			parts, starred = append(parts, "*"), true
		}
		starred = starred || kind == distro.VarPositional
		parts = append(parts, parameterText(p, kind))
		last := i+1 == len(f.Parameters) || f.Parameters[i+1].Kind != p.Kind
		if kind == distro.PositionalOnly && last {
			parts = append(parts, "/")
		}
	}
	return f.Name + "(" + strings.Join(parts, ", ") + ")"
}

func parameterText(p httpapi.Parameter, kind distro.ParameterKind) string {
	text := p.Name
	switch kind {
	case distro.VarPositional:
		text = "*" + text
	case distro.VarKeyword:
		text = "**" + text
	}
	if p.Annotation != "" {
		text += ": " + p.Annotation
	}
	if p.Default != nil && p.Annotation != "" {
		return text + " = " + *p.Default
	}
	if p.Default != nil {
		return text + "=" + *p.Default
	}
	return text
}
