package pretoken

import "unicode"

// endSpace is `\s+$` where lines were cut apart before: a run of white space that ends the piece or a line.
// As a regex it takes quadratic time on long runs in the middle.
type endSpace struct{}

func (endSpace) cut(r []rune, off int, ends []int) ([]int, error) {
	prev := off
	for i := 0; i < len(r); {
		if !unicode.IsSpace(r[i]) {
			i++
			continue
		}
		end, last := i, -1 // $ also holds before a line feed
		for ; end < len(r) && unicode.IsSpace(r[end]); end++ {
			if r[end] == '\n' && end > i {
				last = end
			}
		}
		if end == len(r) {
			last = end
		}
		if last > i {
			ends = addMatch(ends, &prev, off+i, off+last)
			i = last
			continue
		}
		i = end
	}
	return addRest(ends, prev, off+len(r)), nil
}

// digitGroups cuts runs of digits into threes from the right, as loaders do for afmoe.
type digitGroups struct{}

func (digitGroups) cut(r []rune, off int, ends []int) ([]int, error) {
	prev := off
	for i := 0; i < len(r); {
		end := i
		for end < len(r) && unicode.IsNumber(r[end]) {
			end++
		}
		if end == i {
			i++
			continue
		}
		for head := i + (end-i-1)%3 + 1; i < end; head += 3 {
			ends = addMatch(ends, &prev, off+i, off+head)
			i = head
		}
	}
	return addRest(ends, prev, off+len(r)), nil
}
