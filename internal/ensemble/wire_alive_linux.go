// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"net"
	"syscall"
	"time"
)

const tcpUserTimeout = 0x12 // of linux/tcp.h; package syscall does not name it

// giveUpAfter ends a connection whose peer's system has not acknowledged what was
// sent for d. Without it a connection that was cut silently goes on sending, less
// and less often, and what was sent comes many seconds after the cut has healed.
func giveUpAfter(c net.Conn, d time.Duration) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	if rc, err := t.SyscallConn(); err == nil {
		rc.Control(func(fd uintptr) {
			syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
		})
	}
}
