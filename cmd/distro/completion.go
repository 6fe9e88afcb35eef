package main

import (
	"io"
	"slices"

	"github.com/spf13/cobra"
)

// shell is a shell that can complete commands, and how its script is made.
type shell struct {
	name   string
	script func(root *cobra.Command, to io.Writer) error
}

func shells() []shell {
	return []shell{
		{"bash", func(root *cobra.Command, to io.Writer) error { return root.GenBashCompletionV2(to, true) }},
		{"fish", func(root *cobra.Command, to io.Writer) error { return root.GenFishCompletion(to, true) }},
		{"powershell", (*cobra.Command).GenPowerShellCompletionWithDesc},
		{"zsh", (*cobra.Command).GenZshCompletion},
	}
}

func newCompletion(con *console) *cobra.Command {
	var names []string
	for _, s := range shells() {
		names = append(names, s.name)
	}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what makes a shell complete commands: bash, fish, powershell or zsh",
		Long: "Prints a script that makes a shell complete the commands and flags of distro. The package for\n" +
			"Debian installs those of bash, fish and zsh.",
		Example: "  distro completion bash > /etc/bash_completion.d/distro\n" +
			"  distro completion zsh > \"${fpath[1]}/_distro\"\n" +
			"  distro completion fish > ~/.config/fish/completions/distro.fish\n" +
			"  distro completion powershell | Out-String | Invoke-Expression",
		Args:      arguments(1, 1, "the name of a shell"),
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			i := slices.Index(names, args[0])
			if i < 0 {
				return usage("there is no completion for %q%s", args[0], didYouMean(args[0], "", names, "bash, fish, powershell and zsh have one"))
			}
			return shells()[i].script(cmd.Root(), con.out)
		},
	}
}
