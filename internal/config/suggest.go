// SPDX-License-Identifier: Apache-2.0

package config

import "strings"

// suggest returns the known key that an operator most likely meant, or "".
func suggest(key string) string {
	key, _ = strings.CutPrefix(key, "zookeeper.")
	if r := find(key); r != nil {
		return key
	}
	if len(key) > 100 {
		return "" // no key is so long, and the distance below is quadratic
	}
	best, bestDist := "", 3 // up to two slips
	for _, r := range allRows() {
		if r.pattern() {
			continue
		}
		if strings.EqualFold(r.key, key) || sameLetters(r.key, key) {
			return r.key
		}
		// Short keys are close to everything.
		if d := distance(strings.ToLower(key), strings.ToLower(r.key)); d < bestDist && d*4 < len(key) {
			best, bestDist = r.key, d
		}
	}
	return best
}

// sameLetters compares without regard to case, dots, dashes and underscores.
func sameLetters(a, b string) bool {
	strip := strings.NewReplacer(".", "", "-", "", "_", "")
	return strings.EqualFold(strip.Replace(a), strip.Replace(b))
}

// distance counts the insertions, deletions and replacements that turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, diag+1)
		}
	}
	return row[len(b)]
}
