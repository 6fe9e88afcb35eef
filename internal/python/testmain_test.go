package python_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/distro-orchestrator/distro/internal/python"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// findPython is python3 on PATH, with which every test of this package runs.
func findPython(t testing.TB) python.Interpreter {
	t.Helper()
	found, err := python.FindInterpreter(t.Context(), python.InterpreterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// script writes a program that stands for an interpreter.
func script(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
