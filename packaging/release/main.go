// Command release builds what is published of a version of Distro into dist/: an
// archive for each system, packages for Debian, and their checksums. It needs
// nothing but Go, and git where there is a repository; the same commit built twice
// gives the same bytes.
//
//	go run ./packaging/release             a release: of a clean commit with a tag, with the scripts of the dashboard
//	go run ./packaging/release -snapshot   whatever is there
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const systems = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

// release is what is being made.
type release struct {
	out      string // folder of the result
	work     string // folder that is removed at the end
	snapshot bool
	stamp    bool     // the commit is in the binaries
	targets  []target // at least one
	made     []string // names of files in out
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	r := release{}
	flag.StringVar(&r.out, "out", "dist", "`folder` of the result; what was there is removed")
	flag.BoolVar(&r.snapshot, "snapshot", false, "take what is there: no tag, changes that are not committed, pages without scripts")
	list := flag.String("systems", systems, "systems to build for")
	flag.Parse()
	for name := range strings.SplitSeq(*list, ",") {
		goos, goarch, ok := strings.Cut(name, "/")
		if !ok {
			return fmt.Errorf("%q is no system like linux/amd64", name)
		}
		r.targets = append(r.targets, target{os: goos, arch: goarch})
	}
	work, err := os.MkdirTemp("", "distro-release-")
	if err != nil {
		return fmt.Errorf("make a folder to work in: %w", err)
	}
	r.work = work
	return errors.Join(r.make(ctx), os.RemoveAll(work))
}

func (r *release) make(ctx context.Context) error {
	if err := os.RemoveAll(r.out); err != nil {
		return fmt.Errorf("remove what was made before: %w", err)
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return fmt.Errorf("make folder of the result: %w", err)
	}
	if err := r.checkScripts(); err != nil {
		return err
	}
	r.stamp = inRepository(ctx)
	common, err := r.common(ctx)
	if err != nil {
		return err
	}
	for _, t := range r.targets {
		b, err := r.build(ctx, t)
		if err != nil {
			return err
		}
		if err := r.check(b); err != nil {
			return err
		}
		if err := r.archive(b, common); err != nil {
			return err
		}
		if t.os == "linux" {
			if err := r.deb(b, common); err != nil {
				return err
			}
		}
	}
	return r.sums()
}

// checkScripts looks whether the scripts of the dashboard were bundled.
func (r *release) checkScripts() error {
	_, err := os.Stat("web/dist/manifest.json")
	switch {
	case err == nil:
		return nil
	case !r.snapshot:
		return errors.New("the scripts of the dashboard are not there: run `make build` where npm is")
	}
	fmt.Fprintln(os.Stderr, "release: the pages are built without scripts: `make build` bundles them where npm is")
	return nil
}

// check refuses to publish what no tag names.
func (r *release) check(b built) error {
	tagged := regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)\.[0-9]+)?$`)
	if r.snapshot || tagged.MatchString(b.version) {
		return nil
	}
	return fmt.Errorf("the version would be %q: commit everything, tag the commit as v1.2.3, or pass -snapshot", b.version)
}

// put makes a file of the result, and tells its size.
func (r *release) put(name string, write func(io.Writer) error) error {
	f, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	info, err := os.Stat(f.Name())
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	fmt.Printf("%6.1f MB  %s\n", float64(info.Size())/1e6, name)
	r.made = append(r.made, name)
	return nil
}

// sums writes the checksums, as sha256sum --check reads them.
func (r *release) sums() error {
	var lines strings.Builder
	slices.Sort(r.made)
	for _, name := range r.made {
		data, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return fmt.Errorf("sum up %s: %w", name, err)
		}
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(data), name)
	}
	return r.put("SHA256SUMS", func(w io.Writer) error {
		_, err := io.WriteString(w, lines.String())
		return err
	})
}
