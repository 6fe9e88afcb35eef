package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// maxNames bounds what a dictionary remembers; beyond it starts anew.
const maxNames = 50_000

// function is a Python function as history names it.
type function struct{ module, name string }

// dictionary remembers the numbers that stand for names in the database, which
// never change and are never taken back. Number 0 is the empty name.
type dictionary struct {
	mu        sync.Mutex
	names     map[string]int64
	texts     map[int64]string
	functions map[function]int64
	modules   map[int64]function
}

func newDictionary() *dictionary {
	d := &dictionary{}
	d.clear()
	return d
}

func (d *dictionary) clear() {
	d.names, d.texts = map[string]int64{"": 0}, map[int64]string{0: ""}
	d.functions, d.modules = map[function]int64{{}: 0}, map[int64]function{0: {}}
}

func (d *dictionary) name(text string) (int64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.names[text]
	return id, ok
}

func (d *dictionary) text(id int64) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, ok := d.texts[id]
	return text, ok
}

func (d *dictionary) functionID(f function) (int64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.functions[f]
	return id, ok
}

func (d *dictionary) function(id int64) (function, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.modules[id]
	return f, ok
}

// learn keeps what the database has committed.
func (d *dictionary) learn(names map[string]int64, functions map[function]int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.names)+len(d.functions)+len(names)+len(functions) > maxNames {
		d.clear()
	}
	for text, id := range names {
		d.names[text], d.texts[id] = id, text
	}
	for f, id := range functions {
		d.functions[f], d.modules[id] = id, f
	}
}

// reader runs statements that read: the database, or a transaction.
type reader interface {
	Query(ctx context.Context, text string, args, dest []any, each func() error) error
	Row(ctx context.Context, text string, args []any, dest ...any) error
}

// findName is the number of a name, 0 and false when the database has none.
func (s *Store) findName(ctx context.Context, on reader, text string) (int64, bool, error) {
	if id, ok := s.names.name(text); ok {
		return id, true, nil
	}
	var id int64
	switch err := on.Row(ctx, "SELECT id FROM distro_names WHERE name = $1", []any{text}, &id); {
	case errors.Is(err, sql.ErrNoRows):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	}
	return id, true, nil
}

// findFunctions are the numbers of the functions that a dotted text names: one
// function, or all of a module.
func (s *Store) findFunctions(ctx context.Context, dotted string) ([]int64, error) {
	var found []int64
	var id int64
	err := s.db.Query(ctx, "SELECT id FROM distro_functions WHERE module = $1 OR module || '.' || name = $2 OR module = '' AND name = $3",
		[]any{dotted, dotted, dotted}, []any{&id}, func() error {
			found = append(found, id)
			return nil
		})
	return found, err
}

// findModule are the numbers of the functions of a module.
func (s *Store) findModule(ctx context.Context, module string) ([]int64, error) {
	var found []int64
	var id int64
	err := s.db.Query(ctx, "SELECT id FROM distro_functions WHERE module = $1", []any{module}, []any{&id}, func() error {
		found = append(found, id)
		return nil
	})
	return found, err
}

// numbers gives names their numbers within one transaction, and keeps what is
// new apart until it is committed.
type numbers struct {
	s         *Store
	names     map[string]int64
	functions map[function]int64
}

func newNumbers(s *Store) *numbers {
	return &numbers{s: s, names: map[string]int64{}, functions: map[function]int64{}}
}

func (n *numbers) name(ctx context.Context, tx *sqldb.Tx, text string) (int64, error) {
	if id, ok := n.s.names.name(text); ok {
		return id, nil
	}
	if id, ok := n.names[text]; ok {
		return id, nil
	}
	id, found, err := n.s.findName(ctx, tx, text)
	if err == nil && !found {
		err = tx.Row(ctx, "INSERT INTO distro_names (name) VALUES ($1) RETURNING id", []any{text}, &id)
	}
	if err != nil {
		return 0, err
	}
	n.names[text] = id
	return id, nil
}

func (n *numbers) function(ctx context.Context, tx *sqldb.Tx, f function) (int64, error) {
	if id, ok := n.s.names.functionID(f); ok {
		return id, nil
	}
	if id, ok := n.functions[f]; ok {
		return id, nil
	}
	var id int64
	err := tx.Row(ctx, "SELECT id FROM distro_functions WHERE module = $1 AND name = $2", []any{f.module, f.name}, &id)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.Row(ctx, "INSERT INTO distro_functions (module, name) VALUES ($1, $2) RETURNING id", []any{f.module, f.name}, &id)
	}
	if err != nil {
		return 0, err
	}
	n.functions[f] = id
	return id, nil
}

// committed lets everybody know the new numbers.
func (n *numbers) committed() { n.s.names.learn(n.names, n.functions) }

// resolve sees that the dictionary knows the names of numbers, as far as the
// database has them.
func (s *Store) resolve(ctx context.Context, on reader, names, functions []int64) (*glossary, error) {
	g := &glossary{texts: map[int64]string{}, functions: map[int64]function{}}
	var missing, missingFunctions []int64
	for _, id := range names {
		if text, ok := s.names.text(id); ok {
			g.texts[id] = text
		} else {
			missing = append(missing, id)
		}
	}
	for _, id := range functions {
		if f, ok := s.names.function(id); ok {
			g.functions[id] = f
		} else {
			missingFunctions = append(missingFunctions, id)
		}
	}
	var id int64
	var a, b string
	learned, learnedFunctions := map[string]int64{}, map[function]int64{}
	for part := range slices.Chunk(unique(missing), maxIn) {
		text := "SELECT id, name FROM distro_names WHERE id IN (" + placeholders(1, len(part)) + ")"
		err := on.Query(ctx, text, anys(part), []any{&id, &a}, func() error {
			g.texts[id], learned[a] = a, id
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for part := range slices.Chunk(unique(missingFunctions), maxIn) {
		text := "SELECT id, module, name FROM distro_functions WHERE id IN (" + placeholders(1, len(part)) + ")"
		err := on.Query(ctx, text, anys(part), []any{&id, &a, &b}, func() error {
			g.functions[id], learnedFunctions[function{a, b}] = function{a, b}, id
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	// Within a transaction too: it reads what others committed, since the
	// numbers it made itself are not missing.
	s.names.learn(learned, learnedFunctions)
	return g, nil
}

// glossary holds the names of the numbers of some rows.
type glossary struct {
	texts     map[int64]string
	functions map[int64]function
}

// maxIn is how many values one IN holds at most.
const maxIn = 100

func unique(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

func anys[T any](values []T) []any {
	all := make([]any, len(values))
	for i, v := range values {
		all[i] = v
	}
	return all
}

// placeholders are n of them in a row, from $first.
func placeholders(first, n int) string {
	return numbered(strings.TrimSuffix(strings.Repeat("?, ", n), ", "), first)
}
