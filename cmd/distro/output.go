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
	open      *httpapi.LogLine // what was printed last and had not ended, or goes on in another part
	traceback bool             // a note held one
}

func (w *outputWriter) write(line httpapi.LogLine) error {
	if line.Stream == "distro" && strings.HasPrefix(line.Text, "Traceback ") {
		w.traceback = true
	}
	text, err := w.goOn(line)
	if err != nil {
		return err
	}
	end := "\n"
	if line.Open || line.Continued {
		w.open, end = &line, ""
	}
	to, shown := w.target(line.Stream, text)
	_, err = fmt.Fprint(to, shown+end)
	return err
}

// goOn is the part of a line that stands behind what was printed. Between two
// streams a line is ended on a terminal only: in a file each stands by itself.
func (w *outputWriter) goOn(line httpapi.LogLine) (string, error) {
	before := w.open
	if before == nil {
		return line.Text, nil
	}
	if before.Continued && (before.Stream == line.Stream || !w.con.outTerminal && !w.con.errTerminal) {
		w.open = nil
		return line.Text, nil
	}
	if rest, same := strings.CutPrefix(line.Text, before.Text); same && line.Number == before.Number {
		w.open = nil
		return rest, nil
	}
	return line.Text, w.finish()
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
