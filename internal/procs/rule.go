// SPDX-License-Identifier: Apache-2.0

package procs

const (
	// raise is the share of the processors in use above which there are too few.
	raise = 0.8
	// lower is the share of half of them below which half would do.
	lower = 0.7
	// quiet is for how many windows in a row that must have been so.
	quiet = 10
)

// rule says how many processors are to be used.
type rule struct {
	now   int
	bored int // windows in a row in which half would have done
}

// next takes in what was used in one window, in processors, and changes now,
// which stays within 1 and most.
func (r *rule) next(used float64, most int) {
	r.now = min(r.now, most)
	switch {
	case used > raise*float64(r.now):
		r.now = min(2*r.now, most)
		r.bored = 0
	case r.now > 1 && used < lower*float64(r.now/2):
		if r.bored++; r.bored >= quiet {
			r.now /= 2
			r.bored = 0
		}
	default:
		r.bored = 0
	}
}
