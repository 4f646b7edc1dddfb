// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"time"

	"paddock/proto"
)

// reap removes containers that lost their last child and TTL znodes that
// nobody wrote in time, a sweep every ContainerPeriod.
func (p *Pipeline) reap() {
	defer p.wg.Done()
	tick := time.NewTicker(p.opt.ContainerPeriod)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		if !p.is(leading) {
			continue
		}
		pause := time.Minute / time.Duration(max(1, p.opt.ContainerMax))
		for _, path := range p.expendable(time.Now().UnixMilli()) {
			select {
			case <-p.stop:
				return
			case <-time.After(pause):
			}
			p.reapNode(path)
		}
	}
}

// expendable lists what a sweep at now (ms since 1970) would remove.
func (p *Pipeline) expendable(now int64) []string {
	var paths []string
	v := p.tree.View(0)
	defer v.Close()
	v.Expendable(func(path string, st proto.StatPersisted) {
		if ttl, ok := proto.OwnerTTL(st.EphemeralOwner); ok {
			if now-st.Mtime > ttl {
				paths = append(paths, path)
			}
			return
		}
		unused := p.opt.ContainerUnused
		if st.Cversion > 0 || unused > 0 && now-st.Mtime > unused.Milliseconds() {
			paths = append(paths, path)
		}
	})
	return paths
}

func (p *Pipeline) reapNode(path string) {
	v := p.tree.View(0)
	gone := v.Find(path) == 0
	v.Close()
	if gone {
		return
	}
	p.counts.Reaped.Add(1)
	p.propose(&request{op: proto.OpDeleteContainer, row: &reapRow, isWrite: true, start: p.nowNs(), reign: p.reign.Load(), rec: &proto.DeleteTxn{Path: path}})
}
