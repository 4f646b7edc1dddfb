// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package conn

import (
	"errors"
	"net"
)

func (c *conn) bind() error { return nil }

func (c *conn) fill() error {
	c.makeRoom()
	n, err := c.nc.Read(c.in[c.w:])
	c.w += n
	return err
}

func setBacklog(*net.TCPListener, int) error { return errors.ErrUnsupported }

// Alive cannot be told here without reading.
func (c *conn) Alive() bool { return true }
