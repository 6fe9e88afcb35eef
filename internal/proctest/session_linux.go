package proctest

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// inOwnSession also ends the process with us.
func inOwnSession(attributes *syscall.SysProcAttr) {
	attributes.Setsid, attributes.Pdeathsig = true, syscall.SIGKILL
}

// Family lists processes and all they have started: what descends from one that
// has not ended, and what has not left its session, as the work horses of RQ leave
// their worker's group only.
func Family(of ...*Process) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	children, sessions := map[string][]int{}, map[string][]int{}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// After the name, in parentheses: state, parent, group, session.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && len(fields) > 3 {
			children[string(fields[1])] = append(children[string(fields[1])], pid)
			sessions[string(fields[3])] = append(sessions[string(fields[3])], pid)
		}
	}
	var found []int
	add := func(pids ...int) {
		for _, pid := range pids {
			if !slices.Contains(found, pid) {
				found = append(found, pid)
			}
		}
	}
	for _, p := range of {
		if !p.Ended() {
			add(p.Pid())
		}
		add(sessions[strconv.Itoa(p.Pid())]...)
	}
	for i := 0; i < len(found); i++ {
		add(children[strconv.Itoa(found[i])]...)
	}
	return found
}

// SignalAll signals the process first, so that it starts no more, and then the
// rest of its family, with what was started meanwhile.
func (p *Process) SignalAll(sig syscall.Signal) {
	for range 2 {
		family := Family(p) // its children leave it when it dies
		p.Signal(sig)
		for _, pid := range family {
			if pid != p.Pid() {
				_ = syscall.Kill(pid, sig) // it may have ended
			}
		}
	}
}
