package redisbroker

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/adler32"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

// What RQ assumes where a job says nothing.
const (
	rqTimeout         = 180 * time.Second
	rqResultTTL       = 500 * time.Second
	rqFailureTTL      = 31_536_000 * time.Second
	rqCallbackTimeout = 60 * time.Second
)

const (
	// maxPayload bounds the inflated call of a job. What is longer stays as it
	// is stored, so that the job fails as undecodable.
	maxPayload = 64 << 20
	// maxStart is as much of a call as a list looks at.
	maxStart = 4096
	// maxText bounds inflated text.
	maxText = 1 << 20
	// storedBelow is the length up to which compressing does not pay.
	storedBelow = 256
	// maxSeconds keeps what others wrote within a time.Duration.
	maxSeconds = int64(math.MaxInt64 / time.Second)
)

// codec turns jobs and results into fields of hashes and back. Its zero value
// is ready. Decoding never fails: what it cannot read, it leaves out, as other
// programs write these fields too.
type codec struct {
	deflaters, inflaters sync.Pool
}

// timeLayout is the only form of a time that every RQ loads: with other
// digits or an offset its workers end.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// rqTime is t as RQ writes it; empty for the zero time.
func rqTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

// parseRQTime reads what RQ writes, and other RFC 3339 times; zero for what is
// none.
func parseRQTime(s string) time.Time {
	if len(s) > 40 {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// jobFields appends the fields of a new job. Every field that an RQ up to 2.10
// always writes is there: one that some version cannot load ends its workers.
func (c *codec) jobFields(dst []string, j *distro.Job, now time.Time, status distro.Status) []string {
	at := rqTime(now)
	dst = append(dst,
		"status", string(status), "created_at", at, "origin", j.Queue,
		"data", c.deflate(j.Payload.Data), "description", pickle.Description(j.Function, j.Payload.Data),
		"timeout", secondsText(j.Timeout, rqTimeout),
		"result_ttl", strconv.Itoa(seconds(j.ResultTTL)), "failure_ttl", strconv.Itoa(seconds(j.FailureTTL)),
		"started_at", "", "ended_at", "", "last_heartbeat", "", "worker_name", "", "group_id", "",
	)
	if status == distro.StatusQueued {
		dst = append(dst, "enqueued_at", at)
	} else {
		dst = append(dst, fieldDue, strconv.FormatInt(dueMicros(j.DueAt), 10))
	}
	if j.TTL > 0 {
		dst = append(dst, "ttl", strconv.Itoa(seconds(j.TTL)))
	}
	if j.RetriesLeft > 0 || len(j.RetryIntervals) > 0 {
		dst = append(dst, "retries_left", strconv.Itoa(j.RetriesLeft), "retry_intervals", formatIntervals(j.RetryIntervals))
	}
	for _, cb := range []struct {
		event string
		distro.Callback
	}{{"success", j.OnSuccess}, {"failure", j.OnFailure}, {"stopped", j.OnStopped}} {
		dst = append(dst, cb.event+"_callback_name", strings.ToValidUTF8(cb.Name, "\uFFFD"))
		if cb.Name != "" && cb.Timeout != 0 {
			dst = append(dst, cb.event+"_callback_timeout", strconv.Itoa(seconds(cb.Timeout)))
		}
	}
	for _, own := range [][2]string{{fieldPrint, j.Fingerprint}, {fieldTrigger, j.Trigger}, {fieldCaller, j.Caller}} {
		if own[1] != "" {
			dst = append(dst, own[0], own[1])
		}
	}
	return dst
}

// dueMicros rounds up: nothing is due before its time.
func dueMicros(t time.Time) int64 {
	us := t.UnixMicro()
	if t.Nanosecond()%1000 != 0 {
		us++
	}
	return us
}

func secondsText(d, unset time.Duration) string {
	if d == 0 {
		d = unset
	}
	return strconv.Itoa(seconds(d))
}

// formatIntervals is never the empty list: RQ indexes it.
func formatIntervals(list []time.Duration) string {
	if len(list) == 0 {
		return "[0]"
	}
	parts := make([]string, len(list))
	for i, d := range list {
		parts[i] = strconv.Itoa(seconds(max(d, 0)))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func parseIntervals(s string) []time.Duration {
	var numbers []float64
	if json.Unmarshal([]byte(s), &numbers) != nil || len(numbers) == 1 && numbers[0] == 0 {
		return nil
	}
	list := make([]time.Duration, len(numbers))
	for i, n := range numbers {
		list[i] = time.Duration(min(max(n, 0), float64(maxSeconds)/2) * float64(time.Second))
	}
	return list
}

// decodeJob is the job of a hash that has the field data, without its result.
func (c *codec) decodeJob(id string, fields map[string]string) distro.Job {
	j := decodeRecord(id, fields)
	j.Payload.Data = c.inflatePayload(fields["data"])
	describePayload(&j, j.Payload.Data)
	return j
}

// decodeListed does so where only the beginning of the payload is known, and
// leaves it out.
func (c *codec) decodeListed(id string, fields map[string]string) distro.Job {
	j := decodeRecord(id, fields)
	describePayload(&j, c.inflateStart(fields["data"]))
	return j
}

// describePayload sets what a payload, or its beginning, tells.
func describePayload(j *distro.Job, data []byte) {
	j.Payload.Serializer = distro.SerializerPickle
	if isJSON(data) {
		j.Payload.Serializer = distro.SerializerJSON
	}
	j.Function = strings.ToValidUTF8(calledFunction(data), "\uFFFD")
}

func decodeRecord(id string, fields map[string]string) distro.Job {
	text := func(name string) string { return strings.ToValidUTF8(fields[name], "\uFFFD") }
	callback := func(event string) distro.Callback {
		cb := distro.Callback{Name: text(event + "_callback_name")}
		if cb.Name != "" {
			cb.Timeout = durationField(fields, event+"_callback_timeout", rqCallbackTimeout)
		}
		return cb
	}
	j := distro.Job{
		ID: id, Queue: fields["origin"], Fingerprint: fields[fieldPrint],
		Trigger: text(fieldTrigger), Caller: text(fieldCaller),
		Status:    distro.Status(text("status")),
		CreatedAt: parseRQTime(fields["created_at"]), EnqueuedAt: parseRQTime(fields["enqueued_at"]),
		StartedAt: parseRQTime(fields["started_at"]), EndedAt: parseRQTime(fields["ended_at"]),
		Timeout:   durationField(fields, "timeout", rqTimeout),
		ResultTTL: durationField(fields, "result_ttl", rqResultTTL), FailureTTL: durationField(fields, "failure_ttl", rqFailureTTL),
		RetriesLeft:    max(intField(fields, "retries_left"), 0),
		RetryIntervals: parseIntervals(fields["retry_intervals"]),
		Asked:          max(intField(fields, "number_of_retries"), 0),
		OnSuccess:      callback("success"), OnFailure: callback("failure"), OnStopped: callback("stopped"),
		Description: shownDescription(fields["description"]), DependsOn: parents(fields),
		Attempt: max(intField(fields, fieldAttempt), 0), Worker: text("worker_name"),
	}
	if meta := fields["meta"]; meta != "" {
		j.Meta = []byte(meta)
	}
	if j.Timeout == 0 {
		j.Timeout = rqTimeout // as RQ does
	}
	j.TTL = max(durationField(fields, "ttl", 0), 0)
	if j.Attempt == 0 && !j.StartedAt.IsZero() {
		j.Attempt = 1 // RQ does not count
	}
	if us, err := strconv.ParseInt(fields[fieldDue], 10, 64); err == nil && j.Status == distro.StatusScheduled {
		j.DueAt = time.UnixMicro(us).UTC()
	}
	return j
}

func intField(fields map[string]string, name string) int {
	n, err := strconv.Atoi(fields[name])
	if err != nil {
		return 0
	}
	return n
}

// durationField is a number of seconds; RQ's -1 is distro.Forever.
func durationField(fields map[string]string, name string, unset time.Duration) time.Duration {
	n, err := strconv.ParseInt(fields[name], 10, 64)
	switch {
	case err != nil:
		return unset
	case n < 0:
		return distro.Forever
	}
	return time.Duration(min(n, maxSeconds)) * time.Second
}

// calledFunction is the first element of a call, of which data may be the
// beginning only; empty where it is no text.
func calledFunction(data []byte) string {
	if !isJSON(data) {
		return pickle.Function(data)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	_, _ = d.Token()
	name, _ := d.Token()
	text, _ := name.(string)
	return text
}

// isJSON reports whether a call was written by RQ's JSON serializer: it is a
// list then, and no pickle begins like one.
func isJSON(call []byte) bool { return len(call) > 0 && call[0] == '[' }

// maxDescription bounds what is shown of a description, in bytes.
const maxDescription = 2048

// shownDescription is what a producer wrote, cut.
func shownDescription(text string) string {
	if len(text) > maxDescription {
		return strings.ToValidUTF8(text[:maxDescription], "\uFFFD") + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// maxParents bounds the dependencies that are shown of a job.
const maxParents = 1000

// parents are the jobs that a job depends on.
func parents(fields map[string]string) []string {
	var ids []string
	if json.Unmarshal([]byte(fields["dependency_ids"]), &ids) != nil || len(ids) == 0 {
		if id := fields["dependency_id"]; id != "" {
			ids = []string{id}
		}
	}
	return ids[:min(len(ids), maxParents)]
}

// deflate is p as a zlib stream.
func (c *codec) deflate(p []byte) string {
	var b strings.Builder
	if len(p) <= storedBelow {
		b.Grow(len(p) + 11)
		b.Write([]byte{0x78, 0x01, 0x01, byte(len(p)), byte(len(p) >> 8), ^byte(len(p)), ^byte(len(p) >> 8)})
		b.Write(p)
		b.Write(binary.BigEndian.AppendUint32(nil, adler32.Checksum(p)))
		return b.String()
	}
	w, ok := c.deflaters.Get().(*zlib.Writer)
	if ok {
		w.Reset(&b)
	} else {
		w, _ = zlib.NewWriterLevel(&b, zlib.BestSpeed) // this level exists
	}
	_, _ = w.Write(p) // a strings.Builder takes everything
	_ = w.Close()
	c.deflaters.Put(w)
	return b.String()
}

// inflatePayload is the call in the field data: like RQ it takes what is no
// zlib stream as it is.
func (c *codec) inflatePayload(s string) []byte {
	if p, ok := c.inflate(s, maxPayload); ok {
		return p
	}
	return []byte(s)
}

// inflateStart is what the beginning of the field data tells of the call.
func (c *codec) inflateStart(s string) []byte {
	if p, _ := c.inflate(s, maxStart); len(p) > 0 {
		return p
	}
	return []byte(s)
}

// inflateText is text that RQ compressed; what goes beyond maxText is cut.
func (c *codec) inflateText(s string) string {
	p, _ := c.inflate(s, maxText)
	return strings.ToValidUTF8(string(p), "\uFFFD")
}

// inflate reads a zlib stream up to limit bytes. It reports whether the stream
// was whole.
func (c *codec) inflate(s string, limit int) (p []byte, whole bool) {
	const header, trailer = 2, 4
	if len(s) < header || s[0]&0x0f != 8 || (int(s[0])<<8|int(s[1]))%31 != 0 || s[1]&0x20 != 0 {
		return nil, false
	}
	source := strings.NewReader(s[header:])
	r, ok := c.inflaters.Get().(io.ReadCloser)
	if ok {
		_ = r.(flate.Resetter).Reset(source, nil) // has no way to fail
	} else {
		r = flate.NewReader(source)
	}
	defer c.inflaters.Put(r)
	p, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if len(p) > limit {
		return p[:limit], false
	}
	if err != nil || source.Len() < trailer {
		return p, false
	}
	sum := s[len(s)-source.Len():]
	return p, binary.BigEndian.Uint32([]byte(sum[:trailer])) == adler32.Checksum(p)
}

// encodeValue is a returned value as it stands in rq:results; empty for none.
func encodeValue(pickle []byte) string { return base64.StdEncoding.EncodeToString(pickle) }

// excString is a traceback as it stands in rq:results.
func (c *codec) excString(text string) string {
	return base64.StdEncoding.EncodeToString([]byte(c.deflate([]byte(text))))
}
