package main

import (
	"bytes"
	"crypto/md5" //nolint:gosec // what dpkg finds damaged files by
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

const control = `Package: distro
Version: %s
Architecture: %s
Maintainer: Distro maintainers <maintainers@distro.invalid>
Installed-Size: %d
Depends: python3 (>= 3.9)
Recommends: python3-venv
Suggests: redis-server, postgresql
Section: admin
Priority: optional
Description: orchestrator of Python automations
 Lists the functions of a folder of Python files and runs them now or later, on
 this machine or on many, by priority and with retries, and shows what ran, what
 failed and why. It takes the place of a service of Django, RQ, Redis and RQ
 Dashboard, and works beside RQ's own producers and workers.
`

// settings are the files that belong to the administrator.
func settings() []string { return []string{"etc/distro/config.cfg", "etc/distro/worker.env"} }

// debVersion orders versions before a release before it, as dpkg compares.
func debVersion(number string) string {
	release, before, ok := strings.Cut(number, "-")
	if !ok {
		return release
	}
	return release + "~" + strings.ReplaceAll(before, "-", ".")
}

// deb makes distro_VERSION_ARCH.deb: an ar archive of two tars.
func (r *release) deb(b built, common []file) error {
	files, err := installed(b, common)
	if err != nil {
		return err
	}
	version := debVersion(b.number())
	size := 0
	var sums bytes.Buffer
	for _, f := range files {
		size += len(f.data)
		if f.data != nil && !slices.Contains(settings(), f.name) {
			fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.data), f.name) //nolint:gosec // see the import
		}
	}
	about := []file{
		{"control", 0o644, fmt.Appendf(nil, control, version, b.arch, size/1024)},
		{"conffiles", 0o644, []byte("/" + strings.Join(settings(), "\n/") + "\n")},
		{"md5sums", 0o644, sums.Bytes()},
	}
	for _, script := range []string{"postinst", "postrm", "prerm"} {
		f, err := from("packaging/deb/"+script, script, 0o755)
		if err != nil {
			return err
		}
		about = append(about, f)
	}
	return r.put(fmt.Sprintf("distro_%s_%s.deb", version, b.arch), func(w io.Writer) error {
		return writeDeb(w, about, files, b.time)
	})
}

// installed are the files of the package, by the paths they get.
func installed(b built, common []file) ([]file, error) {
	const doc = "usr/share/doc/distro/"
	binary := b.file
	binary.name = "usr/bin/distro"
	files := []file{
		binary,
		{"var/lib/distro/automations", 0o755, nil}, // an empty folder
	}
	places := map[string]string{
		"completion/distro.bash": "usr/share/bash-completion/completions/distro",
		"completion/distro.fish": "usr/share/fish/vendor_completions.d/distro.fish",
		"completion/distro.zsh":  "usr/share/zsh/vendor-completions/_distro",
	}
	for _, f := range common {
		place, ok := places[f.name]
		switch {
		case ok:
		case f.name == "LICENSE":
			place = doc + "copyright"
		case f.name == "config.cfg" || strings.HasPrefix(f.name, "completion/"):
			continue
		default:
			place = doc + strings.TrimPrefix(f.name, "docs/")
		}
		files = append(files, file{place, 0o644, f.data})
	}
	for _, name := range settings() {
		f, err := from("packaging/deb/"+path.Base(name), name, 0o640)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	units, err := units("usr/lib/systemd/system/", "usr/lib/sysusers.d/")
	if err != nil {
		return nil, err
	}
	files = append(files, units...)
	sortByName(files)
	return files, nil
}

func sortByName(files []file) {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
}

func writeDeb(to io.Writer, about, files []file, modified time.Time) error {
	if _, err := io.WriteString(to, "!<arch>\n"); err != nil {
		return err
	}
	if err := writeMember(to, "debian-binary", []byte("2.0\n"), modified); err != nil {
		return err
	}
	for _, member := range []struct {
		name  string
		files []file
	}{{"control.tar.gz", about}, {"data.tar.gz", files}} {
		var tar bytes.Buffer
		if err := writeTar(&tar, "./", member.files, modified); err != nil {
			return err
		}
		if err := writeMember(to, member.name, tar.Bytes(), modified); err != nil {
			return err
		}
	}
	return nil
}

// writeMember writes a file of an ar archive, which begins at an even place.
func writeMember(to io.Writer, name string, data []byte, modified time.Time) error {
	if _, err := fmt.Fprintf(to, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", name, modified.Unix(), 0, 0, 0o100644, len(data)); err != nil {
		return err
	}
	if len(data)%2 == 1 {
		data = append(data, '\n')
	}
	_, err := to.Write(data)
	return err
}
