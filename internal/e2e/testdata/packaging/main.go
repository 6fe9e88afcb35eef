// Command packaging reads the Dockerfile, the .dockerignore and the
// docker-compose.yml of a folder as Docker's own libraries do. What Docker would
// warn of or refuse it prints to stderr; to stdout it prints as JSON the files that
// an image is made from, and the services as they would be started.
//
//	packaging FOLDER [NAME=value...]
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

func main() {
	folder := os.Args[1]
	if err := image(filepath.Join(folder, "Dockerfile")); err != nil {
		fmt.Fprintln(os.Stderr, "Dockerfile:", err)
		os.Exit(1)
	}
	files, err := sent(folder)
	if err != nil {
		fmt.Fprintln(os.Stderr, ".dockerignore:", err)
		os.Exit(1)
	}
	project, err := services(folder, os.Args[2:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(map[string]any{"files": files, "services": project.Services})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "docker-compose.yml:", err)
		os.Exit(1)
	}
}

// sent lists the files of a folder that .dockerignore lets through to a build.
func sent(folder string) ([]string, error) {
	list, err := os.Open(filepath.Join(folder, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	defer list.Close()
	patterns, err := ignorefile.ReadAll(list)
	if err != nil {
		return nil, err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	var files []string
	err = fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		ignored, err := matcher.MatchesOrParentMatches(name)
		if !ignored {
			files = append(files, name)
		}
		return err
	})
	return files, err
}

// image parses a Dockerfile and every instruction in it.
func image(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return err
	}
	for _, warning := range parsed.Warnings {
		fmt.Fprintln(os.Stderr, "Dockerfile:", warning.Short)
	}
	warnings := linter.New(&linter.Config{Warn: func(rule, description, url, text string, at []parser.Range) {
		fmt.Fprintf(os.Stderr, "Dockerfile:%d: %s: %s\n", at[0].Start.Line, rule, text)
	}})
	_, _, err = instructions.Parse(parsed.AST, warnings)
	return err
}

// services loads a project with variables as "NAME=value".
func services(folder string, variables []string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(folder, "docker-compose.yml")}, cli.WithEnv(variables), cli.WithName("distro"))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}
