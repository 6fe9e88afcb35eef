package worker

import (
	"math/rand/v2"
	"slices"
)

// Strategy says in which order a worker looks into its queues.
type Strategy string

// The strategies, as rq worker has them.
const (
	InOrder    Strategy = "default"     // strictly as listed
	RoundRobin Strategy = "round_robin" // the queue of the last claim comes last
	AtRandom   Strategy = "random"      // anew for each claim
)

// order is the order of queues for the next claim; last is the queue of the
// newest one.
func (s Strategy) order(queues []string, last string) []string {
	switch s {
	case RoundRobin:
		i := slices.Index(queues, last) + 1
		return slices.Concat(queues[i:], queues[:i])
	case AtRandom:
		shuffled := slices.Clone(queues)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		return shuffled
	default:
		return queues
	}
}
