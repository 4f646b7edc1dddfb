// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"strconv"
	"strings"

	"paddock/internal/ensemble"
)

// notServing is the answer to most words while there is no leader.
const notServing = "This ZooKeeper instance is not currently serving requests\n"

const readOnly = "read-only"

func (a *Admin) health() ensemble.Health {
	if a.src.Ensemble == nil {
		return ensemble.Health{}
	}
	return a.src.Ensemble()
}

// mode is what this server is to its clients, "" while it serves none.
func (a *Admin) mode() string {
	if a.src.Ensemble == nil {
		return "standalone"
	}
	switch h := a.src.Ensemble(); {
	case h.Serving && h.Mode == "leader" && !a.src.Config.LeaderServes:
		return ""
	case h.Serving:
		return h.Mode
	case h.ReadOnly:
		return readOnly
	}
	return ""
}

// learns tells whether another server leads.
func (a *Admin) learns() bool {
	m := a.mode()
	return m == "follower" || m == "observer" || m == readOnly
}

// writable is the answer to isro.
func (a *Admin) writable() answer {
	switch a.mode() {
	case "":
		return word("null")
	case readOnly:
		return word("ro")
	}
	return word("rw")
}

// proposalSizes are in bytes, -1 before the first.
type proposalSizes struct{ Last, Min, Max int }

func (a *Admin) proposals() *proposalSizes {
	h := a.health()
	switch {
	case !h.Serving || h.Mode != "leader":
		return nil
	case h.MaxProposalBytes == 0:
		return &proposalSizes{-1, -1, -1}
	}
	return &proposalSizes{h.LastProposalBytes, h.MinProposalBytes, h.MaxProposalBytes}
}

func (a *Admin) serverID() int64 { return a.health().Sid }

// peerState is the lines of mntr that are no numbers.
func (a *Admin) peerState() metrics {
	h := a.health()
	if !h.Serving {
		return nil
	}
	m := metrics{{"peer_state", h.PeerState}}
	if h.Mode == "observer" {
		m = append(m, pair{"observer_master_id", h.Master})
	}
	return m
}

// ensembleMetrics are those of a server among several.
func (a *Admin) ensembleMetrics() metrics {
	if a.src.Ensemble == nil {
		return nil
	}
	h := a.src.Ensemble()
	m := metrics{{"quorum_size", h.Voters}}
	if h.Mode != "observer" {
		m = append(m, pair{"synced_observers", h.SyncedObservers})
	}
	if h.Mode == "leader" {
		p := a.proposals()
		if p == nil {
			p = &proposalSizes{-1, -1, -1}
		}
		m = append(m, metrics{
			{"learners", h.Learners},
			{"synced_followers", h.SyncedFollowers},
			{"synced_non_voting_followers", h.SyncedNonVoting},
			{"pending_syncs", h.PendingSyncs},
			{"leader_uptime", h.Uptime.Milliseconds()},
			{"last_proposal_size", p.Last},
			{"max_proposal_size", p.Max},
			{"min_proposal_size", p.Min},
		}...)
	}
	return append(m, pair{"paddock_epoch", h.Epoch}, pair{"paddock_epoch_zxids_left", h.ZxidsLeft})
}

// ensembleSettings is the answer to conf of a server among several.
type ensembleSettings struct {
	pairs
	Membership string // no newline at its end
}

func (s ensembleSettings) appendText(b []byte) []byte {
	b = s.pairs.appendText(b)
	if s.Membership == "" {
		return b
	}
	return append(append(b, "membership: \n"...), s.Membership...)
}

func (a *Admin) ensembleSettings() []pair {
	e, h := &a.src.Config.Ensemble, a.health()
	peerType := 0
	if h.Observer {
		peerType = 1
	}
	var election, quorum []string
	for _, addr := range h.Own.Addrs {
		election = append(election, strconv.Itoa(addr.ElectionPort))
		quorum = append(quorum, strconv.Itoa(addr.QuorumPort))
	}
	return []pair{
		{"initLimit", e.InitLimit},
		{"syncLimit", e.SyncLimit},
		{"electionAlg", e.ElectionAlg},
		{"electionPort", strings.Join(election, "|")},
		{"quorumPort", strings.Join(quorum, "|")},
		{"peerType", peerType},
	}
}

// membership is the text of the committed one; a read-only server shows none.
func (a *Admin) membership() string {
	if h := a.health(); h.Serving {
		return h.Membership.String()
	}
	return ""
}
