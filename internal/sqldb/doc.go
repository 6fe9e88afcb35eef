// Package sqldb opens SQLite and PostgreSQL so that one SQL text runs on both:
// placeholders are $1, $2, …, transactions that write are few and short, and
// migrations are applied before anybody sees the database.
package sqldb
