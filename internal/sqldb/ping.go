package sqldb

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5/stdlib"
)

// PingPostgres reports whether a PostgreSQL database can be used, and changes
// nothing in it. where names it without user and password. Errors say what to do
// and never tell the password.
func PingPostgres(ctx context.Context, url string) (where string, err error) {
	config, err := postgresConfig(url)
	if err != nil {
		return "", err
	}
	where = fmt.Sprintf("%s at %s", config.Database, net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))))
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }() // it was only asked
	if err := checkPostgres(ctx, db); err != nil {
		return where, fmt.Errorf("%s: %s: %w", where, advice(err), err)
	}
	return where, nil
}
