package demo

// Counts is what became of a list of different lines, found by comparing every byte.
type Counts struct {
	Sent       int
	Delivered  int // different lines that arrived
	Duplicated int // arrivals of a line that was there before
	Missing    int // lines that never arrived
	OutOfOrder int // lines that arrived after one that was sent later
	Damaged    int // arrivals that equal no line
}

// Intact says whether everything arrived, once, in order and as it was sent.
func (c Counts) Intact() bool {
	return c.Delivered == c.Sent && c.Duplicated+c.Missing+c.OutOfOrder+c.Damaged == 0
}

func compare(sent, received [][]byte) Counts {
	index := make(map[string]int, len(sent))
	for i, line := range sent {
		index[string(line)] = i
	}
	c := Counts{Sent: len(sent)}
	seen := make([]bool, len(sent))
	latest := -1
	for _, line := range received {
		i, ok := index[string(line)]
		switch {
		case !ok:
			c.Damaged++
			continue
		case seen[i]:
			c.Duplicated++
			continue
		case i < latest:
			c.OutOfOrder++
		}
		seen[i] = true
		latest = max(latest, i)
		c.Delivered++
	}
	c.Missing = c.Sent - c.Delivered
	return c
}
