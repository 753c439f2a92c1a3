package pretoken

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// run is a cutter for the simple regexes that make up most pre-tokenizers: an optional \s?,
// then one to max characters of a class. It takes linear time whatever the text.
type run struct {
	space bool // \s? first
	max   int  // 0: no limit
	class class
}

// parseRun understands `\s?[a-z\p{N}]+`, `\p{N}{1,3}` and the like.
func parseRun(src string) (cutter, bool) {
	c := run{max: 1}
	src, c.space = strings.CutPrefix(src, `\s?`)
	switch {
	case strings.HasSuffix(src, "{1,3}"):
		src, c.max = src[:len(src)-5], 3
	case strings.HasSuffix(src, "+"):
		src, c.max = src[:len(src)-1], 0
	}
	body, bracketed := strings.CutPrefix(src, "[")
	if bracketed {
		if !strings.HasSuffix(body, "]") {
			return nil, false
		}
		body = body[:len(body)-1]
	}
	items, ok := c.class.parse(body)
	return &c, ok && (bracketed || items == 1 && strings.HasPrefix(body, `\`))
}

func (c *run) cut(r []rune, off int, ends []int) ([]int, error) {
	prev := off
	for i := 0; i < len(r); {
		end := c.match(r, i)
		if end < 0 {
			i++
			continue
		}
		ends = addMatch(ends, &prev, off+i, off+end)
		i = end
	}
	return addRest(ends, prev, off+len(r)), nil
}

// match is the end of the match at i, -1 if there is none.
func (c *run) match(r []rune, i int) int {
	if c.space && i+1 < len(r) && unicode.IsSpace(r[i]) && c.class.has(r[i+1]) {
		i++
	} else if !c.class.has(r[i]) {
		return -1
	}
	end := i + 1
	for end < len(r) && (c.max == 0 || end < i+c.max) && c.class.has(r[end]) {
		end++
	}
	return end
}

// span is the characters from lo to hi.
type span struct{ lo, hi rune }

// class is a set of characters.
type class struct {
	ascii  [utf8.RuneSelf]bool
	ranges []span // beyond ASCII; sorted, disjoint
	tables []*unicode.RangeTable
}

func (c *class) has(r rune) bool {
	if r < utf8.RuneSelf {
		return c.ascii[r]
	}
	if i := sort.Search(len(c.ranges), func(i int) bool { return r <= c.ranges[i].hi }); i < len(c.ranges) && c.ranges[i].lo <= r {
		return true
	}
	for _, t := range c.tables {
		if unicode.Is(t, r) {
			return true
		}
	}
	return false
}

func (c *class) add(lo, hi rune) {
	for r := lo; r <= min(hi, utf8.RuneSelf-1); r++ {
		c.ascii[r] = true
	}
	if hi >= utf8.RuneSelf {
		c.ranges = append(c.ranges, span{max(lo, utf8.RuneSelf), hi})
	}
}

// parse reads the inside of a bracket: characters, ranges and \p{..}; it reports the number
// of items and whether it understood all of them.
func (c *class) parse(body string) (items int, ok bool) {
	if body == "" || strings.HasPrefix(body, "^") || strings.ContainsAny(body, "[]&") || strings.HasPrefix(body, "]") {
		return 0, false
	}
	for body != "" {
		items++
		if rest, found := strings.CutPrefix(body, `\p{`); found {
			name, after, closed := strings.Cut(rest, "}")
			t := unicode.Categories[name]
			if !closed || t == nil {
				return items, false
			}
			c.tables = append(c.tables, t)
			for r := rune(0); r < utf8.RuneSelf; r++ {
				c.ascii[r] = c.ascii[r] || unicode.Is(t, r)
			}
			body = after
			continue
		}
		if body[0] == '\\' {
			return items, false
		}
		lo, n := utf8.DecodeRuneInString(body)
		body = body[n:]
		hi := lo
		if len(body) > 1 && body[0] == '-' {
			hi, n = utf8.DecodeRuneInString(body[1:])
			if hi == '\\' || hi < lo {
				return items, false
			}
			body = body[1+n:]
		}
		c.add(lo, hi)
	}
	c.ranges = disjoint(c.ranges)
	return items, true
}

// disjoint sorts spans and joins those that overlap.
func disjoint(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && s.lo <= out[n-1].hi {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	return out
}

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
