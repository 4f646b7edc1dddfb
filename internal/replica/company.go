// SPDX-License-Identifier: Apache-2.0

package replica

import "runtime"

// Company gathers what is about to join a batch. Under load the goroutines that
// bring it are runnable already: they run first if this one goes to the back of
// their queue. Without load that would only wake an idle processor for nothing, so
// it is done where one of the last batches had more than one. It is for one
// goroutine at a time.
type Company struct{ expected int }

// companyLasts is for how many batches company is expected after some that had it.
const companyLasts = 16

// Await lets others run first if there may be company.
func (c Company) Await() {
	if c.expected > 0 {
		runtime.Gosched()
	}
}

// Had notes how much a batch had in the end.
func (c *Company) Had(n int) {
	if n > 1 {
		c.expected = companyLasts
	} else if c.expected > 0 {
		c.expected--
	}
}
