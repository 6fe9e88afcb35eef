package python

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Frames between the worker and the process of a job, as
// docs/python-protocol.md specifies them: twelve bytes of head, a JSON header
// and an opaque body.
const (
	frameVersion  = 1
	frameHeadSize = 12
	maxHeader     = 1 << 20
	maxBody       = 256 << 20
)

type frameKind uint8

const (
	kindReady   frameKind = 1 // child: set up, waits for a job
	kindJob     frameKind = 2 // worker: header jobHeader, body the payload
	kindResult  frameKind = 3 // child: header resultHeader, body the pickle
	kindDecline frameKind = 4 // pooled child: cannot take this job, and ends

	kindCallback frameKind = 5 // child: header callbackHeader; a callback begins
)

type frame struct {
	kind   frameKind
	header []byte // JSON
	body   []byte
}

type jobHeader struct {
	ID         string   `json:"id"`
	Queue      string   `json:"queue"`
	Attempt    int      `json:"attempt"`
	Worker     string   `json:"worker"`
	Serializer string   `json:"serializer"`
	Timeout    *float64 `json:"timeout"` // seconds; null: none
	Artifacts  string   `json:"artifacts"`

	Asked     int             `json:"asked,omitempty"`
	Redis     string          `json:"redis,omitempty"`
	OnSuccess *callbackHeader `json:"on_success,omitempty"`
	OnFailure *callbackHeader `json:"on_failure,omitempty"`
	Stopped   *callbackHeader `json:"stopped,omitempty"`
}

// callbackHeader is a callback in the header of a job, or by itself the header
// of the frame that one begins, without the name.
type callbackHeader struct {
	Name    string   `json:"name"`
	Timeout *float64 `json:"timeout"` // seconds; null: none
}

type resultHeader struct {
	OK        bool     `json:"ok"`
	Pickled   bool     `json:"pickled"`
	View      string   `json:"view"`
	JSON      bool     `json:"json"`
	Truncated bool     `json:"truncated"`
	Kind      string   `json:"kind"`
	Type      string   `json:"type"`
	Message   string   `json:"message"`
	Traceback string   `json:"traceback"`
	ExitCode  int      `json:"exit_code"`
	MaxRSS    int64    `json:"maxrss"` // bytes
	CPU       int64    `json:"cpu_us"` // microseconds
	Retire    string   `json:"retire"`
	Sources   []string `json:"sources"`
	Artifacts bool     `json:"artifacts"`
	Again     *struct {
		Delay float64 `json:"delay"` // seconds
		Front bool    `json:"front"`
	} `json:"again"`
}

// appendFrame appends the wire form of a frame to dst.
func appendFrame(dst []byte, kind frameKind, header any, body []byte) ([]byte, error) {
	text, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("encode frame header: %w", err)
	}
	if len(text) > maxHeader || len(body) > maxBody {
		return nil, fmt.Errorf("frame of %d + %d bytes is over the limit of %d + %d", len(text), len(body), maxHeader, maxBody)
	}
	dst = append(dst, frameVersion, byte(kind), 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	dst = append(dst, text...)
	return append(dst, body...), nil
}

// readFrame reads one frame. At a clean end of the stream it returns io.EOF.
// What it allocates grows with what arrives, not with what the head announces.
func readFrame(r io.Reader) (frame, error) {
	var head [frameHeadSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	if head[0] != frameVersion {
		return frame{}, fmt.Errorf("frame of version %d, this is %d", head[0], frameVersion)
	}
	headerSize, bodySize := binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
	if headerSize > maxHeader || bodySize > maxBody {
		return frame{}, fmt.Errorf("frame of %d + %d bytes is over the limit of %d + %d", headerSize, bodySize, maxHeader, maxBody)
	}
	f := frame{kind: frameKind(head[1])}
	var err error
	if f.header, err = readSome(r, int(headerSize)); err != nil {
		return frame{}, err
	}
	if f.body, err = readSome(r, int(bodySize)); err != nil {
		return frame{}, err
	}
	return f, nil
}

// readSome reads size bytes, in steps that double, so that a lying size costs
// at most twice what was really sent.
func readSome(r io.Reader, size int) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	data := make([]byte, 0, min(size, 64<<10))
	for len(data) < size {
		if len(data) == cap(data) {
			grown := make([]byte, len(data), min(size, 2*cap(data)))
			copy(grown, data)
			data = grown
		}
		n, err := io.ReadFull(r, data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err != nil {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return data, nil
}
