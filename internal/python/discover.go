package python

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"time"

	"github.com/distro-orchestrator/distro"
)

//go:embed discover.py
var discoverProgram string

// discoverBootstrap takes the program from stdin: the list of processes stays
// readable, and there is no file to be found or left behind.
const discoverBootstrap = `import sys; exec(compile(sys.stdin.buffer.read(int(sys.argv[1])), "discover.py", "exec"))`

const (
	maxDescription = 8 << 20 // bytes; discover.py keeps to it
	discoveryGrace = time.Second
)

// errDiscoveryDied: the process ended, or spoke nonsense, before it answered.
var errDiscoveryDied = errors.New("discovery process ended without an answer")

// discovery is a process of discover.py. It has one user at a time.
type discovery struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr headBuffer // complete once the process was waited for
}

// startDiscovery starts the process, and waits until it is ready or ctx ends.
// It runs apart from the environment of the user's jobs: neither PYTHONPATH nor
// site packages can get between it and its standard library. It ends when stdin
// does, so it cannot outlive this process.
func startDiscovery(ctx context.Context, interpreter Interpreter) (*discovery, error) {
	d := &discovery{stderr: headBuffer{limit: 4 << 10}}
	lifetime := context.WithoutCancel(ctx) // ctx is only the first caller's
	d.cmd = exec.CommandContext(lifetime, interpreter.Executable, "-I", "-S", "-B", "-c", discoverBootstrap, strconv.Itoa(len(discoverProgram)))
	d.cmd.Stderr = &d.stderr
	d.cmd.WaitDelay = discoveryGrace
	stdin, err := d.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start discovery with %q: %w", interpreter.Executable, err)
	}
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start discovery with %q: %w", interpreter.Executable, err)
	}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start discovery with %q: %w", interpreter.Executable, err)
	}
	d.stdin, d.stdout = stdin, bufio.NewReader(stdout)
	err = d.until(ctx, func() error {
		if _, err := io.WriteString(stdin, discoverProgram); err != nil {
			return err
		}
		_, err := d.receive()
		return err
	})
	if err != nil {
		if said := d.stop(true); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return nil, fmt.Errorf("start discovery with %q: %w", interpreter.Executable, err)
	}
	return d, nil
}

// describe asks what a file with this source defines. An error is the cause of
// ctx when ctx ends first, else errDiscoveryDied. After an error the process is
// of no use any more and must be stopped.
func (d *discovery) describe(ctx context.Context, source []byte) (module distro.Module, err error) {
	err = d.until(ctx, func() error {
		if err := d.exchange(source, &module); err != nil {
			return fmt.Errorf("%w: %w", errDiscoveryDied, err)
		}
		return nil
	})
	return module, err
}

func (d *discovery) exchange(source []byte, module *distro.Module) error {
	request := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(source)), uint32(len(source)))
	if _, err := d.stdin.Write(append(request, source...)); err != nil {
		return err
	}
	answer, err := d.receive()
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, module)
}

// until talks to the process, and kills it when ctx ends first.
func (d *discovery) until(ctx context.Context, talk func() error) error {
	killed := make(chan struct{})
	disarm := context.AfterFunc(ctx, func() {
		_ = d.cmd.Process.Kill() // fails only when it has ended
		close(killed)
	})
	err := talk()
	if !disarm() {
		<-killed
		return context.Cause(ctx)
	}
	return err
}

func (d *discovery) receive() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(d.stdout, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxDescription {
		return nil, fmt.Errorf("answer of %d bytes", size)
	}
	answer := make([]byte, size)
	_, err := io.ReadFull(d.stdout, answer)
	return answer, err
}

// stop ends the process, at once or as soon as it notices the end of stdin,
// and returns the last line it wrote to stderr.
func (d *discovery) stop(atOnce bool) string {
	if atOnce {
		_ = d.cmd.Process.Kill()
	}
	_ = d.stdin.Close()
	kill := time.AfterFunc(discoveryGrace, func() { _ = d.cmd.Process.Kill() })
	defer kill.Stop()
	_ = d.cmd.Wait() // how it ended does not matter: nothing waits for an answer
	return lastLine(d.stderr.String())
}
