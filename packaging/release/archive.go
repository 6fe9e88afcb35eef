package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"fmt"
	"io"
	"path"
	"slices"
	"time"
)

// archive makes distro_VERSION_OS_ARCH.tar.gz, or .zip for Windows, with one
// folder of that name in it.
func (r *release) archive(b built, common []file) error {
	name := fmt.Sprintf("distro_%s_%s_%s", b.number(), b.os, b.arch)
	files := append([]file{b.file}, common...)
	if b.os == "linux" {
		units, err := units("systemd/", "systemd/")
		if err != nil {
			return err
		}
		files = append(files, units...)
	}
	for i := range files {
		files[i].name = path.Join(name, files[i].name)
	}
	if b.os == "windows" {
		return r.put(name+".zip", func(w io.Writer) error { return writeZip(w, files, b.time) })
	}
	return r.put(name+".tar.gz", func(w io.Writer) error { return writeTar(w, "", files, b.time) })
}

// units are the files of systemd, in the folders that services and users get.
func units(services, users string) ([]file, error) {
	var files []file
	for source, name := range map[string]string{
		"distro.service": services + "distro.service", "distro-worker@.service": services + "distro-worker@.service",
		"sysusers.conf": users + "distro.conf",
	} {
		f, err := from("packaging/systemd/"+source, name, 0o644)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	sortByName(files)
	return files, nil
}

// writeTar writes a tar, compressed. Names begin with prefix. Folders that files
// lie in have entries of their own, and everything belongs to root.
func writeTar(to io.Writer, prefix string, files []file, modified time.Time) error {
	compressed, err := gzip.NewWriterLevel(to, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	archive := tar.NewWriter(compressed)
	add := func(f file) error {
		header := tar.Header{Typeflag: tar.TypeReg, Name: prefix + f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: modified, Uname: "root", Gname: "root"}
		if f.data == nil {
			header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
		}
		if err := archive.WriteHeader(&header); err != nil {
			return fmt.Errorf("add %s: %w", f.name, err)
		}
		if _, err := archive.Write(f.data); err != nil {
			return fmt.Errorf("add %s: %w", f.name, err)
		}
		return nil
	}
	for _, f := range withFolders(files) {
		if err := add(f); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("end archive: %w", err)
	}
	return compressed.Close()
}

// withFolders are the files, and before each the folders it lies in.
func withFolders(files []file) []file {
	var all []file
	made := map[string]bool{".": true}
	for _, f := range files {
		var above []file
		for folder := path.Dir(f.name); !made[folder]; folder = path.Dir(folder) {
			made[folder] = true
			above = append(above, file{folder, 0o755, nil})
		}
		slices.Reverse(above)
		all = append(append(all, above...), f)
	}
	return all
}

func writeZip(to io.Writer, files []file, modified time.Time) error {
	archive := zip.NewWriter(to)
	for _, f := range files {
		w, err := archive.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: modified})
		if err != nil {
			return fmt.Errorf("add %s: %w", f.name, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return fmt.Errorf("add %s: %w", f.name, err)
		}
	}
	return archive.Close()
}
