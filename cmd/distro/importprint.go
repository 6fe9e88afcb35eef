package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro/internal/app"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

// maxShown is how many rows of a kind the report has; JSON has all.
const maxShown = 40

// printMoveIn prints a report for people: facts, tables, and lines that say what
// happens and what to do.
func (con *console) printMoveIn(m *app.MoveIn) {
	con.printRedis(m)
	con.printSurveyedQueues(m.Queues)
	con.printSurveyedWorkers(m.Workers)
	con.printCalled(m)
	con.printTrouble(m)
	con.heading("`distro up` with this redis_url would first")
	for _, step := range m.First {
		fmt.Fprintln(con.out, "  - "+clean(step.Text))
	}
	if len(m.Notes) > 0 {
		con.heading("Good to know")
		for _, note := range m.Notes {
			fmt.Fprintln(con.out, "  - "+clean(note))
		}
	}
	con.heading("Settings for config.cfg, so that it goes on as it is")
	for _, s := range m.Settings {
		fmt.Fprintf(con.out, "  # %s\n  %s = %s\n", clean(s.Why), s.Name, clean(s.Value))
	}
	con.heading("Next")
	for _, c := range m.Commands {
		fmt.Fprintf(con.out, "  # %s\n  %s\n", clean(c.Does), clean(c.Line))
	}
}

func (con *console) heading(text string) {
	fmt.Fprintln(con.out, "\n"+con.bold(text))
}

func (con *console) printRedis(m *app.MoveIn) {
	var f facts
	f.add("redis", fmt.Sprintf("%s, Redis %s, %s", m.Where, cmp.Or(m.Version, "of an unknown version"), count(int(m.Keys), "key")))
	f.add("RQ of workers", tally(m.RQ))
	var written []string
	for _, w := range m.Jobs.Writers {
		written = append(written, fmt.Sprintf("%s (%s)", w.RQ, count(w.Jobs, "job")))
	}
	f.add("RQ of producers", strings.Join(written, ", "))
	for _, c := range m.Clues {
		f.add("RQ besides", fmt.Sprintf("%s: %s", c.RQ, c.Why))
	}
	f.add("serializers", tally(m.Jobs.Serializers))
	for _, s := range m.Schedulers {
		f.add("scheduler", fmt.Sprintf("%s: %s", s.Queue, s.Who))
	}
	f.add("cron", strings.Join(m.Crons, ", "))
	if m.Suspended {
		f.add("suspended", "yes: no worker takes a job")
	}
	looked := fmt.Sprintf("%s of lists, the calls of %s", count(m.Jobs.Looked, "place"), count(m.Jobs.Read, "job"))
	if m.Jobs.Sampled {
		looked += ": a sample, as there are more; counts of queues are exact"
	}
	f.add("looked at", looked)
	if m.Jobs.Long > 0 {
		f.add("left out", count(m.Jobs.Long, "job")+" with calls too long to be read here; they run all the same")
	}
	f.print(con)
}

// tally writes numbers by name, the names in order.
func tally(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}

func (con *console) printSurveyedQueues(queues []redisbroker.SurveyedQueue) {
	con.heading("Queues")
	g := newGrid(-1, "QUEUE", "QUEUED", "STARTED", "SCHEDULED", "DEFERRED", "FAILED", "FINISHED", "CANCELED", "OLDEST")
	for _, q := range queues[:min(len(queues), maxShown)] {
		g.add(q.Name, q.Queued+q.Intermediate+q.Held, q.Started, q.Scheduled, q.Deferred, q.Failed, q.Finished, q.Canceled, con.moment(q.OldestAt))
	}
	g.print(con, "no queues")
	con.more(len(queues))
}

// more says that a table does not show everything.
func (con *console) more(n int) {
	if n > maxShown {
		fmt.Fprintf(con.out, "and %d more: --json has all\n", n-maxShown)
	}
}

func (con *console) printSurveyedWorkers(workers []redisbroker.SurveyedWorker) {
	con.heading("Workers")
	g := newGrid(-1, "WORKER", "KIND", "STATE", "QUEUES", "PYTHON", "HOST", "SEEN")
	for _, w := range workers[:min(len(workers), maxShown)] {
		kind := "rq " + w.Version
		if w.Distro {
			kind = "distro " + w.Version
		}
		state := cmp.Or(w.State, "alive")
		if !w.Alive {
			state = "gone"
		}
		g.add(w.Name, strings.TrimSpace(kind), state, strings.Join(w.Queues, ", "), w.Python, w.Host, con.moment(w.SeenAt))
	}
	if len(workers) == 0 {
		fmt.Fprintln(con.out, "no workers")
		return
	}
	g.print(con, "no workers")
	con.more(len(workers))
}

func (con *console) printCalled(m *app.MoveIn) {
	if len(m.Functions) == 0 {
		return
	}
	con.heading("Functions that jobs call")
	header := []string{"FUNCTION", "JOBS", "WAITING"}
	if m.Modules != "" {
		header = append(header, "IN --modules", "ABOUT")
	}
	g := newGrid(-1, header...)
	for _, f := range m.Functions[:min(len(m.Functions), maxShown)] {
		name := f.Name
		if f.Class != "" {
			name = f.Class + "()." + f.Name
		}
		cells := []any{name, f.Jobs, f.Waiting}
		if m.Modules != "" {
			cells = append(cells, f.Found, f.Note)
		}
		g.add(cells...)
	}
	g.print(con, "none")
	con.more(len(m.Functions))
}

func (con *console) printTrouble(m *app.MoveIn) {
	if len(m.Jobs.Unreadable) > 0 {
		con.heading("Jobs whose call cannot be read")
		for _, u := range m.Jobs.Unreadable {
			fmt.Fprintf(con.out, "  - %s: %s (%s)\n", count(u.Jobs, "job"), clean(u.Reason), clean(examples(u.IDs, u.Jobs)))
		}
	}
	if len(m.Stranded) > 0 {
		con.heading("Stuck")
		for _, s := range m.Stranded {
			where := ""
			if s.Queue != "" {
				where = s.Queue + ": "
			}
			which := ""
			if len(s.IDs) > 0 {
				which = " (" + examples(s.IDs, int(s.Jobs)) + ")"
			}
			fmt.Fprintln(con.out, "  - "+clean(fmt.Sprintf("%s%s: %d%s; Distro %s", where, s.What, s.Jobs, which, s.Distro)))
		}
	}
	if len(m.IgnorePause) > 0 {
		con.heading("Workers that ignore a pause of Distro's")
		names := m.IgnorePause[:min(len(m.IgnorePause), maxShown)]
		fmt.Fprintln(con.out, "  "+clean(examples(names, len(m.IgnorePause))))
	}
}

// examples names some of n things.
func examples(ids []string, n int) string {
	text := strings.Join(ids, ", ")
	if n > len(ids) {
		text += ", …"
	}
	return text
}
