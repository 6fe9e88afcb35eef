package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/store"
)

// preset is one of loja.vender.
func preset(name, content string) store.Preset {
	return store.Preset{Module: "loja", Function: "vender", Name: name, Content: content, Caller: "ana", SavedAt: epoch()}
}

func TestPresetsAreKeptByNameWhateverItsCase(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		save := func(p store.Preset, replace, created bool, want error) {
			t.Helper()
			if got, err := s.SavePreset(t.Context(), p, replace); got != created || !errors.Is(err, want) {
				t.Errorf("%q: created %v, %v", p.Name, got, err)
			}
		}
		save(preset("Ação", `{"a":1}`), false, true, nil)
		save(preset("zeta 'x' ü", `{}`), true, true, nil)
		save(preset("AÇÃO", `{"a":2}`), false, false, store.ErrConflict)
		save(preset("Ação", `{"a":1}`), false, false, nil) // sent twice
		first := preset("AÇÃO", `{"a":2}`)
		first.SavedAt = epoch().Add(time.Hour)
		save(first, true, false, nil)
		other := preset("ação", "other")
		other.Function = "comprar"
		save(other, false, true, nil)
		for _, wrong := range []store.Preset{preset("", "x"), preset("long", strings.Repeat("x", store.MaxPreset+1)), preset("a\x00", "x"), preset("nul", "\x00"), preset(strings.Repeat("n", 4000), "x")} {
			save(wrong, true, false, store.ErrInvalid)
		}

		got, err := s.Presets(t.Context(), "loja", "vender")
		if diff := cmp.Diff([]store.Preset{first, preset("zeta 'x' ü", `{}`)}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
		names, err := s.PresetNames(t.Context(), "loja", "vender")
		if diff := cmp.Diff([]string{"AÇÃO", "zeta 'x' ü"}, names); diff != "" || err != nil {
			t.Error(diff, err)
		}
		one, err := s.Preset(t.Context(), "loja", "vender", "aÇão")
		if diff := cmp.Diff(first, one); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if err := s.DeletePreset(t.Context(), "loja", "vender", "ação"); err != nil {
			t.Error(err)
		}
		if err := s.DeletePreset(t.Context(), "loja", "vender", "ação"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v", err)
		}
		if _, err := s.Preset(t.Context(), "loja", "vender", "ação"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v", err)
		}
		if _, err := s.Preset(t.Context(), "loja", "comprar", "ação"); err != nil {
			t.Errorf("the preset of another function: %v", err)
		}
	})
}

func TestAFunctionHasSoManyPresetsAtMost(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s *store.Store) {
		var group sync.WaitGroup
		errs := make(chan error, store.MaxPresets+20)
		for i := range store.MaxPresets + 20 {
			group.Go(func() {
				_, err := s.SavePreset(t.Context(), preset(fmt.Sprint("n", i), "x"), false)
				errs <- err
			})
		}
		group.Wait()
		close(errs)
		refused := 0
		for err := range errs {
			if errors.Is(err, store.ErrMany) {
				refused++
			} else if err != nil {
				t.Error(err)
			}
		}
		list, err := s.Presets(t.Context(), "loja", "vender")
		if err != nil || refused != 20 || len(list) != store.MaxPresets {
			t.Fatalf("%d refused, %d kept, %v", refused, len(list), err)
		}
		if _, err := s.SavePreset(t.Context(), preset(list[0].Name, "y"), true); err != nil {
			t.Errorf("one of them replaced: %v", err)
		}
	})
}
