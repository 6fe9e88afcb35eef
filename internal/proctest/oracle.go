package proctest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// Oracle is a Python that knows the right answers.
type Oracle struct {
	process *Process // writes its errors to the transcript
	in      io.Writer
	out     *bufio.Reader
}

// asked lets Python answer each line of JSON with one.
const asked = `
import json, sys
for line in sys.stdin:
    try:
        reply = {"answer": answer(json.loads(line))}
    except Exception as error:
        reply = {"error": repr(error)}
    print(json.dumps(reply), flush=True)
`

// StartOracle starts the python3 of the PATH for the time of the test. The script
// defines a function answer, and finds args in sys.argv.
func StartOracle(t TB, script string, args ...string) *Oracle {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"-B", "-c", script + asked}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("%v", err)
	}
	out, err := cmd.StdoutPipe() // closed when it has ended: then it is asked no more
	if err != nil {
		t.Fatalf("%v", err)
	}
	return &Oracle{process: Start(t, cmd), in: in, out: bufio.NewReader(out)}
}

// Ask reads into answer what the oracle answers to a question. It is for one
// goroutine at a time.
func (o *Oracle) Ask(question, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("ask python3: %w", err)
	}
	if _, err = o.in.Write(append(line, '\n')); err == nil {
		line, err = o.out.ReadBytes('\n')
	}
	if err != nil {
		o.process.Kill() // before its output is read
		return fmt.Errorf("ask python3: %w\n%s", err, o.process.Output())
	}
	reply := struct {
		Answer any
		Error  string
	}{Answer: answer}
	if err := json.Unmarshal(line, &reply); err != nil {
		return fmt.Errorf("answer of python3: %w", err)
	}
	if reply.Error != "" {
		return errors.New(reply.Error)
	}
	return nil
}
