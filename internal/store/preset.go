package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro/internal/search"
	"github.com/distro-orchestrator/distro/internal/sqldb"
)

// Bounds of presets.
const (
	MaxPresets = 100      // of one function
	MaxPreset  = 64 << 10 // bytes of the content of one
)

// ErrMany: there are as many as there may be.
var ErrMany = errors.New("no more of them are kept")

// Preset is what somebody keeps for calls of a function, by a name.
type Preset struct {
	Module, Function string
	Name             string // of the presets of a function no two are the same but for case
	Content          string // at most MaxPreset bytes; for who makes it
	Caller           string // who saved it
	SavedAt          time.Time
}

// presetKey is equal for names that differ in case only.
func presetKey(name string) string { return strings.ToLower(strings.ToUpper(name)) }

// SavePreset writes a preset, durably; created says that there was none of its
// name. With replace one of its name is replaced, also in the
// spelling of the name; without, that is ErrConflict, unless its content is the
// same. A preset more than MaxPresets is ErrMany, and one that is too long, or
// without a name, is ErrInvalid.
func (s *Store) SavePreset(ctx context.Context, p Preset, replace bool) (created bool, err error) {
	if len(p.Content) > MaxPreset || p.Name == "" || strings.ContainsRune(p.Name+p.Content+p.Module+p.Function, 0) || len(p.Name)+len(p.Module)+len(p.Function) > 2*maxID {
		return false, wrap(ErrInvalid, "save preset %.100q", p.Name)
	}
	err = s.db.WriteSynced(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		created = false
		if s.dialect.lock != "" {
			if _, err := tx.Exec(ctx, s.dialect.lock); err != nil {
				return err
			}
		}
		known, n, err := s.presetToReplace(ctx, tx, p)
		switch {
		case err != nil:
			return err
		case known == nil && n >= MaxPresets:
			return ErrMany
		case known != nil && !replace && known.Content != p.Content:
			return ErrConflict
		}
		created = known == nil
		_, err = tx.Exec(ctx, `INSERT INTO distro_presets (module, function, key, name, content, caller, saved_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (module, function, key) DO UPDATE SET name = excluded.name, content = excluded.content,
				caller = excluded.caller, saved_at = excluded.saved_at`,
			p.Module, p.Function, presetKey(p.Name), p.Name, p.Content, clean(p.Caller, maxName), micros(p.SavedAt))
		return err
	})
	return created, wrap(err, "save preset %q of %s.%s", p.Name, p.Module, p.Function)
}

// presetToReplace is the preset of the name of p, nil where there is none, and how
// many the function has.
func (s *Store) presetToReplace(ctx context.Context, tx *sqldb.Tx, p Preset) (known *Preset, n int, err error) {
	found, err := presets(ctx, tx, "WHERE module = $1 AND function = $2 AND key = $3", p.Module, p.Function, presetKey(p.Name))
	if err != nil {
		return nil, 0, err
	}
	if len(found) > 0 {
		known = &found[0]
	}
	err = tx.Row(ctx, "SELECT COUNT(*) FROM distro_presets WHERE module = $1 AND function = $2", []any{p.Module, p.Function}, &n)
	return known, n, err
}

// Preset reads one, whatever the case of the name. One that is not there is
// ErrNotFound.
func (s *Store) Preset(ctx context.Context, module, function, name string) (Preset, error) {
	found, err := presets(ctx, s.db, "WHERE module = $1 AND function = $2 AND key = $3", clean(module, maxID), clean(function, maxID), clean(presetKey(name), maxID))
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Preset{}, wrap(err, "read preset %.100q", name)
	}
	return found[0], nil
}

// Presets are those of a function, by name, whatever the case and the accents.
func (s *Store) Presets(ctx context.Context, module, function string) ([]Preset, error) {
	found, err := presets(ctx, s.db, "WHERE module = $1 AND function = $2", clean(module, maxID), clean(function, maxID))
	slices.SortFunc(found, func(a, b Preset) int { return inOrder(a.Name, b.Name) })
	return found, wrap(err, "list presets of %.100q", module+"."+function)
}

// PresetNames are the names of Presets, read without the contents.
func (s *Store) PresetNames(ctx context.Context, module, function string) ([]string, error) {
	var names []string
	var name string
	args := []any{clean(module, maxID), clean(function, maxID)}
	err := s.db.Query(ctx, "SELECT name FROM distro_presets WHERE module = $1 AND function = $2", args, []any{&name}, func() error {
		names = append(names, name)
		return nil
	})
	slices.SortFunc(names, inOrder)
	return names, wrap(err, "list names of presets of %.100q", module+"."+function)
}

func inOrder(a, b string) int {
	return cmp.Or(strings.Compare(search.Fold(a), search.Fold(b)), strings.Compare(a, b))
}

// DeletePreset deletes one, durably, whatever the case of the name. One that is not
// there is ErrNotFound.
func (s *Store) DeletePreset(ctx context.Context, module, function, name string) error {
	err := s.db.WriteSynced(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		n, err := tx.Exec(ctx, "DELETE FROM distro_presets WHERE module = $1 AND function = $2 AND key = $3",
			clean(module, maxID), clean(function, maxID), clean(presetKey(name), maxID))
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	})
	return wrap(err, "delete preset %.100q", name)
}

func presets(ctx context.Context, on reader, which string, args ...any) ([]Preset, error) {
	var found []Preset
	var p Preset
	var saved int64
	dest := []any{&p.Module, &p.Function, &p.Name, &p.Content, &p.Caller, &saved}
	err := on.Query(ctx, "SELECT module, function, name, content, caller, saved_at FROM distro_presets "+which, args, dest, func() error {
		p.SavedAt = moment(saved)
		found = append(found, p)
		return nil
	})
	return found, err
}
