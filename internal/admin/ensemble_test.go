// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paddock/internal/config"
	"paddock/internal/ensemble"
	"paddock/internal/quorum"
	"paddock/proto"
)

// theFour is the recorded ensemble: three participants and an observer.
func theFour(t testing.TB) *quorum.Config {
	t.Helper()
	c, err := quorum.Parse(`server.1=127.0.0.1:24021:24031:participant
server.2=127.0.0.2:24022:24032:participant
server.3=127.0.0.3:24023:24033:participant
server.4=127.0.0.4:24024:24034:observer
version=100000000`)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// asked is an Admin of one server of it.
func asked(t testing.TB, h ensemble.Health) *Admin {
	h.Membership = theFour(t)
	h.Own, _ = h.Membership.Member(h.Sid)
	h.Observer = h.Own.Observer
	c := &config.Config{LeaderServes: true, Ensemble: config.Ensemble{InitLimit: 10, SyncLimit: 5, ElectionAlg: 3}}
	return New(Source{Config: c, Ensemble: func() ensemble.Health { return h }})
}

// The end of conf is what an ensemble adds; the rest is a single server's.
func TestEnsembleTextsAsRecorded(t *testing.T) {
	leader := ensemble.Health{Serving: true, Mode: "leader", Sid: 2}
	sized := leader
	sized.LastProposalBytes, sized.MinProposalBytes, sized.MaxProposalBytes = 66, 48, 103
	status := func(h ensemble.Health, s serverStatus) answer {
		a := asked(t, h)
		s.Version, s.Mode, s.Proposals = apacheVersion, a.mode(), a.proposals()
		return s
	}
	conf := func(h ensemble.Health) answer {
		a := asked(t, h)
		return ensembleSettings{pairs{Lines: append([]pair{{"serverId", a.serverID()}}, a.ensembleSettings()...)}, a.membership()}
	}
	session := func(id int64) globalSession { return globalSession{id, 30000} }
	dumped := sessionDump{
		Learner: asked(t, ensemble.Health{Serving: true, Mode: "follower", Sid: 1}).learns(),
		Global:  []globalSession{session(0x400001c79ce0000), session(0x100001c60db0000), session(0x200001c61720000)},
		Ephemerals: []owned{{0x400001c79ce0000, []string{"/app/eph2"}}, {0x100001c60db0000, []string{"/app/eph1"}},
			{0x200001c61720000, []string{"/app/eph0"}}},
		Connections: expiry[connection]{expires("03:02:39"): {}, expires("03:02:59"): {},
			expires("03:02:49"): {{Peer: "/127.0.0.1:51038"}}, expires("03:03:09"): {{Peer: "/127.0.0.1:33748", Session: 0x100001c60db0000}}},
	}
	for _, tt := range []struct {
		name string
		ans  answer
	}{
		{"quorum-leader-srvr", status(sized, serverStatus{Latency: latency{0, 20, 2.44318}, Received: 286, Sent: 287, Connections: 2, Zxid: 0x100000197, Nodes: 209})},
		{"quorum-leader-after-srst-srvr", status(leader, serverStatus{Received: 1, Sent: 1, Connections: 2, Zxid: 0x100000197, Nodes: 209})},
		{"readonly-srvr", status(ensemble.Health{ReadOnly: true, Sid: 1}, serverStatus{Received: 13, Sent: 14, Connections: 1, Zxid: 0x10000019a, Nodes: 206})},
		{"quorum-leader-conf", conf(leader)},
		{"quorum-observer-conf", conf(ensemble.Health{Serving: true, Mode: "observer", Sid: 4})},
		{"readonly-conf", conf(ensemble.Health{ReadOnly: true, Sid: 1})},
		{"quorum-follower-dump", dumped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", "4lw", tt.name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			want, got := string(text), string(tt.ans.appendText(nil))
			if i := strings.Index(want, "serverId="); i >= 0 {
				want = want[i:]
			}
			if got != want {
				t.Errorf("got\n%s\nrecorded\n%s", got, want)
			}
		})
	}
}

func TestWhatIsServedInWhichState(t *testing.T) {
	for _, tt := range []struct {
		name             string
		health           ensemble.Health
		mode, isro, mntr string // mntr: the lines that are no numbers
	}{
		{"looking", ensemble.Health{Mode: "looking"}, "", "null", ""},
		{"joining", ensemble.Health{Mode: "follower", PeerState: "following - synchronization - diff"}, "", "null", ""},
		{"read-only", ensemble.Health{Mode: "looking", ReadOnly: true}, "read-only", "ro", ""},
		{"leader", ensemble.Health{Serving: true, Mode: "leader", PeerState: "leading - broadcast"}, "leader", "rw", "zk_peer_state\tleading - broadcast\n"},
		{"observer", ensemble.Health{Serving: true, Mode: "observer", PeerState: "observing - broadcast", Leader: 3, Master: 3}, "observer", "rw",
			"zk_peer_state\tobserving - broadcast\nzk_observer_master_id\t3\n"},
	} {
		a := asked(t, tt.health)
		if got := a.mode(); got != tt.mode {
			t.Errorf("%s: mode %q, want %q", tt.name, got, tt.mode)
		}
		if got := string(a.writable().appendText(nil)); got != tt.isro {
			t.Errorf("%s: isro %q, want %q", tt.name, got, tt.isro)
		}
		if got := string(a.peerState().appendText(nil)); got != tt.mntr {
			t.Errorf("%s: mntr %q, want %q", tt.name, got, tt.mntr)
		}
	}
}

func TestEnsembleMetrics(t *testing.T) {
	a := asked(t, ensemble.Health{Serving: true, Mode: "leader", Voters: 3, Learners: 3, SyncedFollowers: 2, SyncedObservers: 1,
		PendingSyncs: 4, Uptime: 1500 * time.Millisecond, LastProposalBytes: 66, MinProposalBytes: 48, MaxProposalBytes: 103,
		Epoch: 7, ZxidsLeft: 0xfffffffe - int64(proto.Zxid(0x700000002).Counter())})
	const want = "zk_quorum_size\t3\nzk_synced_observers\t1\nzk_learners\t3\nzk_synced_followers\t2\nzk_synced_non_voting_followers\t0\n" +
		"zk_pending_syncs\t4\nzk_leader_uptime\t1500\nzk_last_proposal_size\t66\nzk_max_proposal_size\t103\nzk_min_proposal_size\t48\n" +
		"zk_paddock_epoch\t7\nzk_paddock_epoch_zxids_left\t4294967292\n"
	if got := string(a.ensembleMetrics().appendText(nil)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := New(Source{}).ensembleMetrics(); got != nil {
		t.Errorf("a server alone has %v", got)
	}
}
