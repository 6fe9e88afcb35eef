package redisbroker

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro/internal/output"
)

// Output of jobs goes from workers to an orchestrator through one stream, in
// chunks that stay there until they are stored. What may wait is bounded, so
// that a team that uses Distro's workers alone pays little, and Redis does not
// become a log.
const (
	maxUnreadJob = 256 << 10 // bytes of a job's output that wait at most
	maxUnread    = 64 << 20  // and of all jobs

	unreadLife   = time.Hour        // without a word of a reader, nothing is shipped; unread, it is gone
	moverTurn    = 15 * time.Second // a mover that is not heard of is followed by another
	receiveCount = 16               // chunks at a time

	maxInflated = 4 << 20 // bytes of one chunk
	keepRaw     = 256     // shorter texts are not deflated
)

// How the text of a chunk is stored: its first byte.
const (
	textRaw      = 'r'
	textDeflated = 'd'
)

// errChunk: an entry of the stream is no chunk.
var errChunk = errors.New("not a chunk of output")

// OutputWanted reports whether somebody has read output within an hour.
func (b *Broker) OutputWanted(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	n, err := b.client.Do(ctx, b.client.B().Exists().Key(ownListens).Build()).AsInt64()
	if err != nil {
		return false, fmt.Errorf("look whether output is read: %w", unavailable(err))
	}
	return n > 0, nil
}

// ShipOutput sends chunks, which one atomic step takes in their order. After a
// lost reply they may be sent again, cut at other places too: whoever stores
// them knows each line by its number.
func (b *Broker) ShipOutput(ctx context.Context, chunks []output.Chunk) ([]output.Shipped, error) {
	a := b.begin(b.now(), 4+5*len(chunks))
	a.number(seconds(unreadLife))
	a.number(maxUnreadJob)
	a.number(maxUnread)
	a.number(len(chunks))
	for i := range chunks {
		c := &chunks[i]
		a.text(c.JobID, c.Run, strconv.Itoa(c.Attempt))
		a.flag(c.End)
		a.text(b.deflater.pack(c.Text))
	}
	reply, err := b.run(ctx, "ship", a)
	if err != nil {
		return nil, fmt.Errorf("ship output: %w", err)
	}
	answers, err := reply.AsIntSlice()
	if err != nil || len(answers) != len(chunks) {
		return nil, malformed("ship", err)
	}
	shipped := make([]output.Shipped, len(answers))
	for i, n := range answers {
		shipped[i] = output.Shipped(n) // ship.lua counts as the constants do
	}
	return shipped, nil
}

// HoldOutput says that the output of jobs is read, and asks whether the store
// of this name is the one that it goes to. It stays so for 15 s, and longer by
// each call.
func (b *Broker) HoldOutput(ctx context.Context, store string) (bool, error) {
	held, err := b.hold(ctx, store, moverTurn)
	if err != nil {
		return false, fmt.Errorf("ask for the output of jobs: %w", err)
	}
	return held, nil
}

// ReleaseOutput lets another store have its turn at once.
func (b *Broker) ReleaseOutput(ctx context.Context, store string) error {
	if _, err := b.hold(ctx, store, 0); err != nil {
		return fmt.Errorf("leave the output of jobs to others: %w", err)
	}
	return nil
}

func (b *Broker) hold(ctx context.Context, store string, turn time.Duration) (bool, error) {
	a := b.begin(b.now(), 3)
	a.text(store)
	a.number(seconds(unreadLife))
	a.number(int(turn.Milliseconds()))
	reply, err := b.run(ctx, "hold", a)
	if err != nil {
		return false, err
	}
	n, err := reply.AsInt64()
	if err != nil {
		return false, malformed("hold", err)
	}
	return n == 1, nil
}

// ReceiveOutput returns chunks in the order of their arrival, those behind the
// one of an ID (empty: the first there is). While there are none it waits for
// five seconds at most. They come again until StoredOutput was told of them.
func (b *Broker) ReceiveOutput(ctx context.Context, after string) ([]output.Arrival, error) {
	if after == "" {
		after = "0"
	}
	c := b.client.B().Xread().Count(receiveCount).Block(peekFor.Milliseconds()).Streams().Key(ownOutput).Id(after).Build()
	streams, err := b.block(ctx, c).AsXRead()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("receive output: %w", unavailable(err))
	}
	var arrived []output.Arrival
	for _, e := range streams[ownOutput] {
		a, err := arrival(e)
		if err != nil { // what nobody can store must not stand in the way
			b.opts.Logger.WarnContext(ctx, "output of a job cannot be read", "job_id", a.JobID, "reason", err)
			if err := b.StoredOutput(ctx, []output.Arrival{a}); err != nil {
				return nil, err
			}
			continue
		}
		arrived = append(arrived, a)
	}
	return arrived, nil
}

func arrival(e rueidis.XRangeEntry) (output.Arrival, error) {
	f := e.FieldValues
	a := output.Arrival{ID: e.ID, Size: intField(f, "s"), Chunk: output.Chunk{
		JobID: f["j"], Run: f["r"], Attempt: intField(f, "a"), End: f["e"] == "1",
	}}
	var err error
	a.Text, err = unpack(f["t"])
	return a, err
}

// StoredOutput forgets chunks.
func (b *Broker) StoredOutput(ctx context.Context, arrived []output.Arrival) error {
	a := b.begin(b.now(), 1+3*len(arrived))
	a.number(len(arrived))
	for i := range arrived {
		a.text(arrived[i].ID, arrived[i].JobID)
		a.number(arrived[i].Size)
	}
	if _, err := b.run(ctx, "take", a); err != nil {
		return fmt.Errorf("forget output that is stored: %w", err)
	}
	return nil
}

// OutputArriving reports whether output of a job waits to be stored, or is
// known to come.
func (b *Broker) OutputArriving(ctx context.Context, jobID string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	is, err := b.client.Do(ctx, b.client.B().Hexists().Key(ownUnread).Field("job:"+jobID).Build()).AsBool()
	if err != nil {
		return false, fmt.Errorf("look for output of job %q: %w", jobID, unavailable(err))
	}
	return is, nil
}

// deflater makes texts smaller, one at a time: what it works with is large.
type deflater struct {
	mu     sync.Mutex
	writer *flate.Writer // nil: not made yet
	buf    bytes.Buffer
}

func (d *deflater) pack(text []byte) string {
	if len(text) < keepRaw {
		return string(textRaw) + string(text)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.buf.Reset()
	d.buf.WriteByte(textDeflated)
	if d.writer == nil {
		d.writer, _ = flate.NewWriter(&d.buf, flate.BestSpeed) // the level is one
	} else {
		d.writer.Reset(&d.buf)
	}
	_, _ = d.writer.Write(text) // a buffer takes everything
	_ = d.writer.Close()
	if d.buf.Len() > len(text) {
		return string(textRaw) + string(text)
	}
	return d.buf.String()
}

func unpack(packed string) ([]byte, error) {
	if packed == "" {
		return nil, errChunk
	}
	switch kind, rest := packed[0], packed[1:]; kind {
	case textRaw:
		return []byte(rest), nil
	case textDeflated:
		text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader([]byte(rest))), maxInflated+1))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errChunk, err)
		case len(text) > maxInflated:
			return nil, fmt.Errorf("%w: it is larger than any", errChunk)
		}
		return text, nil
	default:
		return nil, errChunk
	}
}
