// SPDX-License-Identifier: Apache-2.0

// Package crashtest is evidence that nothing acknowledged is lost: not when
// the server is killed, not when the power fails, not when the disk is full or
// broken.
//
//	Workload ── writes ──▶ server ── crash ──▶ server' ── Dump ──┐
//	   └── what it asked for, what was acknowledged ──▶ Ledger ◀─┘ Check
//
// A Workload keeps several sessions writing and enters each request into a
// Ledger before it is sent and again when it is answered. After the crash the
// Ledger is held against the whole tree: what was acknowledged must be there as
// it was acknowledged, what was not must be there once or not at all, and
// nothing else may be there. Then the next life of the same data begins.
//
// The package is imported by tests only.
package crashtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"paddock/internal/tree"
	"paddock/proto"
	"paddock/zk"
)

// Dump is everything that a server holds, at one moment.
type Dump struct {
	Zxid     proto.Zxid // of the last transaction; 0 of a dump by a client
	Digest   uint64     // the tree's own; 0 of a dump by a client
	Nodes    map[string]Node
	Sessions map[int64]int32 // timeouts in ms; nil of a dump by a client
}

// Node is one znode.
type Node struct {
	Data string
	Null bool   // Data is not empty but null
	ACL  string // "" in a dump by a client
	Stat proto.Stat
	// Owner is the stored one, which for containers and TTL znodes the Stat does
	// not show; a dump by a client has the Stat's.
	Owner int64
}

func aclText(list []proto.ACL) string { return fmt.Sprint(list) }

// DumpTree reads a server's tree.
func DumpTree(t *tree.Tree) *Dump {
	v := t.View(0)
	defer v.Close()
	d := &Dump{Zxid: v.Zxid(), Digest: v.Digest(), Nodes: map[string]Node{}, Sessions: v.Sessions()}
	var walk func(tree.Ref)
	walk = func(r tree.Ref) {
		data := v.Data(r)
		d.Nodes[v.Path(r)] = Node{Data: string(data), Null: data == nil, ACL: aclText(v.ACL(r)), Stat: v.Stat(r), Owner: v.Persisted(r).EphemeralOwner}
		v.Children(r, walk)
	}
	walk(v.Find("/"))
	return d
}

// DumpClient reads the tree as a client sees it. Nothing may be writing.
func DumpClient(ctx context.Context, c *zk.Client) (*Dump, error) {
	d := &Dump{Nodes: map[string]Node{}}
	for level := []string{"/"}; len(level) > 0; {
		var next []string
		for batch := range slices.Chunk(level, 64) {
			var ops []zk.Op
			for _, p := range batch {
				ops = append(ops, zk.GetOp(p), zk.ChildrenOp(p))
			}
			results, err := c.MultiRead(ctx, ops...)
			if err != nil {
				return nil, err
			}
			for i, p := range batch {
				get, children := results[2*i], results[2*i+1]
				if get.Err == proto.ErrNoNode {
					continue // of a session that expired meanwhile
				}
				if get.Err != nil || children.Err != nil {
					return nil, fmt.Errorf("%s: %v, %v", p, get.Err, children.Err)
				}
				d.Nodes[p] = Node{Data: string(get.Data), Null: get.Data == nil, Stat: get.Stat, Owner: get.Stat.EphemeralOwner}
				for _, name := range children.Names {
					next = append(next, strings.TrimSuffix(p, "/")+"/"+name)
				}
			}
		}
		level = next
	}
	return d, nil
}

// Children returns the names below a path, sorted.
func (d *Dump) Children(path string) []string {
	var names []string
	for p := range d.Nodes {
		if up, name := tree.Split(p); up == path && name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Faults lists what no tree may look like, whatever was written: znodes
// without parent, wrong counts of children, ephemerals of nobody, numbers
// beyond the last zxid, a digest that is not the sum over the znodes.
func (d *Dump) Faults() []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	children := map[string]int32{}
	sum := uint64(0)
	var sums tree.Digester
	for p, n := range d.Nodes {
		root := p == "/"
		if !root {
			up, _ := tree.Split(p)
			if up == "" {
				up = "/"
			}
			if _, ok := d.Nodes[up]; !ok {
				fault("%s is there without its parent", p)
			}
			children[up]++
		}
		if int(n.Stat.DataLength) != len(n.Data) {
			fault("%s has %d bytes, its stat says %d", p, len(n.Data), n.Stat.DataLength)
		}
		if d.Sessions != nil {
			if z := max(n.Stat.Czxid, n.Stat.Mzxid, n.Stat.Pzxid); z > d.Zxid {
				fault("%s is of zxid %s, the tree only of %s", p, z, d.Zxid)
			}
			if _, ok := d.Sessions[n.Owner]; !ok && n.Stat.EphemeralOwner != 0 {
				fault("%s belongs to session %s, which is not there", p, proto.SessionID(n.Owner))
			}
		}
		if !strings.HasPrefix(p, proto.ZookeeperPath+"/") {
			// Clients are shown twice the stored cversion less the children.
			st := proto.StatPersisted{Czxid: n.Stat.Czxid, Mzxid: n.Stat.Mzxid, Ctime: n.Stat.Ctime, Mtime: n.Stat.Mtime, Version: n.Stat.Version,
				Cversion: (n.Stat.Cversion + n.Stat.NumChildren) / 2, Aversion: n.Stat.Aversion, EphemeralOwner: n.Owner, Pzxid: n.Stat.Pzxid}
			if root {
				p = ""
			}
			sum += uint64(sums.Node(sums.Path(p, []byte(n.Data)), &st))
		}
	}
	for p, n := range d.Nodes {
		if n.Stat.NumChildren != children[p] {
			fault("%s has %d children, its stat says %d", p, children[p], n.Stat.NumChildren)
		}
	}
	if d.Sessions != nil && sum != d.Digest {
		fault("the tree's digest is %x, the sum over its znodes %x", d.Digest, sum)
	}
	slices.Sort(faults)
	return faults
}

// Difference lists how d differs from want: in every znode, and in what else
// both dumps know.
func (d *Dump) Difference(want *Dump) []string {
	var diff []string
	paths := maps.Clone(want.Nodes)
	maps.Copy(paths, d.Nodes)
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		a, isA := d.Nodes[p]
		b, isB := want.Nodes[p]
		if a.ACL == "" || b.ACL == "" { // seen by a client
			a.ACL, b.ACL = "", ""
			a.Owner, b.Owner = a.Stat.EphemeralOwner, b.Stat.EphemeralOwner
		}
		switch {
		case !isA:
			diff = append(diff, fmt.Sprintf("%s is missing, it was %+v", p, b))
		case !isB:
			diff = append(diff, fmt.Sprintf("%s should not be there: %+v", p, a))
		case a != b:
			diff = append(diff, fmt.Sprintf("%s is %+v, should be %+v", p, a, b))
		}
	}
	if d.Sessions == nil || want.Sessions == nil {
		return diff
	}
	if !maps.Equal(d.Sessions, want.Sessions) {
		diff = append(diff, fmt.Sprintf("the sessions are %x, should be %x", d.Sessions, want.Sessions))
	}
	if d.Digest != want.Digest || d.Zxid != want.Zxid {
		diff = append(diff, fmt.Sprintf("digest %x at %s, should be %x at %s", d.Digest, d.Zxid, want.Digest, want.Zxid))
	}
	return diff
}
