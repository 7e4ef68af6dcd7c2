//go:build linux

package nemesis

import "math/rand/v2"

// order is the sequence of faults that follows from a seed: rounds in which
// every kind comes once, shuffled, and some of them together with another one.
type order struct {
	kinds    []Kind
	together float64
	random   *rand.Rand
	round    []Kind // what is left of this one
}

// turn is what is played at a time: one kind or two, each with a seed of its own
// for whom to hit and how hard.
type turn struct {
	kinds []Kind
	seeds []uint64
}

func newOrder(kinds []Kind, seed uint64, together float64) *order {
	return &order{kinds: kinds, together: together, random: rand.New(rand.NewPCG(seed, 0x6e656d65736973))}
}

func (o *order) next() turn {
	if len(o.round) == 0 {
		o.round = append(o.round, o.kinds...)
		o.random.Shuffle(len(o.round), func(a, b int) { o.round[a], o.round[b] = o.round[b], o.round[a] })
	}
	first := o.round[0]
	o.round = o.round[1:]
	t := turn{kinds: []Kind{first}}
	if o.random.Float64() < o.together {
		if partners := o.partners(first); len(partners) > 0 {
			t.kinds = append(t.kinds, partners[o.random.IntN(len(partners))])
		}
	}
	for range t.kinds {
		t.seeds = append(t.seeds, o.random.Uint64())
	}
	return t
}

func (o *order) partners(first Kind) []Kind {
	var partners []Kind
	for _, k := range o.kinds {
		if k.Touches&first.Touches == 0 {
			partners = append(partners, k)
		}
	}
	return partners
}
