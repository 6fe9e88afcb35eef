package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/distro-orchestrator/distro"
)

// Groups of commands in the help.
const (
	groupServe = "serve"
	groupJobs  = "jobs"
	groupQueue = "queues"
)

func newRoot(con *console) *cobra.Command {
	root := &cobra.Command{
		Use:   "distro",
		Short: "Distro orchestrates Python automations",
		Long: "Distro lists the functions of a folder of .py files and runs them now or later,\n" +
			"in processes of their own, by priority and with retries.",
		Example:       "  distro up --modules ./automations\n  distro enqueue report.build month=2026-10 --follow",
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true // newCompletion takes its place
	root.SetIn(con.in)
	root.SetOut(con.out)
	root.SetErr(con.err)
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: groupServe, Title: "Serve:"},
		&cobra.Group{ID: groupJobs, Title: "Jobs:"},
		&cobra.Group{ID: groupQueue, Title: "Queues and workers:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	add(groupServe, newUp(con), newWorker(con), newDashboard(con), newDoctor(con), newImport(con), newVersion(con), newCompletion(con))
	add(groupJobs, newModules(con), newEnqueue(con), newJobs(con), newJob(con), newLogs(con),
		newRequeue(con), newCancel(con), newStop(con), newDelete(con))
	add(groupQueue, newInfo(con), newQueues(con), newWorkers(con), newPause(con), newResume(con), newSuspend(con), newEmpty(con))
	root.SetHelpCommand(newHelp(root))
	for _, cmd := range root.Commands() {
		if cmd.ValidArgsFunction == nil && cmd.ValidArgs == nil {
			cmd.ValidArgsFunction = cobra.NoFileCompletions // no command takes names of files
		}
	}
	return root
}

func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about a command",
		Example: "  distro help enqueue",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := unknownCommand(root, args); err != nil {
				return err
			}
			cmd, _, err := root.Find(args)
			if err != nil {
				return err
			}
			return cmd.Help()
		},
	}
}

// unknownCommand is the error for a first argument that is neither a flag nor
// a command. It is looked for before flags are, as those of a mistyped command
// would be refused first otherwise.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return nil
	}
	known := []string{"help"}
	for _, cmd := range root.Commands() {
		known = append(known, cmd.Name())
	}
	for _, name := range append(known, cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd) {
		if args[0] == name {
			return nil
		}
	}
	return usage("unknown command %q%s", args[0], didYouMean(args[0], "", known, "`distro --help` lists them"))
}

func flagError(cmd *cobra.Command, err error) error {
	if value, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		flag := value.GetFlag()
		return usage("--%s: %q is not one of type %s: see `%s --help`", flag.Name, value.GetValue(), flag.Value.Type(), cmd.CommandPath())
	}
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usage("%v: see `%s --help`", err, cmd.CommandPath())
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	name := unknown.GetSpecifiedName()
	return usage("%v%s", err, didYouMean(name, "--", known, fmt.Sprintf("`%s --help` lists them", cmd.CommandPath())))
}

// didYouMean ends an error about an unknown name, which may be mistyped or
// the beginning of one.
func didYouMean(name, prefix string, known []string, otherwise string) string {
	near := distro.Nearest(name, known)
	for _, longer := range known {
		if near == "" && len(name) > 1 && strings.HasPrefix(longer, name) {
			near = longer
		}
	}
	if near != "" {
		return fmt.Sprintf(" (did you mean %q?)", prefix+near)
	}
	return " (" + otherwise + ")"
}

// arguments checks the number of arguments; most < 0 sets no upper limit.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage("%s needs %s: see `%s --help`", cmd.Name(), what, cmd.CommandPath())
		case most == 0 && len(args) > 0:
			return usage("%s takes no arguments, and was given %q", cmd.Name(), args[0])
		case most >= 0 && len(args) > most:
			return usage("%s takes %s, and was given %q too", cmd.Name(), what, args[most])
		}
		return nil
	}
}

// names is arguments of which none may be empty, as a variable of a shell is
// that was never set.
func names(least, most int, what string) cobra.PositionalArgs {
	number := arguments(least, most, what)
	return func(cmd *cobra.Command, args []string) error {
		if err := number(cmd, args); err != nil {
			return err
		}
		if slices.Contains(args, "") {
			return usage("%s needs %s, and was given an empty one", cmd.Name(), what)
		}
		return nil
	}
}
