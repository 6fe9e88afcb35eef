package sqlitebroker

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// Changes implements broker.Broker. The cursor is the number of an entry;
// entries are numbered without gaps.
func (b *Broker) Changes(ctx context.Context, cursor string, limit int) ([]distro.Change, error) {
	limit, err := broker.PageLimit(limit)
	if err != nil {
		return nil, err
	}
	behind, err := parseCursor(feedCursor, cursor)
	if err != nil {
		return nil, err
	}
	var list []distro.Change
	err = b.read(ctx, "read the feed behind "+strconv.Quote(cursor), func(tx *sql.Tx) error {
		list, err = b.changes(ctx, tx, behind, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// FeedEnd implements broker.Broker.
func (b *Broker) FeedEnd(ctx context.Context) (string, error) {
	var newest int64
	err := b.read(ctx, "find the end of the feed", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT ifnull(max(no), 0) FROM feed").Scan(&newest)
	})
	if err != nil || newest == 0 {
		return "", err
	}
	return formatCursor(feedCursor, newest), nil
}

func (b *Broker) changes(ctx context.Context, tx *sql.Tx, behind int64, limit int) ([]distro.Change, error) {
	if behind > 0 {
		var oldest, newest int64
		err := tx.QueryRowContext(ctx, "SELECT ifnull((SELECT min(no) FROM feed), 0), ifnull((SELECT max(no) FROM feed), 0)").Scan(&oldest, &newest)
		if err != nil {
			return nil, err
		}
		// A cursor from the future is one of another database.
		if behind < oldest-1 || behind > newest {
			return nil, broker.ErrCursorLost
		}
	}
	var list []distro.Change
	var c distro.Change
	var no, queue, at int64
	var status int
	var outcome string
	err := each(ctx, tx, `SELECT no, job, queue, status, outcome, attempt, token, at FROM feed
		WHERE no > ? ORDER BY no LIMIT ?`, []any{behind, limit},
		[]any{&no, &c.JobID, &queue, &status, &outcome, &c.Attempt, &c.Token, &at}, func() error {
			c.Cursor, c.Queue, c.At = formatCursor(feedCursor, no), b.names.name(queue), moment(at)
			c.Status, c.Outcome = statusWord(status), distro.Outcome(outcome)
			list = append(list, c)
			return nil
		})
	return list, err
}
