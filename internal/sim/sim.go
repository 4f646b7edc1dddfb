// SPDX-License-Identifier: Apache-2.0

// Package sim runs whole ensembles in one goroutine on virtual time, all chance
// out of one seed: the consensus core as it is (internal/zab), with everything
// around it modelled.
//
//	setup.go     what a seed makes of it: servers, timers, limits, misfortunes
//	run.go       the loop: what is to happen next, until all is judged
//	server.go    a driver of zab.Peer: events in, Out executed in order
//	disk.go      log, epochs and snapshots; what a crash leaves of them
//	machine.go   the tree of a server, and the history it came from
//	pipeline.go  settling and numbering writes, forwarding, sync
//	links.go     the quorum port: streams that stall and break
//	ballots.go   the election port: messages lost, late, and sent again
//	client.go    sessions that write, and read after a sync
//	faults.go    what goes wrong
//	judge.go     what must hold all the same
//	wire.go      what the protocol demands of each packet
//
// A run goes through trouble, is then left in peace, and must come to agree
// within a bounded time. It is judged as it goes (leaders, committed prefixes and
// whose disks have them, digests, packets) and at its end (acknowledged writes,
// order of sessions, linearizability). The same seed is the same run, event by event.
//
// Only tests use this package, and the command in cmd.
package sim
