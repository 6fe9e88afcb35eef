package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro/internal/config"
)

const defaultFile = "config.cfg"

// settingFlags are the flags of the commands that read the settings.
type settingFlags struct {
	file   string
	values map[string]*settingValue // by the setting's name
}

// settingValue is the text of a flag; package config reads it.
type settingValue struct {
	text, hint string
	set        bool
}

func (v *settingValue) String() string { return v.text }
func (v *settingValue) Type() string   { return v.hint }
func (v *settingValue) Set(text string) error {
	v.text, v.set = text, true
	return nil
}

func (f *settingFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "config", defaultFile, "`FILE` of the settings")
	f.values = map[string]*settingValue{}
	for _, s := range config.Settings() {
		if s.Flag == "" {
			continue
		}
		value := &settingValue{hint: s.Hint}
		f.values[s.Name] = value
		usage := s.Meaning + fmt.Sprintf(" (default %s)", s.Default)
		cmd.Flags().Var(value, s.Flag, strings.ReplaceAll(usage, "`", ""))
	}
}

// load reads the settings. The default file may be missing.
func (f *settingFlags) load(cmd *cobra.Command, con *console) (config.Config, error) {
	flags := map[string]string{}
	for name, value := range f.values {
		if value.set {
			flags[name] = value.text
		}
	}
	return config.Load(config.Sources{
		File: f.file, FileRequired: cmd.Flags().Changed("config"), Environ: con.environ, Flags: flags,
	})
}
