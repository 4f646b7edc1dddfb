// SPDX-License-Identifier: Apache-2.0

// Package ensemble runs whole ensembles of real processes, of the server under
// test, of Apache's server and of both mixed, and holds what clients saw
// against what the servers have in the end.
//
//	lab       the network: each server in a network namespace of its own, so that   lab_test.go
//	          any two can be cut off from each other without a word to either
//	cluster   the servers: processes that are started, killed, frozen and asked     cluster_test.go, server_test.go
//	crew      sessions on every server; each changes a subtree of its own and       crew_test.go, worker_test.go
//	          remembers what was acknowledged
//	registers sessions that contend for a few znodes; their history must be         registers_test.go
//	          linearizable
//	verdict   every acknowledged write once on every server, trees and digests      verdict_test.go
//	          equal, no session lost
//
// The tests are scenarios on top of these. They run by `interop/run ensemble`,
// which says what they need; by `go test` alone only the judges are tested.
package ensemble
