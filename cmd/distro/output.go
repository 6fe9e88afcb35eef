package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// outputWriter prints a job's output: its stdout to ours, its stderr to ours,
// and what Distro notes, dimmed, to stderr.
type outputWriter struct {
	con       *console
	open      *httpapi.LogLine // the line that was printed and had not ended
	traceback bool             // a note held one
}

func (w *outputWriter) write(line httpapi.LogLine) error {
	text := line.Text
	if line.Stream == "distro" && strings.HasPrefix(text, "Traceback ") {
		w.traceback = true
	}
	if w.open != nil {
		rest, same := strings.CutPrefix(text, w.open.Text)
		if same && line.Number == w.open.Number {
			text = rest
		} else if err := w.finish(); err != nil {
			return err
		}
	}
	w.open = nil
	end := "\n"
	if line.Open {
		w.open, end = &line, ""
	}
	to, shown := w.target(line.Stream, text)
	_, err := fmt.Fprint(to, shown+end)
	return err
}

// finish ends a line that was left open.
func (w *outputWriter) finish() error {
	if w.open == nil {
		return nil
	}
	to, _ := w.target(w.open.Stream, "")
	w.open = nil
	_, err := fmt.Fprintln(to)
	return err
}

// target is where a stream's text goes, and how it looks there: programs get
// it as it is.
func (w *outputWriter) target(stream, text string) (io.Writer, string) {
	con := w.con
	switch {
	case stream == "stdout" && con.outTerminal:
		return con.out, cleanOutput(text, con.colors)
	case stream == "stdout":
		return con.out, text
	case stream == "distro":
		return con.err, con.dim(clean(text))
	case con.errTerminal:
		return con.err, cleanOutput(text, con.colors)
	}
	return con.err, text
}
