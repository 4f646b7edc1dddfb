// SPDX-License-Identifier: Apache-2.0

// Package check judges what clients saw of a server: each judge is a pure
// function of recorded requests, replies and events, so that it can be shown
// to reject what is wrong before it is believed about what is right.
//
//	Linearizable   a concurrent history of znodes with versions, sessions and     znodes.go, history.go
//	               multi, restarts in between: is there one order that explains
//	               every reply, in real time and by zxid?
//	Order          the replies of one connection: in the order of its requests,   order.go
//	               zxids never falling
//	Watches        the frames of one connection against all changes of a tree:    watches.go
//	               every read shows the tree at its zxid, every watch fires for
//	               the change it waited for, once, before anything newer is shown
//
// Conn (wire.go) is the client under the tests: it shows frames as they come,
// which a client library hides. Only tests use this package.
package check
