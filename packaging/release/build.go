package main

import (
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// target is a system that binaries are built for.
type target struct{ os, arch string }

// program is the name of the binary.
func (t target) program() string {
	if t.os == "windows" {
		return "distro.exe"
	}
	return "distro"
}

// built is a binary, and what Go wrote into it of the commit.
type built struct {
	target
	file
	version string    // like v1.2.3, a pseudo-version, or "(devel)"
	time    time.Time // of the commit
}

// number is the version in the names of files.
func (b built) number() string {
	if b.version == "(devel)" || b.version == "" {
		return "0.0.0-devel"
	}
	return strings.TrimPrefix(b.version, "v")
}

// command runs a program of the toolchain in the folder of the repository.
func command(ctx context.Context, environ []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), environ...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, problems.Bytes())
	}
	return out, nil
}

// inRepository reports whether git knows the commit.
func inRepository(ctx context.Context) bool {
	_, err := command(ctx, nil, "git", "rev-parse", "HEAD")
	return err == nil
}

// binary is where the binary for a system is built.
func (r *release) binary(t target) string {
	return filepath.Join(r.work, t.os+"-"+t.arch, t.program())
}

// build makes a binary as `make build` does.
func (r *release) build(ctx context.Context, t target) (built, error) {
	path := r.binary(t)
	environ := []string{"CGO_ENABLED=0", "GOOS=" + t.os, "GOARCH=" + t.arch}
	if _, err := command(ctx, environ, "go", "build", "-trimpath", "-buildvcs="+strconv.FormatBool(r.stamp),
		"-ldflags", "-s -w", "-o", path, "./cmd/distro"); err != nil {
		return built{}, err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return built{}, fmt.Errorf("read version of %s: %w", path, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return built{}, fmt.Errorf("read binary: %w", err)
	}
	b := built{target: t, version: info.Main.Version, file: file{name: t.program(), mode: 0o755, data: data}}
	stamped := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			stamped = s.Value
		}
	}
	if b.time, err = time.Parse(time.RFC3339, cmp.Or(stamped, "2000-01-01T00:00:00Z")); err != nil {
		return built{}, fmt.Errorf("read time of the commit: %w", err)
	}
	return b, nil
}
