// SPDX-License-Identifier: Apache-2.0

package replica

import "testing"

// Company is expected for a while after batches that had it, and not where they
// come one at a time.
func TestCompany(t *testing.T) {
	var c Company
	c.Had(1)
	if c.expected != 0 {
		t.Fatal("after a batch of one")
	}
	c.Had(2)
	for i := range companyLasts {
		if c.expected == 0 {
			t.Fatalf("forgotten after %d batches of one", i)
		}
		c.Had(1)
	}
	if c.expected != 0 {
		t.Fatal("not forgotten")
	}
}
