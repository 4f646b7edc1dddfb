// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"context"
	"io"
	"time"
)

// readWriteServer ends a read-only connection: a better server was found.
type readWriteServer struct{ server string }

func (e *readWriteServer) Error() string { return "moving to " + e.server + ", which takes writes" }

// How often a read-only client asks the next server whether it takes writes.
const (
	firstSeek = 100 * time.Millisecond
	lastSeek  = time.Minute
)

// seekReadWrite asks one server after the other, ever less often, until the
// connection ends or is to be left for a server that takes writes.
func (c *Client) seekReadWrite(ctx context.Context, leave context.CancelCauseFunc) {
	for i, d := 0, firstSeek; ; i, d = i+1, min(2*d, lastSeek) {
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if server := c.servers.all[i%len(c.servers.all)]; c.takesWrites(ctx, server) {
			leave(&readWriteServer{server})
			return
		}
	}
}

func (c *Client) takesWrites(ctx context.Context, server string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := c.opts.dial(ctx, server)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, "isro"); err != nil {
		return false
	}
	answer := make([]byte, 2)
	_, err = io.ReadFull(conn, answer)
	return err == nil && string(answer) == "rw"
}
