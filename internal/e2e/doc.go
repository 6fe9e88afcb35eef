// Package e2e tests the binary from outside: as its users start it, beside stock
// RQ, on real databases, and while things die.
package e2e
