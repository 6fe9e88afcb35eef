package redisbroker

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Without a reader for readerLife nobody writes the feed. Readers say that they
// are there every readerSays, as Redis may have been emptied.
const (
	readerLife = time.Hour
	readerSays = 10 * time.Second
)

// feedPattern is the ID of an entry of a stream.
var feedPattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})$`)

// checkFeedCursor checks that a cursor may be one of the feed.
func checkFeedCursor(cursor string) error {
	if cursor != "" && !feedPattern.MatchString(cursor) {
		return distro.Invalid("cursor", "not a cursor of the change feed")
	}
	return nil
}

// Changes implements broker.Broker. The cursor is the ID of an entry.
func (b *Broker) Changes(ctx context.Context, cursor string, limit int) ([]distro.Change, error) {
	limit, err := broker.PageLimit(limit)
	if err != nil {
		return nil, err
	}
	if err := checkFeedCursor(cursor); err != nil {
		return nil, err
	}
	b.announceReader(ctx, false)
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	// The entry of the cursor is read too, in the same step: it is there until
	// the feed is trimmed beyond it.
	start, count := "-", limit
	if cursor != "" {
		start, count = cursor, limit+1
	}
	entries, err := b.client.Do(ctx, b.client.B().Xrange().Key(ownFeed).Start(start).End("+").Count(int64(count)).Build()).AsXRange()
	if err != nil && !rueidis.IsRedisNil(err) {
		return nil, fmt.Errorf("read the change feed behind %q: %w", cursor, unavailable(err))
	}
	if cursor != "" {
		if len(entries) == 0 || entries[0].ID != cursor {
			return nil, broker.ErrCursorLost
		}
		entries = entries[1:]
	}
	list := make([]distro.Change, len(entries))
	for i, e := range entries {
		list[i] = change(e)
	}
	return list, nil
}

// FeedEnd implements broker.Broker.
func (b *Broker) FeedEnd(ctx context.Context) (string, error) {
	b.announceReader(ctx, false)
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	entries, err := b.client.Do(ctx, b.client.B().Xrevrange().Key(ownFeed).End("+").Start("-").Count(1).Build()).AsXRange()
	if err != nil && !rueidis.IsRedisNil(err) {
		return "", fmt.Errorf("find the end of the change feed: %w", unavailable(err))
	}
	if len(entries) == 0 {
		return "", nil
	}
	return entries[0].ID, nil
}

func change(e rueidis.XRangeEntry) distro.Change {
	f := e.FieldValues
	c := distro.Change{
		Cursor: e.ID, JobID: f["i"], Queue: f["q"], Status: distro.Status(f["s"]), Outcome: distro.Outcome(f["o"]),
		Attempt: intField(f, "a"), Token: f["t"],
	}
	if us, err := strconv.ParseInt(f["u"], 10, 64); err == nil {
		c.At = time.UnixMicro(us).UTC()
	}
	return c
}

// announceReader lets the feed be written, with anew even if that was said just
// now. That it could not be said is no reason not to read: it is said again.
func (b *Broker) announceReader(ctx context.Context, anew bool) {
	now := b.opts.Clock.Monotonic()
	if b.opts.Quiet {
		return
	}
	b.mu.Lock()
	due := anew || b.reader == 0 || now-b.reader >= readerSays
	b.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	if err := b.client.Do(ctx, b.client.B().Set().Key(ownReader).Value("1").Ex(readerLife).Build()).Error(); err != nil {
		b.opts.Logger.Debug("announce a reader of the change feed", "error", unavailable(err))
		return
	}
	b.mu.Lock()
	b.reader = max(now, 1)
	b.mu.Unlock()
}
