// SPDX-License-Identifier: Apache-2.0

package zab

// An epoch has 2^32-2 zxids. When they are used up the leader makes room for a
// new epoch (section 8.5): it proposes no more, has what it proposed committed,
// and hands over to a follower, or stands again where there is none. The
// reference steps down in the middle of its proposals, and their clients lose
// their connections; here whatever was not proposed waits in the pipelines for
// the next epoch.

// roll ends the reign as soon as nothing is on its way.
func (l *leader) roll() {
	l.leaving, l.rolling = true, true
	l.tryLeave()
}

// rollEarly is called at each round of pings. In the last part of the epoch the
// first quiet moment is taken: nobody notices it then.
func (l *leader) rollEarly() {
	const parts = 64
	left := l.p.opt.CounterMax - l.proposed.Counter()
	if l.serving && !l.leaving && !l.mute && left < l.p.opt.CounterMax/parts && l.proposed == l.lastRound && l.p.decided == l.p.last {
		l.roll()
	}
	l.lastRound = l.proposed
}
