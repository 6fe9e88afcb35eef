package redisbroker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
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
	entries, err := b.client.Do(ctx, b.client.B().Xrange().Key(ownFeed).Start(start).End("+").Count(int64(count)).Build()).ToArray()
	if err != nil && !rueidis.IsRedisNil(err) {
		return nil, fmt.Errorf("read the change feed behind %q: %w", cursor, unavailable(err))
	}
	list := make([]distro.Change, len(entries))
	for i := range entries {
		if list[i], err = change(&entries[i]); err != nil {
			return nil, malformed("change feed", err)
		}
	}
	if cursor != "" {
		if len(list) == 0 || list[0].Cursor != cursor {
			return nil, broker.ErrCursorLost
		}
		list = list[1:]
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

// change reads an entry of the feed: its ID and what feed in lib.lua wrote. Of
// what is no change, as others may write there too, only the cursor is known.
func change(entry *rueidis.RedisMessage) (distro.Change, error) {
	parts, err := entry.ToArray()
	if err != nil || len(parts) != 2 {
		return distro.Change{}, cmp.Or(err, errors.New("an entry of another shape"))
	}
	id, err := parts[0].ToString()
	if err != nil {
		return distro.Change{}, err
	}
	c := distro.Change{Cursor: id}
	fields, err := parts[1].AsStrSlice()
	if err != nil || len(fields) != 2 || fields[0] != "c" {
		return changeOfPairs(c, fields), nil
	}
	words := strings.SplitN(fields[1], " ", 7)
	if len(words) < 7 {
		return c, nil
	}
	us, err := strconv.ParseInt(words[4], 10, 64)
	n, sizeErr := strconv.Atoi(words[5])
	names := words[6]
	if err != nil || sizeErr != nil || n < 0 || n >= len(names) || names[n] != ' ' {
		return c, nil
	}
	c.Status, c.Outcome, c.Token = distro.Status(words[0]), distro.Outcome(words[1]), words[3]
	c.At, c.Queue, c.JobID = time.UnixMicro(us).UTC(), names[:n], names[n+1:]
	c.Attempt, _ = strconv.Atoi(words[2]) // no number where others wrote it
	return c, nil
}

// changeOfPairs reads an entry as earlier builds wrote it, whose workers may
// have gone on while an orchestrator was brought up to date.
func changeOfPairs(c distro.Change, pairs []string) distro.Change {
	if len(pairs) != 14 || pairs[0] != "i" {
		return c
	}
	f := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		f[pairs[i]] = pairs[i+1]
	}
	if us, err := strconv.ParseInt(f["u"], 10, 64); err == nil {
		c.At = time.UnixMicro(us).UTC()
	}
	c.JobID, c.Queue, c.Status, c.Outcome = f["i"], f["q"], distro.Status(f["s"]), distro.Outcome(f["o"])
	c.Attempt, c.Token = intField(f, "a"), f["t"]
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
