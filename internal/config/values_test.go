package config_test

import (
	"testing"
	"time"

	"github.com/distro-orchestrator/distro/internal/config"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90": 90 * time.Second, "1.5": 1500 * time.Millisecond, "90s": 90 * time.Second, "250ms": 250 * time.Millisecond,
		"2h10m20s": 2*time.Hour + 10*time.Minute + 20*time.Second, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "36500d": 876000 * time.Hour,
	} {
		if got, err := config.ParseDuration(text); got != want || err != nil {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " 1", "-1", "-1s", "1d-1h", "+5s5", "1e3", "0x10", "inf", "NaN", "d", "1.5d", "1h1d", "36501d", "36500d1s", "999999d", "3153600001", "99999999999h", "10 s",
	} {
		if got, err := config.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "5B": 5, "1k": 1 << 10, "256M": 256 << 20, "100MB": 100 << 20, "1GiB": 1 << 30, "2 T": 2 << 40,
	} {
		if got, err := config.ParseSize(text); got != want || err != nil {
			t.Errorf("ParseSize(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.5G", "1iB", "M", "1P", "0x1", "9999999999T", "1234567890123456"} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %v, want an error", text, got)
		}
	}
}
