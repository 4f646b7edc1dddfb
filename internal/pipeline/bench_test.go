// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"paddock/internal/acl"
	"paddock/internal/storage"
	"paddock/internal/tree"
	"paddock/jute"
	"paddock/proto"
)

// idleLink is a connection that takes everything at once.
type idleLink struct {
	c    *Client
	keep *[]byte // where what it takes is put, if anywhere
}

func (l *idleLink) Flush() {
	for {
		b := l.c.out.Take()
		if b != nil && l.keep != nil {
			*l.keep = append(*l.keep, b.Bytes...)
		}
		if b == nil || !l.c.out.Put(b) {
			return
		}
	}
}
func (l *idleLink) Hangup(string) {}
func (l *idleLink) Last(string)   {}
func (l *idleLink) Alive() bool   { return true }
func (l *idleLink) Waits()        {}
func (l *idleLink) Slow()         {}

// memoryLog commits when it is told to.
type memoryLog struct {
	entries   storage.Batch
	proposals []Proposal
}

func (m *memoryLog) Propose(list []Proposal) {
	for _, p := range list {
		m.entries.Add(p.Txn)
	}
	m.proposals = append(m.proposals, list...)
}

func (m *memoryLog) commit(p *Pipeline) {
	if len(m.proposals) == 0 {
		return
	}
	p.Commit(m.proposals)
	m.proposals = m.proposals[:0]
	m.entries.Reset()
}

// serve takes a burst of one frame; the last of a batch is committed with all
// before it.
func (m *memoryLog) serve(p *Pipeline, c *Client, b *Burst, frame []byte, last bool) {
	c.Begin(b)
	c.Serve(b, frame)
	c.End(b)
	if last {
		m.commit(p)
	}
}

// benchPipeline serves znodes from memory to one client.
func benchPipeline(b testing.TB, znodes int) (*Pipeline, *memoryLog, *Client, []string) {
	authority, err := acl.New(acl.Options{DigestEnabled: true})
	if err != nil {
		b.Fatal(err)
	}
	t := tree.New()
	p := New(t, Options{Logger: slog.New(slog.DiscardHandler), ACL: authority, Tick: 2 * time.Second, ServerID: 1,
		MinSessionTimeout: 4 * time.Second, MaxSessionTimeout: time.Hour, Digest: true, MaxRecord: 1 << 20, OutLimit: 64 << 20, ContainerPeriod: time.Hour})
	log := &memoryLog{}
	p.Start(log)
	b.Cleanup(func() { p.Stop(); t.Close() })
	link := &idleLink{}
	c := p.NewClient(link, "127.0.0.1:1", "127.0.0.1")
	link.c = c
	if ok, why := p.Connect(c, jute.Marshal(&proto.ConnectRequest{TimeOut: 1 << 20})); !ok {
		b.Fatal(why)
	}
	log.commit(p)
	<-c.Ready()
	open := []proto.ACL{{Perms: proto.PermAll, Scheme: "world", ID: "anyone"}}
	paths := make([]string, znodes)
	var burst Burst
	for i := range paths {
		if i%1000 == 0 {
			c.Serve(&burst, frameOf(1, proto.OpCreate, &proto.Create{Path: fmt.Sprintf("/d%03d", i/1000), ACL: open}))
		}
		paths[i] = fmt.Sprintf("/d%03d/n%06d", i/1000, i)
		c.Serve(&burst, frameOf(1, proto.OpCreate, &proto.Create{Path: paths[i], Data: make([]byte, 100), ACL: open}))
		c.End(&burst)
		log.commit(p)
	}
	return p, log, c, paths
}

func frameOf(xid int32, op proto.OpCode, r jute.Record) []byte {
	return jute.Append(jute.Marshal(&proto.RequestHeader{Xid: xid, Type: op}), r)
}

// BenchmarkWrite is a setData from its frame to its queued reply, without disk
// and socket, in batches of the given size.
func BenchmarkWrite(b *testing.B) {
	for _, batch := range []int{1, 50, 500} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			p, log, c, paths := benchPipeline(b, 10000)
			frames := make([][]byte, len(paths))
			for i, path := range paths {
				frames[i] = frameOf(1, proto.OpSetData, &proto.SetData{Path: path, Data: make([]byte, 100), Version: -1})
			}
			var burst Burst
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				log.serve(p, c, &burst, frames[i*7919%len(frames)], i%batch == batch-1)
			}
		})
	}
}

// BenchmarkMulti is BenchmarkWrite with four setData in one.
func BenchmarkMulti(b *testing.B) {
	p, log, c, paths := benchPipeline(b, 10000)
	frames := make([][]byte, len(paths))
	for i := range frames {
		var list steps
		for k := range 4 {
			list = append(list, step{proto.OpSetData, &proto.SetData{Path: paths[(i*4+k*1237)%len(paths)], Data: make([]byte, 100), Version: -1}})
		}
		frames[i] = frameOf(1, proto.OpMulti, list)
	}
	var burst Burst
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		log.serve(p, c, &burst, frames[i*7919%len(frames)], i%50 == 49)
	}
}

// BenchmarkMixed is BenchmarkWrite with bursts of a setData and three getData
// that wait for it.
func BenchmarkMixed(b *testing.B) {
	p, log, c, paths := benchPipeline(b, 10000)
	writes, reads := make([][]byte, len(paths)), make([][]byte, len(paths))
	for i, path := range paths {
		writes[i] = frameOf(1, proto.OpSetData, &proto.SetData{Path: path, Data: make([]byte, 100), Version: -1})
		reads[i] = frameOf(1, proto.OpGetData, &proto.PathWatch{Path: path})
	}
	var burst Burst
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		at := i * 7919 % len(paths)
		log.serve(p, c, &burst, writes[at], false)
		for k := range 3 {
			log.serve(p, c, &burst, reads[(at+k*1237)%len(paths)], k == 2)
		}
		c.link.Flush()
	}
}

// BenchmarkCreateDelete is BenchmarkWrite with a create and a delete of the same
// znode in turn, two operations a round; BenchmarkSequential with a create of a
// sequential ephemeral znode and its delete.
func BenchmarkCreateDelete(b *testing.B) { benchChildren(b, 0) }
func BenchmarkSequential(b *testing.B) {
	benchChildren(b, proto.FlagEphemeral|proto.FlagSequential)
}

func benchChildren(b *testing.B, flags int32) {
	p, log, c, _ := benchPipeline(b, 1000)
	open := []proto.ACL{{Perms: proto.PermAll, Scheme: "world", ID: "anyone"}}
	create := func(i int) []byte {
		return frameOf(1, proto.OpCreate, &proto.Create{Path: fmt.Sprintf("/d000/c%05d", i%1000), Data: make([]byte, 100), ACL: open, Flags: flags})
	}
	remove := func(i int) []byte {
		path := fmt.Sprintf("/d000/c%05d", i%1000)
		if flags != 0 {
			path += fmt.Sprintf("%010d", 1000+i)
		}
		return frameOf(1, proto.OpDelete, &proto.PathVersion{Path: path, Version: -1})
	}
	frames := make([][]byte, 0, 2*b.N)
	for i := range b.N {
		frames = append(frames, create(i), remove(i))
	}
	var burst Burst
	b.ReportAllocs()
	b.ResetTimer()
	for i, frame := range frames {
		log.serve(p, c, &burst, frame, i%50 == 49)
	}
	b.StopTimer()
	log.commit(p)
	if n := p.tree.Len(); n != 1005 {
		b.Errorf("%d znodes are left", n)
	}
}

// BenchmarkRead is a getData from its frame to its queued reply. It must not
// allocate.
func BenchmarkRead(b *testing.B) {
	_, _, c, paths := benchPipeline(b, 10000)
	frames := make([][]byte, len(paths))
	for i, path := range paths {
		frames[i] = frameOf(1, proto.OpGetData, &proto.PathWatch{Path: path})
	}
	var burst Burst
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Begin(&burst)
		c.Serve(&burst, frames[i*7919%len(frames)])
		c.End(&burst)
		c.link.Flush()
	}
}

// BenchmarkLargeTree is a getData among a million znodes, in bursts, with and
// without looking ahead.
func BenchmarkLargeTree(b *testing.B) {
	_, _, c, paths := benchPipeline(b, 1_000_000)
	for _, size := range []int{1, 4, 16} {
		bursts := make([][]byte, len(paths)/size)
		for i := range bursts {
			frames := make([][]byte, size)
			for k := range frames {
				frames[k] = frameOf(1, proto.OpGetData, &proto.PathWatch{Path: paths[(i*size+k)*7919%len(paths)]})
			}
			bursts[i] = withLengths(frames...)
		}
		for _, ahead := range []bool{false, true} {
			b.Run(fmt.Sprintf("burst=%d,ahead=%v", size, ahead), func(b *testing.B) {
				var burst Burst
				for i := 0; i < b.N; i += size {
					buf := bursts[i/size%len(bursts)]
					c.Begin(&burst)
					if ahead {
						c.Warm(&burst, buf)
					}
					for len(buf) > 0 {
						var frame []byte
						frame, buf, _ = cutFrame(buf)
						c.Serve(&burst, frame)
					}
					c.End(&burst)
					c.link.Flush()
				}
			})
		}
	}
}
