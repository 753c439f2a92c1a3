package token

import (
	"container/heap"
	"fmt"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/pretoken"
)

// readMerges turns the list "left right" into a table over ids.
func (t *Tokenizer) readMerges(md *gguf.Metadata) error {
	list, err := gguf.Value[[]string](md, keyMerges)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	t.merges = newMergeTable(len(list))
	var whole []byte
	for rank, m := range list {
		left, right, ok := cutMerge(m)
		if !ok {
			return fmt.Errorf("token: merge %d %q: no space between two tokens", rank, m)
		}
		whole = append(append(whole[:0], left...), right...)
		l, ok1 := t.ids[left]
		r, ok2 := t.ids[right]
		id, ok3 := t.ids[string(whole)]
		if !ok1 || !ok2 || !ok3 {
			missing := string(whole)
			if !ok1 {
				missing = left
			} else if !ok2 {
				missing = right
			}
			return fmt.Errorf("token: merge %d %q: %q is not a token", rank, m, missing)
		}
		t.merges.add(pair{l, r}, merge{int32(rank), id})
	}
	for b := range t.bytes {
		t.bytes[b] = -1
		if id, ok := t.ids[pretoken.Letter(byte(b))]; ok && t.kinds[id] != userDefined {
			t.bytes[b] = id
		}
	}
	for id, k := range t.kinds {
		if b, ok := parseByte(t.texts[id]); ok && k == byteToken && t.bytes[b] < 0 {
			t.bytes[b] = int32(id)
		}
	}
	return nil
}

// cutMerge cuts at the first space that is not the first character.
func cutMerge(m string) (left, right string, ok bool) {
	if m == "" {
		return "", "", false
	}
	head, right, ok := strings.Cut(m[1:], " ")
	return m[:1] + head, right, ok && right != ""
}

// smallWord is the length up to which searching all pairs is faster than a heap.
const smallWord = 48

// mergeWord merges ids in place, lowest rank first and leftmost among equals, and returns the shortened slice.
func (e *encoder) mergeWord(ids []int32) []int32 {
	if len(ids) > smallWord {
		return e.mergeLong(ids)
	}
	var ranks [smallWord]merge
	for i := range len(ids) - 1 {
		ranks[i] = e.t.merges.lookup(ids[i], ids[i+1])
	}
	for n := len(ids); n > 1; n-- {
		best := 0
		for i := 1; i < n-1; i++ {
			if ranks[i].rank < ranks[best].rank {
				best = i
			}
		}
		if ranks[best].rank == never {
			break
		}
		ids[best] = ranks[best].id
		copy(ids[best+1:], ids[best+2:])
		ids = ids[:n-1]
		copy(ranks[best:n-2], ranks[best+1:n-1])
		if best+1 < len(ids) {
			ranks[best] = e.t.merges.lookup(ids[best], ids[best+1])
		}
		if best > 0 {
			ranks[best-1] = e.t.merges.lookup(ids[best-1], ids[best])
		}
	}
	return ids
}

// candidate is a pair that could merge, at the position of its left token.
type candidate struct {
	merge
	at   int32
	pair pair
}

// queue is a heap of candidates.
type queue []candidate

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	return q[i].rank < q[j].rank || q[i].rank == q[j].rank && q[i].at < q[j].at
}
func (q *queue) Push(x any) { *q = append(*q, x.(candidate)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// mergeLong is mergeWord in O(n log n): a linked list of tokens and a heap of candidates, in
// which outdated ones are left and skipped.
func (e *encoder) mergeLong(ids []int32) []int32 {
	n := int32(len(ids))
	next, prev := make([]int32, n), make([]int32, n)
	var q queue
	push := func(left, right int32) {
		if left < 0 || right >= n {
			return
		}
		if m := e.t.merges.lookup(ids[left], ids[right]); m.rank != never {
			heap.Push(&q, candidate{m, left, pair{ids[left], ids[right]}})
		}
	}
	for i := range n {
		next[i], prev[i] = i+1, i-1
		push(i, i+1)
	}
	for len(q) > 0 {
		c := heap.Pop(&q).(candidate)
		right := next[c.at]
		if ids[c.at] != c.pair.left || right >= n || ids[right] != c.pair.right {
			continue
		}
		ids[c.at], ids[right] = c.id, -1
		next[c.at] = next[right]
		if next[right] < n {
			prev[next[right]] = c.at
		}
		push(prev[c.at], c.at)
		push(c.at, next[c.at])
	}
	out := ids[:0]
	for i := int32(0); i < n; i = next[i] {
		out = append(out, ids[i])
	}
	return out
}
