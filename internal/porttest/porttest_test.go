package porttest_test

import (
	"net"
	"runtime"
	"strconv"
	"testing"

	"github.com/distro-orchestrator/distro/internal/porttest"
)

func TestAPortIsTakenOnce(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 500 {
		p, err := porttest.Take()
		if err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		if seen[p.Number] {
			t.Fatalf("port %d was given twice", p.Number)
		}
		seen[p.Number] = true
	}
}

func TestAPortCanBeListenedOnAndIsHeldWhileNobodyDoes(t *testing.T) {
	t.Parallel()
	p, err := porttest.Take()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l, err := net.Listen("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS != "linux" {
		t.Skip("ports are held on Linux")
	}
	name := "@distro-test-port-" + strconv.Itoa(p.Number)
	if l, err := net.Listen("unix", name); err == nil {
		l.Close()
		t.Error("another process could hold it too")
	}
	p.Release()
	p.Release()
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatalf("after it was released: %v", err)
	}
	l.Close()
}
