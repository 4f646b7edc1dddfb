// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"paddock/internal/ensemble"
)

// handOverTime bounds a hand-over that somebody waits for.
const handOverTime = 10 * time.Second

// handedOver is the answer to hand. Programs read its first word: "handed" is
// success, "refused" says that nothing was done, "failed" that nobody knows yet.
type handedOver struct {
	ensemble.Handed
	err error
}

func (a *Admin) handOver() answer {
	if a.src.HandOver == nil {
		return handedOver{err: errAlone}
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	h, err := a.src.HandOver(ctx)
	return handedOver{h, err}
}

var errAlone = errors.New("this server is alone")

func (h handedOver) appendText(b []byte) []byte {
	switch {
	case h.err == nil:
		return fmt.Appendf(b, "handed over: server %d (%s) leads epoch %d, no write was decided for %s\n",
			h.Leader, h.Host, h.Epoch, h.Took.Round(100*time.Microsecond))
	case errors.Is(h.err, ensemble.ErrNotLeader):
		return fmt.Appendf(b, "refused: %v, server %d (%s) does\n", h.err, h.Leader, h.Host)
	case errors.Is(h.err, ensemble.ErrNoLeader), errors.Is(h.err, ensemble.ErrNoHeir), errors.Is(h.err, errAlone):
		return fmt.Appendf(b, "refused: %v\n", h.err)
	}
	return fmt.Appendf(b, "failed: %v\n", h.err)
}
