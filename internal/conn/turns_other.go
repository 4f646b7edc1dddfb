// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package conn

// rounds is for Linux. Elsewhere each connection is read by its own goroutine.
type rounds struct{}

func newRounds(*Server) *rounds { return nil }

func (*rounds) close() {}

type turns struct{}

func (*conn) startTurns(*rounds) {}

func (*conn) recall() {}

func (c *conn) await() error { return c.fill() }

// Waits has nobody to tell.
func (*conn) Waits() {}

// Slow has nobody to tell.
func (*conn) Slow() {}

// look has nobody to relieve.
func (*conn) look() {}
