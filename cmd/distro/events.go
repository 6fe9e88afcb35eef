package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxEvent bounds one server-sent event.
const maxEvent = 4 << 20

var errEventSize = fmt.Errorf("an event is larger than %d bytes", maxEvent)

// event is one server-sent event.
type event struct {
	name string // "message" where the stream does not say
	data string
	id   string // of this event, or the last one that had one
}

// readEvents hands the events of a stream to handle until one returns an
// error, which it returns, or the stream ends, then io.EOF. An event that the
// end of the stream cuts off is dropped, as the standard demands.
func readEvents(r io.Reader, handle func(event) error) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	current := event{}
	var data []string
	size, begun := 0, false
	for {
		line, err := eventLine(lines, &size)
		if err != nil {
			return err
		}
		if line == "" {
			if begun {
				current.data = strings.Join(data, "\n")
				if current.name == "" {
					current.name = "message"
				}
				if err := handle(current); err != nil {
					return err
				}
			}
			current.name, data, size, begun = "", nil, 0, false
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			current.name = value
		case "data":
			data, begun = append(data, value), true
		case "id":
			if !strings.ContainsRune(value, 0) {
				current.id = value
			}
		}
	}
}

// eventLine reads a line without its end, and counts it to size.
func eventLine(r *bufio.Reader, size *int) (string, error) {
	var whole []byte
	for {
		part, err := r.ReadSlice('\n')
		if *size += len(part); *size > maxEvent {
			return "", errEventSize
		}
		if err == nil && whole == nil {
			return string(bytes.TrimRight(part, "\r\n")), nil
		}
		whole = append(whole, part...)
		switch {
		case err == nil:
			return string(bytes.TrimRight(whole, "\r\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}
