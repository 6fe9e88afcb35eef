package service

import (
	"context"
	"io"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/output"
)

// absentCatalog stands for a Catalog where there is none: who only watches a
// queue has no automations.
type absentCatalog struct{}

func errNoCatalog() error {
	return distro.Errorf(distro.CodeUnavailable, "there are no automations here: this server only watches a queue; `distro up` serves them")
}

func (absentCatalog) Modules(context.Context) ([]string, error) { return nil, errNoCatalog() }
func (absentCatalog) All(context.Context) ([]distro.Module, error) {
	return nil, errNoCatalog()
}

func (absentCatalog) Module(context.Context, string) (distro.Module, error) {
	return distro.Module{}, errNoCatalog()
}

func (absentCatalog) FindFunction(distro.Module, string) (distro.Function, error) {
	return distro.Function{}, errNoCatalog()
}

func (absentCatalog) CheckCall(distro.Function, int, []string) error { return errNoCatalog() }

// Source refuses as the others do.
func (absentCatalog) Source(context.Context, string) ([]byte, error) { return nil, errNoCatalog() }

// absentOutput stands for an Output where there is none: what is deleted had
// none.
type absentOutput struct{}

func errNoOutput() error {
	return distro.Errorf(distro.CodeUnavailable, "the output of jobs is not kept here: this server only watches a queue; `distro up` keeps it")
}

func (absentOutput) Read(context.Context, string, int64, int) (output.Page, error) {
	return output.Page{}, errNoOutput()
}

func (absentOutput) Search(context.Context, string, output.Query) (output.Matches, error) {
	return output.Matches{}, errNoOutput()
}

func (absentOutput) Wait(context.Context, string, uint64) error         { return errNoOutput() }
func (absentOutput) WriteText(context.Context, string, io.Writer) error { return errNoOutput() }
func (absentOutput) Delete(string) error                                { return nil }
