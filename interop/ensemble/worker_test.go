// SPDX-License-Identifier: Apache-2.0

//go:build unix

package ensemble

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"paddock/proto"
	"paddock/zk"
)

// A value is what a worker knows of one znode.
type value struct {
	exists   bool
	data     string
	version  int32
	aversion int32
	owned    bool // ephemeral, of this session
}

// A worker is one session that changes a subtree of its own, a request at a
// time, and knows at every moment what must be there: nobody else writes, and a
// request that got no answer is looked into before the next one. What it asked
// for on a connection that broke has either happened when the session is at
// home on the next one, or never will.
type worker struct {
	crew   *crew
	client *zk.Client
	root   string
	rng    *rand.Rand
	next   int // for values and names that do not repeat
	known  map[string]value
	seq    []string // sequential znodes, in the order of their creation
	count  int64    // the number that the data of root begins with
	told   atomic.Int64
	heard  map[*worker]int64 // the highest count seen of another worker
	lost   int               // requests without an answer
}

func (w *worker) settleIn() error {
	for _, step := range []struct {
		path  string
		flags zk.CreateFlags
	}{{w.root, 0}, {w.root + "/seq", 0}, {w.root + "/e", 0}, {w.root + "/e/stays", zk.Ephemeral}} {
		if err := w.create(step.path, step.flags, "0 "+step.path); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) create(path string, flags zk.CreateFlags, data string) error {
	will := value{exists: true, data: data, owned: flags&zk.Ephemeral != 0}
	return w.ask(map[string]value{path: will}, func(ctx context.Context) (zk.Stat, error) {
		_, st, err := w.client.CreateWithStat(ctx, path, []byte(data), zk.OpenACL, flags)
		return st, err
	})
}

// step sends one request and holds the answer against what is known.
func (w *worker) step() error {
	w.next++
	data := fmt.Sprintf("%d-%s", w.next, strings.Repeat("x", w.rng.IntN(200)))
	path := fmt.Sprintf("%s/n%d", w.root, w.rng.IntN(30))
	was := w.known[path]
	switch k := w.rng.IntN(20); {
	case k < 3:
		return w.multi(path, data)
	case k == 3:
		return w.sequential(data)
	case k == 4:
		e := fmt.Sprintf("%s/e/%d", w.root, w.rng.IntN(4))
		if v := w.known[e]; v.exists {
			return w.remove(e, v)
		}
		return w.create(e, zk.Ephemeral, data)
	case k == 5:
		return w.refused(path, was)
	case k < 9:
		return w.readOwn(path)
	case k < 11:
		return w.readOther()
	case was.exists && k == 11:
		return w.remove(path, was)
	case was.exists && k == 12:
		will := was
		will.aversion++
		acl := []zk.ACL{{Perms: zk.PermAll, Scheme: "world", ID: "anyone"}, {Perms: zk.PermRead, Scheme: "ip", ID: fmt.Sprintf("10.1.1.%d", w.next%200)}}
		return w.ask(map[string]value{path: will}, func(ctx context.Context) (zk.Stat, error) {
			return w.client.SetACL(ctx, path, acl, was.aversion)
		})
	case was.exists:
		return w.ask(map[string]value{path: {true, data, was.version + 1, was.aversion, false}}, func(ctx context.Context) (zk.Stat, error) {
			return w.client.Set(ctx, path, []byte(data), was.version)
		})
	case k == 13:
		return w.ask(map[string]value{path: {exists: true, data: data}}, func(ctx context.Context) (zk.Stat, error) {
			_, st, err := w.client.CreateContainer(ctx, path, []byte(data), zk.OpenACL)
			return st, err
		})
	case k == 14:
		return w.ask(map[string]value{path: {exists: true, data: data}}, func(ctx context.Context) (zk.Stat, error) {
			_, st, err := w.client.CreateTTL(ctx, path, []byte(data), zk.OpenACL, 0, time.Hour)
			return st, err
		})
	}
	return w.create(path, 0, data)
}

func (w *worker) remove(path string, was value) error {
	return w.ask(map[string]value{path: {}}, func(ctx context.Context) (zk.Stat, error) {
		return zk.Stat{}, w.client.Delete(ctx, path, was.version)
	})
}

// multi changes root, whose number goes up by one, together with another znode.
func (w *worker) multi(path, data string) error {
	root := w.known[w.root]
	count := w.count + 1
	new := fmt.Sprintf("%d %s", count, data)
	ops := []zk.Op{zk.CheckOp(w.root+"/seq", 0), zk.SetOp(w.root, []byte(new), root.version)}
	will := map[string]value{w.root: {true, new, root.version + 1, root.aversion, false}}
	if was := w.known[path]; was.exists {
		ops = append(ops, zk.DeleteOp(path, was.version))
		will[path] = value{}
	} else {
		ops = append(ops, zk.CreateOp(path, []byte(data), zk.OpenACL, 0))
		will[path] = value{exists: true, data: data}
	}
	err := w.ask(will, func(ctx context.Context) (zk.Stat, error) {
		r, err := w.client.Multi(ctx, ops...)
		if err != nil {
			return zk.Stat{}, err
		}
		return r[1].Stat, nil
	})
	if w.known[w.root].data == new {
		w.count = count
		w.told.Store(count)
	}
	return err
}

// sequential makes a znode whose name is known only from the answer.
func (w *worker) sequential(data string) error {
	ctx, cancel := within()
	defer cancel()
	name, st, err := w.client.CreateWithStat(ctx, w.root+"/seq/s-", []byte(data), zk.OpenACL, zk.Sequential)
	if unknown(err) {
		w.lost++
		names, err := again(w, func(ctx context.Context) ([]string, error) { return w.client.Children(ctx, w.root+"/seq") })
		if err != nil {
			return err
		}
		name = ""
		for _, n := range names {
			if n = w.root + "/seq/" + n; !w.known[n].exists {
				if name != "" {
					return fmt.Errorf("%s and %s exist, one create was sent", name, n)
				}
				name = n
			}
		}
		if name == "" {
			return nil
		}
		found, err := w.look(name)
		if err != nil {
			return err
		}
		if found.data != data {
			return fmt.Errorf("%s holds %q; the only open create was of %q", name, found.data, data)
		}
	} else if err != nil {
		return fmt.Errorf("sequential create: %w", err)
	} else if err := w.wrote(st); err != nil {
		return err
	}
	if n := len(w.seq); n > 0 && w.seq[n-1] >= name {
		return fmt.Errorf("%s was made after %s", name, w.seq[n-1])
	}
	w.known[name] = value{exists: true, data: data}
	w.seq = append(w.seq, name)
	if n := len(w.seq); n > 50 && w.rng.IntN(2) == 0 { // so that the tree stays small
		old := w.seq[0]
		w.seq = w.seq[1:]
		return w.remove(old, w.known[old])
	}
	return nil
}

// refused sends writes that must fail: they take a zxid all the same.
func (w *worker) refused(path string, was value) error {
	var err error
	var want error
	ctx, cancel := within()
	defer cancel()
	switch {
	case !was.exists:
		_, err = w.client.Set(ctx, path, nil, -1)
		want = zk.ErrNoNode
	case w.rng.IntN(2) == 0:
		_, err = w.client.Create(ctx, path, nil, zk.OpenACL, 0)
		want = zk.ErrNodeExists
	default:
		_, err = w.client.Multi(ctx, zk.SetOp(w.root, nil, -1), zk.DeleteOp(path, was.version+1))
		want = zk.ErrBadVersion
	}
	if unknown(err) {
		w.lost++
		return w.settle(map[string]value{path: was, w.root: w.known[w.root]})
	}
	if !errors.Is(err, want) {
		return fmt.Errorf("%s is %+v: %v, want %v", path, was, err, want)
	}
	return nil
}

// readOwn reads a znode of its own: it must be as the last write left it.
func (w *worker) readOwn(path string) error {
	ctx, cancel := within()
	defer cancel()
	found, err := w.read(ctx, path)
	if unknown(err) {
		return nil
	}
	if err == nil && found != w.known[path] {
		err = fmt.Errorf("%s is %+v on %s, and was written as %+v", path, found, w.client.Server(), w.known[path])
	}
	return err
}

// readOther reads the number of another worker: it never falls, and behind a
// sync it is at least what that worker was told when the sync began.
func (w *worker) readOther() error {
	o := w.crew.workers[w.rng.IntN(len(w.crew.workers))]
	ctx, cancel := within()
	defer cancel()
	least := w.heard[o]
	if fresh := w.crew.fresh.Load(); w.rng.IntN(3) == 0 {
		told := o.told.Load()
		if err := w.client.Sync(ctx, "/"); err != nil {
			return onlyIf(err, !unknown(err))
		}
		if fresh && w.crew.fresh.Load() {
			least = max(least, told)
		}
	}
	found, err := w.read(ctx, o.root)
	if err != nil {
		return onlyIf(err, !unknown(err))
	}
	text, _, _ := strings.Cut(found.data, " ")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least {
		return fmt.Errorf("%s is at %q on %s, and was at %d before (%v)", o.root, text, w.client.Server(), least, err)
	}
	w.heard[o] = n
	return nil
}

func onlyIf(err error, is bool) error {
	if is {
		return err
	}
	return nil
}

// ask sends a write; will is what it makes when it succeeds.
func (w *worker) ask(will map[string]value, request func(context.Context) (zk.Stat, error)) error {
	ctx, cancel := within()
	defer cancel()
	st, err := request(ctx)
	if unknown(err) {
		w.lost++
		return w.settle(will)
	}
	if err != nil {
		return fmt.Errorf("%w, on the way from %+v to %+v", err, w.before(will), will)
	}
	for p, v := range will {
		w.known[p] = v
	}
	return w.wrote(st)
}

// wrote notes an acknowledged write.
func (w *worker) wrote(st zk.Stat) error {
	w.crew.gap.ack()
	if st.Mzxid == 0 { // a delete tells no zxid
		return nil
	}
	if st.Pzxid != 0 && st.Mzxid < st.Czxid {
		return fmt.Errorf("stat %+v: changed before it was created", st)
	}
	return nil
}

func (w *worker) before(will map[string]value) map[string]value {
	out := map[string]value{}
	for p := range will {
		out[p] = w.known[p]
	}
	return out
}

// settle finds out what became of a request that had no answer: all of it is
// there, or nothing.
func (w *worker) settle(will map[string]value) error {
	did, didNot := true, true
	found := map[string]value{}
	for p, v := range will {
		f, err := w.look(p)
		if err != nil {
			return err
		}
		found[p] = f
		did = did && f == v
		didNot = didNot && f == w.known[p]
	}
	switch {
	case did:
		for p, v := range will {
			w.known[p] = v
		}
	case !didNot:
		return fmt.Errorf("found %+v on %s after a request without an answer; known %+v, asked for %+v", found, w.client.Server(), w.before(will), will)
	}
	return nil
}

// look reads a znode by and by, behind a sync.
func (w *worker) look(path string) (value, error) {
	return again(w, func(ctx context.Context) (value, error) { return w.read(ctx, path) })
}

func again[T any](w *worker, read func(context.Context) (T, error)) (T, error) {
	var none T
	for deadline := time.Now().Add(patience); ; {
		ctx, cancel := within()
		err := w.client.Sync(ctx, "/")
		var v T
		if err == nil {
			v, err = read(ctx)
		}
		cancel()
		if err == nil || !unknown(err) {
			return v, err
		}
		if time.Now().After(deadline) {
			return none, fmt.Errorf("no answer in %v: %w", patience, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (w *worker) read(ctx context.Context, path string) (value, error) {
	data, st, err := w.client.Get(ctx, path)
	if errors.Is(err, zk.ErrNoNode) {
		return value{}, nil
	}
	if err != nil {
		return value{}, err
	}
	return valueOf(data, st, w.client.SessionID()), nil
}

func valueOf(data []byte, st zk.Stat, session proto.SessionID) value {
	return value{true, string(data), st.Version, st.Aversion, st.EphemeralOwner == int64(session) && session != 0}
}

// unknown tells whether the outcome of a request is open.
func unknown(err error) bool {
	return errors.Is(err, zk.ErrConnectionLoss) || errors.Is(err, proto.ErrSessionMoved)
}

// within bounds one call. A client waits for a connection as long as it takes;
// what is not answered by then hangs.
func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// paths are those that must exist, in order.
func (w *worker) paths() []string {
	var out []string
	for p, v := range w.known {
		if v.exists {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, cmp.Compare)
	return out
}
