package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// logPage is the number of lines asked for at a time.
const logPage = 1000

func newLogs(con *console) *cobra.Command {
	var r remote
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Print a job's output",
		Long: "Prints what a job wrote: its stdout to stdout, its stderr to stderr, and notes of\n" +
			"Distro to stderr. With --follow it goes on until the job ends.",
		Example: "  distro logs 7d9f0c1e-3a52-4f6b-9a77-5b1f7f0e2c11\n  distro logs 7d9f0c1e-3a52-4f6b-9a77-5b1f7f0e2c11 -f",
		Args:    names(1, 1, "the ID of a job"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.client(con)
			if err != nil {
				return err
			}
			w := &outputWriter{con: con}
			write := w.write
			if r.json {
				write = func(line httpapi.LogLine) error { return json.NewEncoder(con.out).Encode(line) }
			}
			if follow {
				err = c.follow(cmd.Context(), args[0], write)
			} else {
				err = c.readLog(cmd.Context(), args[0], write)
			}
			if finishErr := w.finish(); err == nil {
				err = finishErr
			}
			return err
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the job ends")
	return cmd
}

// readLog hands the lines there are to write.
func (c *client) readLog(ctx context.Context, id string, write func(httpapi.LogLine) error) error {
	for next := int64(1); ; {
		query := url.Values{"from": {strconv.FormatInt(next, 10)}, "count": {strconv.Itoa(logPage)}}
		page, _, err := fetch[httpapi.LogPage](ctx, c, http.MethodGet, endpoint("jobs", id, "log"), query, nil)
		if err != nil {
			return err
		}
		for _, line := range page.Lines {
			if err := write(line); err != nil {
				return fmt.Errorf("print output: %w", err)
			}
		}
		if len(page.Lines) == 0 || page.Next <= next {
			return nil
		}
		next = page.Next
	}
}
