package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// wordTables are the tables of words that j asks, that of errors first: they are
// fewer.
func (j conjunction) wordTables() []string {
	var tables []string
	for _, table := range []string{errorTable, argumentTable} {
		if slices.ContainsFunc(j.where, func(c condition) bool {
			h, ok := c.(holds)
			return ok && !h.not && h.table == table
		}) {
			tables = append(tables, table)
		}
	}
	return tables
}

// terms are what j asks of a table of words, and where.
func (j conjunction) terms(table string) (terms []term, parts []int) {
	for i, c := range j.where {
		if h, ok := c.(holds); ok && !h.not && h.table == table {
			terms = append(terms, h.terms...)
			parts = append(parts, i)
		}
	}
	return terms, parts
}

// nobody is no part of a conjunction.
const nobody = -1

// wholeTerms are the whole words that j asks of a table, and the beginning that
// one part of it asks for; parts are those that ask for nothing else.
func (j conjunction) wholeTerms(table string, beginning int) (terms []term, parts []int) {
	for i, c := range j.where {
		h, ok := c.(holds)
		if !ok || h.not || h.table != table {
			continue
		}
		if whole, last := h.parted(); last == nil || i == beginning {
			terms = append(terms, h.terms...)
			parts = append(parts, i)
		} else {
			terms = append(terms, whole...)
		}
	}
	return terms, parts
}

// parted are the whole words that are asked for, and the last where it may go
// on in ways that are not known.
func (c holds) parted() (whole []term, last *term) {
	n := len(c.terms) - 1
	if t := &c.terms[n]; t.prefix && t.known == nil {
		return c.terms[:n], t
	}
	return c.terms, nil
}

// rareWords is a table of which few rows hold the whole words that j asks of it,
// where it asks for more than that; empty if there is none. PostgreSQL could not
// tell without finding all of them.
func (f *finder) rareWords(ctx context.Context, j conjunction) (string, error) {
	if f.s.dialect.engine == sqldb.Postgres {
		return "", nil
	}
	for _, table := range j.wordTables() {
		terms, parts := j.wholeTerms(table, nobody)
		if len(terms) == 0 || len(parts) == len(j.where) {
			continue
		}
		b := &builder{dialect: f.s.dialect}
		text := "SELECT count(*) FROM (SELECT 1 FROM " + table + " w WHERE w." + table + " MATCH " + b.arg(f.s.dialect.question(terms)) +
			j.bounds(b, "w.rowid") + " LIMIT " + strconv.Itoa(f.s.effort.few+1) + ") c"
		n := 0
		if err := f.s.db.Row(ctx, text, b.args, &n); err != nil {
			return "", err
		}
		if n <= f.s.effort.few {
			return table, nil
		}
	}
	return "", nil
}

// byWords finds executions by an index of words. SQLite's has the order of the
// list for whole words. For a word that may go on it has none until it has read
// all that such words name, as PostgreSQL's never has, whatever the words. Words
// of that kind are therefore looked for among the newest executions first. If
// they are common there, the search goes by what else is asked for, or by the
// list, and looks for them in what it meets. Else SQLite is asked how the word
// goes on: a few whole words have the order again.
func (f *finder) byWords(ctx context.Context, j conjunction, ways []way) (stopped int64, err error) {
	if f.s.dialect.engine == sqldb.Postgres {
		return f.byUnorderedWords(ctx, j, ways)
	}
	j, beginning, err := f.beginnings(ctx, j)
	if err != nil || j.impossible() {
		return 0, err
	}
	if beginning != nobody {
		return f.byOrderedWords(ctx, j, j.where[beginning].(holds).table, beginning)
	}
	table, err := f.rareWords(ctx, j)
	if err != nil {
		return 0, err
	}
	for _, t := range j.wordTables() {
		if terms, _ := j.wholeTerms(t, nobody); len(terms) > 0 && table == "" {
			table = t
		}
	}
	if table == "" {
		return f.inOrder(ctx, j, ways)
	}
	return f.byOrderedWords(ctx, j, table, nobody)
}

// beginnings finds out how words go on that are not common. One that goes on in
// many ways is the part beginning: it is left to the index.
func (f *finder) beginnings(ctx context.Context, j conjunction) (resolved conjunction, beginning int, err error) {
	resolved = j
	resolved.where = slices.Clone(j.where)
	for i, c := range j.where {
		h, ok := c.(holds)
		if !ok || h.not {
			continue
		}
		whole, last := h.parted()
		if last == nil {
			continue
		}
		common, err := f.common(ctx, j, h.table, []term{*last})
		if err != nil {
			return j, nobody, err
		}
		if common {
			continue
		}
		known, few, err := f.goingOn(ctx, h.table, last.word)
		if err != nil {
			return j, nobody, err
		}
		if !few {
			return resolved, i, nil
		}
		if len(known) == 0 {
			resolved.hi = resolved.lo // nothing can be found
			return resolved, nobody, nil
		}
		h.terms = append(slices.Clip(whole), term{word: last.word, prefix: true, known: known})
		resolved.where[i] = h
	}
	return resolved, nobody, nil
}

// afterJoiner is what comes behind all words that hold the joiner, which are in
// order.
const afterJoiner = "\u00b8"

// goingOn are the words of a table that begin so, unless they are not few. Those
// with the name of a keyword argument before them are left out: what the name is
// made of stands there as words of its own. A word that is first recorded
// meanwhile is not found, as if it had been a moment later.
func (f *finder) goingOn(ctx context.Context, table, beginning string) (known []string, few bool, err error) {
	next := beginning
	for range f.s.effort.spread {
		word := ""
		err := f.s.db.Query(ctx, "SELECT term FROM "+vocabularyOf(table)+" WHERE term >= $1 LIMIT 1", []any{next}, []any{&word},
			func() error { return nil })
		if err != nil {
			return nil, false, err
		}
		rest, ok := strings.CutPrefix(word, beginning)
		if !ok {
			return known, true, nil
		}
		if name, _, named := strings.Cut(rest, joiner); named {
			next = beginning + name + afterJoiner
			continue
		}
		known = append(known, word)
		next = word + "0" // no character of a word comes before it
	}
	return nil, false, nil
}

// vocabularyOf is SQLite's list of the words of a table.
func vocabularyOf(table string) string {
	if table == errorTable {
		return "distro_error_vocabulary"
	}
	return "distro_argument_vocabulary"
}

// byOrderedWords walks SQLite's index of words, by the whole words that are asked
// for and by one beginning.
func (f *finder) byOrderedWords(ctx context.Context, j conjunction, table string, beginning int) (stopped int64, err error) {
	terms, parts := j.wholeTerms(table, beginning)
	question, rest := f.s.dialect.question(terms), j.without(parts...)
	search := func(ctx context.Context, part conjunction) error {
		b := &builder{dialect: f.s.dialect}
		match := "w." + table + " MATCH " + b.arg(question)
		from := table + " w WHERE " + match
		if len(rest) > 0 {
			from = table + " w CROSS JOIN distro_executions e WHERE " + match + " AND e.id = w.rowid AND " + rest.rest(b)
		}
		text := fmt.Sprintf("SELECT w.rowid FROM %s%s ORDER BY w.rowid DESC LIMIT %d", from, part.bounds(b, "w.rowid"), f.left())
		return f.run(ctx, text, b.args)
	}
	if len(rest) == 0 || beginning != nobody { // it would be read as a whole for each window
		return 0, search(ctx, j)
	}
	return f.windows(ctx, conjunction{lo: j.lo, hi: j.hi, where: rest}, search)
}

// byUnorderedWords is byWords on PostgreSQL.
func (f *finder) byUnorderedWords(ctx context.Context, j conjunction, ways []way) (stopped int64, err error) {
	table := j.wordTables()[0]
	terms, parts := j.terms(table)
	question, rest := f.s.dialect.question(terms), j.without(parts...)
	if !f.counting && len(rest) > 0 {
		common, err := f.common(ctx, j, table, terms)
		if err != nil {
			return 0, err
		}
		if common {
			return f.inOrder(ctx, j, ways)
		}
	}
	if !f.counting {
		enough, err := f.amongRecent(ctx, j, table, question, rest)
		if err != nil || enough {
			return 0, err
		}
	}
	b := &builder{dialect: f.s.dialect}
	text := "WITH hits AS MATERIALIZED (SELECT w.id FROM " + table + " w WHERE w.words @@ CAST(" + b.arg(question) + "::TEXT AS TSQUERY)" +
		j.bounds(b, "w.id") + ") "
	return 0, f.run(ctx, text+f.ofHits(b, rest), b.args)
}

// commonly is how many executions there are, at most, for each that holds common
// words.
const commonly = 40

// common reports whether it is better to look for words in one execution after
// the other, from the newest on, than to find all that hold them: if many of the
// newest do, or there are no more than those. What is counted is found at once.
func (f *finder) common(ctx context.Context, j conjunction, table string, terms []term) (bool, error) {
	if f.left() > MaxLimit+1 { // all are to be found
		return false, nil
	}
	sample := f.s.effort.sample
	enough := max(sample/commonly, 1)
	n, oldest := 0, int64(0)
	b := &builder{dialect: f.s.dialect}
	text := "SELECT count(*), COALESCE(min(c.id), 0) FROM (SELECT e.id FROM distro_executions e" + f.s.dialect.byPlace() +
		" WHERE 1 = 1" + j.bounds(b, "e.id") + " ORDER BY e.id DESC LIMIT " + strconv.Itoa(sample) + ") c"
	if err := f.s.db.Row(ctx, text, b.args, &n, &oldest); err != nil || n < sample {
		return err == nil, err
	}
	newest := conjunction{lo: oldest, hi: j.hi}
	b = &builder{dialect: f.s.dialect}
	from := ""
	if f.s.dialect.engine == sqldb.Postgres {
		// The rows of words are fewer, where they are of errors, and their
		// index is not to be asked.
		from = "(SELECT w.words FROM " + table + " w WHERE 1 = 1" + newest.bounds(b, "w.id") + " ORDER BY w.id DESC LIMIT " +
			strconv.Itoa(sample) + ") w WHERE w.words @@ CAST(" + b.arg(f.s.dialect.question(terms)) + "::TEXT AS TSQUERY)"
	} else {
		from = "distro_executions e" + f.s.dialect.byPlace() + " WHERE " + holds{table: table, terms: terms}.sql(b) + newest.bounds(b, "e.id")
	}
	text = "SELECT count(*) FROM (SELECT 1 FROM " + from + " LIMIT " + strconv.Itoa(enough) + ") c"
	err := f.s.db.Row(ctx, text, b.args, &n)
	return n >= enough, err
}

// amongRecent looks at the newest executions only, and reports whether it found
// enough.
func (f *finder) amongRecent(ctx context.Context, j conjunction, table, question string, rest all) (bool, error) {
	b := &builder{dialect: f.s.dialect}
	text := "SELECT w.id FROM (SELECT w.id, w.words FROM " + table + " w WHERE w.id >= 0" + j.bounds(b, "w.id") +
		" ORDER BY w.id DESC LIMIT " + strconv.Itoa(f.s.effort.recent) + ") w"
	asked := "w.words @@ CAST(" + b.arg(question) + "::TEXT AS TSQUERY)"
	if len(rest) > 0 {
		text += " JOIN distro_executions e ON e.id = w.id"
		asked += " AND " + rest.rest(b)
	}
	found := finder{s: f.s, limit: f.left()}
	err := found.run(ctx, fmt.Sprintf("%s WHERE %s ORDER BY w.id DESC LIMIT %d", text, asked, found.limit), b.args)
	if err != nil || found.left() > 0 {
		return false, err
	}
	f.ids = append(f.ids, found.ids...)
	return true, nil
}
