//go:build !linux

package config

// defaultIsolation is the one isolation that works on every system.
const defaultIsolation = "spawn"
