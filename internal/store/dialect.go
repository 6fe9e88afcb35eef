package store

import (
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// dialect holds everything in which the statements for SQLite and PostgreSQL
// differ.
type dialect struct {
	engine sqldb.Engine

	// lock is run first in a transaction that reads and then writes what
	// others may write; empty where transactions take turns anyway.
	lock string

	// wordsID is the column that holds an execution's id in the tables of
	// words, and wordsValue a placeholder's value as such a table wants it.
	wordsID, wordsValue string

	// wordsAtOnce is how many rows of words are inserted at once.
	wordsAtOnce int

	// ordered is the id as the indexes hold it that lists are read from.
	ordered string
}

func dialectOf(engine sqldb.Engine) dialect {
	if engine == sqldb.Postgres {
		return dialect{
			engine: engine, lock: "SELECT pg_advisory_xact_lock(4921058)",
			wordsID: "id", wordsValue: "CAST(CAST(? AS TEXT) AS TSVECTOR)", wordsAtOnce: 32, ordered: "(e.id + 0)",
		}
	}
	return dialect{engine: engine, wordsID: "rowid", wordsValue: "?", wordsAtOnce: 1, ordered: "e.id"}
}

// indexedBy makes SQLite read a table by an index of ours and no other.
// PostgreSQL is led by ordered instead.
func (d dialect) indexedBy(index string) string {
	if d.engine == sqldb.Postgres || index == "" {
		return ""
	}
	return " INDEXED BY " + index
}

// byPlace makes SQLite walk the table by id, whatever the conditions say.
func (d dialect) byPlace() string {
	if d.engine == sqldb.Postgres {
		return ""
	}
	return " NOT INDEXED"
}

// document is the value of a row of words.
func (d dialect) document(words []string) string {
	if d.engine != sqldb.Postgres {
		return strings.Join(words, " ")
	}
	var b strings.Builder
	for _, w := range words {
		b.WriteString("'" + w + "' ") // words hold no quotes
	}
	return b.String()
}

// term is one word that is looked for.
type term struct {
	word   string
	prefix bool     // any word that begins with it
	known  []string // which words these are, where it is known
}

// question asks for documents that hold every one of terms.
func (d dialect) question(terms []term) string {
	var parts []string
	for _, t := range terms {
		switch {
		case len(t.known) > 0:
			parts = append(parts, `("`+strings.Join(t.known, `" OR "`)+`")`)
		case d.engine != sqldb.Postgres && t.prefix:
			parts = append(parts, `"`+t.word+`" *`)
		case d.engine != sqldb.Postgres:
			parts = append(parts, `"`+t.word+`"`)
		case t.prefix:
			parts = append(parts, "'"+t.word+"':*")
		default:
			parts = append(parts, "'"+t.word+"'")
		}
	}
	if d.engine == sqldb.Postgres {
		return strings.Join(parts, " & ")
	}
	return strings.Join(parts, " AND ")
}

// numbered replaces each ? of text by $1, $2, and so on, from first.
func numbered(text string, first int) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(first))
		first++
		text = after
	}
}
