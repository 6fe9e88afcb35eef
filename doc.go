// Package distro names the things Distro works with: jobs, their calls,
// results and statuses, queues, workers, and the functions of the catalog.
//
// It imports the standard library only, starts no goroutine and does no I/O.
// Every other package speaks in these types; none of them speaks in the types
// of a database, of Redis or of HTTP across a package boundary.
//
// The words are RQ's where RQ has one: docs/states.md draws the statuses.
package distro
