package python

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is a job object: it ends every process in it when it is closed, also
// by the death of this process.
type group struct{ job windows.Handle }

// channel joins the two pipes of a job channel.
type channel struct {
	io.Reader
	io.Writer
	files [2]*os.File
}

func (c channel) Close() error {
	c.files[0].Close()
	return c.files[1].Close()
}

// startInGroup starts cmd with two inherited pipe handles, named in its
// arguments, and puts it into a job object before it reads its first job.
func startInGroup(cmd *exec.Cmd, args func(channel string)) (*group, io.ReadWriteCloser, error) {
	callRead, callWrite, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer callRead.Close()
	answerRead, answerWrite, err := os.Pipe()
	if err != nil {
		callWrite.Close()
		return nil, nil, err
	}
	defer answerWrite.Close()
	c := channel{Reader: answerRead, Writer: callWrite, files: [2]*os.File{answerRead, callWrite}}
	handles := []syscall.Handle{syscall.Handle(callRead.Fd()), syscall.Handle(answerWrite.Fd())}
	for _, h := range handles {
		if err := windows.SetHandleInformation(windows.Handle(h), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
			c.Close()
			return nil, nil, err
		}
	}
	args(fmt.Sprintf("%d,%d", handles[0], handles[1]))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		CreationFlags:              windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW,
		AdditionalInheritedHandles: handles,
	}
	g, err := newGroup()
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		g.end()
		c.Close()
		return nil, nil, err
	}
	if err := g.add(cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		g.end()
		c.Close()
		return nil, nil, err
	}
	return g, c, nil
}

func newGroup() (*group, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("make a job object: %w", err)
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		windows.CloseHandle(job)
		return nil, fmt.Errorf("limit a job object: %w", err)
	}
	return &group{job}, nil
}

func (g *group) add(pid int) error {
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer windows.CloseHandle(process)
	return windows.AssignProcessToJobObject(g.job, process)
}

// signal ends every process of the group: Windows has no softer way for
// processes without a window.
func (g *group) signal(syscall.Signal) { _ = windows.TerminateJobObject(g.job, 1) }

func (g *group) end() {
	_ = windows.TerminateJobObject(g.job, 1)
	windows.CloseHandle(g.job)
}

func signalOf(*os.ProcessState) int { return 0 }
