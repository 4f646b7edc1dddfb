// SPDX-License-Identifier: Apache-2.0

// Package handover proves that a data directory passes between Apache's server and the server
// under test: writers load one of them, it is killed, the other starts on its directory and port,
// and every acknowledged write is there, every session goes on, and the trees are the same.
//
// It is a module of its own, since it drives the servers with an independent client.
package handover
