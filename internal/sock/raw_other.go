// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package sock

import (
	"errors"
	"net"
)

type rawReader struct{ rc any }

func (*rawReader) bind(net.Conn) {}

func (*rawReader) read([]byte) (int, error) { return 0, errors.ErrUnsupported }

type rawWriter struct{ rc any }

func (*rawWriter) bind(net.Conn) {}

func (*rawWriter) write([]byte) (int, error) { return 0, errors.ErrUnsupported }
