// Command gen writes docs/configuration.md, which is made of the table of
// settings. It runs in the folder of package config, as go generate does.
package main

import (
	"fmt"
	"os"

	"github.com/distro-orchestrator/distro/internal/config"
)

func main() {
	if err := os.WriteFile("../../docs/configuration.md", []byte(config.Markdown()), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
