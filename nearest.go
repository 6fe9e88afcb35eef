package distro

import "strings"

// maxNearestLen bounds, in characters, the names that Nearest compares, so
// that a hostile name costs nothing.
const maxNearestLen = 128

// Nearest is the name of known that a person most likely meant by name: the
// one the fewest typing slips away (a letter missing, added, changed or
// swapped with its neighbour; case does not count), the first one listed when
// several are as near. It is "" when none is within one slip per three
// characters of name, at least one and at most three.
func Nearest(name string, known []string) string {
	want := []rune(strings.ToLower(name))
	if len(want) == 0 || len(want) > maxNearestLen {
		return ""
	}
	nearest, limit := "", min(max(len(want)/3, 1), 3)
	for _, candidate := range known {
		have := []rune(strings.ToLower(candidate))
		if len(have) > len(want)+limit || len(want) > len(have)+limit {
			continue
		}
		slips := slipsBetween(want, have)
		if slips > limit || slips >= len(have) {
			continue
		}
		nearest, limit = candidate, slips-1
		if limit < 0 {
			break
		}
	}
	return nearest
}

// Closest is the name of known that is the fewest slips away from name, however
// many these are, and the first one listed when several are as near. Of a long
// name the beginning counts.
func Closest(name string, known []string) string {
	want := []rune(strings.ToLower(name))
	want = want[:min(len(want), maxNearestLen)]
	closest, fewest := "", 0
	for i, candidate := range known {
		if slips := slipsBetween(want, []rune(strings.ToLower(candidate))); i == 0 || slips < fewest {
			closest, fewest = candidate, slips
		}
	}
	return closest
}

// slipsBetween is the optimal string alignment distance of a and b. Three rows
// of the table are enough, as a swap looks two rows back.
func slipsBetween(a, b []rune) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			changed := above[j-1]
			if a[i-1] != b[j-1] {
				changed++
			}
			row[j] = min(changed, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
