// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"paddock/proto"
)

// Nodes is the number of znodes of the model: siblings, so that one List shows
// which of them are there.
const Nodes = 6

// Op is what a client asks of the model.
type Op struct {
	Type    proto.OpCode // create, delete, setData, check, getData, exists, getChildren, multi, multiRead, closeSession
	Node    int
	Value   int32 // written; no two writes of a history write the same
	Version int32 // demanded; -1 is any
	// Session owns what is created (0: nobody does), or is the one that ends.
	Session proto.SessionID
	Steps   []Op // of a multi or multiRead
}

// Result is what the client was told. The zero Zxid stands for none known.
type Result struct {
	// Unknown: the connection broke. The operation may happen at any time from
	// its call on, or never; with a Zxid, it did happen as that.
	Unknown bool
	Zxid    proto.Zxid
	Code    proto.Code
	Value   int32
	Version int32
	Owner   proto.SessionID
	Present [Nodes]bool // of getChildren
	Steps   []Result
}

type znode struct {
	exists  bool
	version int32
	value   int32
	owner   proto.SessionID
}

// znodes is the state of the model. It is comparable: porcupine asks for that.
type znodes struct {
	zxid  proto.Zxid // of the last operation whose zxid is known
	nodes [Nodes]znode
}

// step does op and returns what a server must answer.
func (s *znodes) step(op Op) Result {
	n := &s.nodes[op.Node]
	switch op.Type {
	case proto.OpCreate:
		if n.exists {
			return Result{Code: proto.ErrNodeExists}
		}
		*n = znode{exists: true, value: op.Value, owner: op.Session}
		return Result{}
	case proto.OpCloseSession:
		for i := range s.nodes {
			if s.nodes[i].exists && s.nodes[i].owner == op.Session {
				s.nodes[i] = znode{}
			}
		}
		return Result{}
	case proto.OpGetChildren:
		var r Result
		for i := range s.nodes {
			r.Present[i] = s.nodes[i].exists
		}
		return r
	case proto.OpMulti:
		return s.multi(op)
	case proto.OpMultiRead:
		r := Result{Steps: make([]Result, len(op.Steps))}
		for i := range op.Steps {
			r.Steps[i] = s.step(op.Steps[i])
		}
		return r
	}
	switch {
	case !n.exists:
		return Result{Code: proto.ErrNoNode}
	case op.Type == proto.OpGetData:
		return Result{Value: n.value, Version: n.version, Owner: n.owner}
	case op.Type == proto.OpExists:
		return Result{Version: n.version, Owner: n.owner}
	case op.Version != -1 && op.Version != n.version:
		return Result{Code: proto.ErrBadVersion}
	case op.Type == proto.OpDelete:
		*n = znode{}
	case op.Type == proto.OpSetData:
		n.version++
		n.value = op.Value
		return Result{Version: n.version}
	}
	return Result{} // check
}

// multi does all steps or none: an operation that fails is answered with its
// code, those after it with ErrRuntimeInconsistency, those before with 0.
func (s *znodes) multi(op Op) Result {
	next := *s
	r := Result{Steps: make([]Result, len(op.Steps))}
	for i := range op.Steps {
		r.Steps[i] = next.step(op.Steps[i])
		if code := r.Steps[i].Code; code != proto.OK {
			for j := range r.Steps {
				r.Steps[j] = Result{}
				if j > i {
					r.Steps[j].Code = proto.ErrRuntimeInconsistency
				}
			}
			r.Steps[i].Code = code
			return r
		}
	}
	*s = next
	return r
}

func writes(t proto.OpCode) bool {
	switch t {
	case proto.OpGetData, proto.OpExists, proto.OpGetChildren, proto.OpMultiRead:
		return false
	}
	return true
}

// input is an operation as porcupine has it.
type input struct {
	Op
	// Where the zxids of all writes are known there is one order of them to try:
	// after is the write before this operation.
	chained bool
	after   proto.Zxid
}

// accepts does op and tells whether the server may have answered r.
func (s *znodes) accepts(op input, r Result) bool {
	want := s.step(op.Op)
	switch {
	case op.chained:
		if s.zxid != op.after {
			return false
		}
		if writes(op.Type) {
			s.zxid = r.Zxid
		}
	case r.Zxid != 0:
		// Every write takes a zxid of its own, also one that fails; a read shows
		// the state after the zxid it names.
		if r.Zxid < s.zxid || writes(op.Type) && r.Zxid == s.zxid {
			return false
		}
		s.zxid = r.Zxid
	}
	return r.Unknown || same(want, r)
}

func same(want, got Result) bool {
	if want.Code != got.Code || want.Value != got.Value || want.Version != got.Version || want.Owner != got.Owner ||
		want.Present != got.Present || len(want.Steps) != len(got.Steps) {
		return false
	}
	for i := range want.Steps {
		if !same(want.Steps[i], got.Steps[i]) {
			return false
		}
	}
	return true
}

var model = porcupine.Model{
	Init: func() any { return znodes{} },
	Step: func(state, in, output any) (bool, any) {
		s := state.(znodes)
		ok := s.accepts(in.(input), output.(Result))
		return ok, s
	},
	DescribeOperation: func(in, output any) string { return Entry{Op: in.(input).Op, Result: output.(Result)}.String() },
	DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state.(znodes)) },
}

// Entry is one operation of a history with its times.
type Entry struct {
	Client       int
	Session      proto.SessionID // that asked, and its xid: what a log knows the operation by
	Xid          int32
	Op           Op
	Result       Result
	Call, Return time.Duration // since the history began
}

func (e Entry) String() string {
	var b strings.Builder
	describe(&b, e.Op)
	switch {
	case e.Result.Unknown:
		fmt.Fprintf(&b, " -> ? %v", e.Result.Zxid)
	default:
		fmt.Fprintf(&b, " -> %+v", e.Result)
	}
	return b.String()
}

func describe(b *strings.Builder, op Op) {
	fmt.Fprintf(b, "%v", op.Type)
	switch op.Type {
	case proto.OpMulti, proto.OpMultiRead:
		for i := range op.Steps {
			b.WriteString(" [")
			describe(b, op.Steps[i])
			b.WriteString("]")
		}
	case proto.OpCloseSession:
		fmt.Fprintf(b, " %v", op.Session)
	case proto.OpGetChildren:
	default:
		fmt.Fprintf(b, " /%d", op.Node)
		if op.Type == proto.OpCreate || op.Type == proto.OpSetData {
			fmt.Fprintf(b, "=%d", op.Value)
		}
		if op.Type == proto.OpCreate && op.Session != 0 {
			fmt.Fprintf(b, " of %v", op.Session)
		}
		if op.Type != proto.OpCreate && writes(op.Type) {
			fmt.Fprintf(b, " v%d", op.Version)
		}
	}
}

// Verdict is what Linearizable found.
type Verdict struct {
	porcupine.CheckResult
	info porcupine.LinearizationInfo
}

// Picture writes a page that shows the history and where it goes wrong.
func (v Verdict) Picture(file string) error { return porcupine.VisualizePath(model, v.info, file) }

// Linearizable looks for one order of all operations of a history that agrees
// with real time, with the zxids and with every result. It gives up after
// limit (0 is never): porcupine.Unknown. The znodes are absent at first.
func Linearizable(h []Entry, limit time.Duration) Verdict {
	end := time.Duration(0)
	for _, e := range h {
		end = max(end, e.Return, e.Call)
	}
	before := chain(h)
	ops := make([]porcupine.Operation, 0, len(h))
	for _, e := range h {
		back := e.Return
		if e.Result.Unknown {
			if !writes(e.Op.Type) {
				continue
			}
			if back == 0 {
				back = end + 1
			}
		}
		in := input{Op: e.Op}
		if before != nil && e.Result.Zxid != 0 {
			in.chained, in.after = true, before(e)
		}
		ops = append(ops, porcupine.Operation{ClientId: e.Client, Input: in, Call: int64(e.Call), Output: e.Result, Return: int64(back)})
	}
	res, info := porcupine.CheckOperationsVerbose(model, ops, limit)
	return Verdict{res, info}
}

// chain returns the zxid of the write before an operation, if those of all
// writes are known: see Resolve.
func chain(h []Entry) func(Entry) proto.Zxid {
	var zxids []proto.Zxid
	for _, e := range h {
		if writes(e.Op.Type) {
			if e.Result.Zxid == 0 {
				return nil
			}
			zxids = append(zxids, e.Result.Zxid)
		}
	}
	slices.Sort(zxids)
	return func(e Entry) proto.Zxid {
		z := e.Result.Zxid
		if !writes(e.Op.Type) {
			z++
		}
		i, _ := slices.BinarySearch(zxids, z)
		if i == 0 {
			return 0
		}
		return zxids[i-1]
	}
}

// Explain names the first operation, in the order of the zxids, whose answer is
// not what the model says, or that runs against real time; nil if there is none
// or where zxids are missing. It is for the message when Linearizable says no.
func Explain(h []Entry) error {
	if chain(h) == nil {
		return nil
	}
	h = slices.DeleteFunc(slices.Clone(h), func(e Entry) bool { return e.Result.Zxid == 0 })
	slices.SortStableFunc(h, func(a, b Entry) int {
		if c := cmp.Compare(a.Result.Zxid, b.Result.Zxid); c != 0 {
			return c
		}
		if w := writes(a.Op.Type); w != writes(b.Op.Type) {
			if w {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Call, b.Call)
	})
	var (
		s      znodes
		latest Entry // by its call
	)
	for _, e := range h {
		if want := s.step(e.Op); !e.Result.Unknown && !same(want, e.Result) {
			return fmt.Errorf("client %d at %v: %v; the model says %+v", e.Client, e.Call, e, want)
		}
		if e.Return != 0 && e.Return < latest.Call {
			return fmt.Errorf("client %d: %v was over at %v, before client %d began at %v, an older zxid: %v", e.Client, e, e.Return, latest.Client, latest.Call, latest)
		}
		if e.Call > latest.Call {
			latest = e
		}
	}
	return nil
}
