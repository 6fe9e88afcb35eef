package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// FileSuffix ends the name of a variable that names a file with a secret in
// place of the secret itself: containers and service managers hand them over in
// files, which no list of processes and no inspection of a container shows.
const FileSuffix = "_FILE"

// maxSecret is more than any secret setting may have.
const maxSecret = 64 << 10

// ReadSecret returns the one line of a file, without its end. Errors name the
// file and never what is in it.
func ReadSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("%s cannot be read (%w)", file, cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("%s cannot be read (%w)", file, cause(err))
	}
	text := strings.TrimSpace(string(data))
	switch {
	case text == "":
		return "", fmt.Errorf("%s is empty: write the value into it", file)
	case len(data) > maxSecret || strings.ContainsAny(text, "\r\n\x00"):
		return "", errors.New(file + " is no text of one line: keep nothing but the value in it")
	}
	return text, nil
}
