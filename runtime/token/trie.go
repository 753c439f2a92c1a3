package token

// trie finds the texts that another begins with. Its nodes branch by a byte: a list of children each, and for the root a table.
type trie struct {
	root    [256]int32
	ids     []int32 // by node: the text that ends there, -1 for none
	labels  []byte  // by node: the byte that leads there
	child   []int32 // by node: its first child, -1 for none
	sibling []int32 // by node: the next child of its parent, -1 for none
}

func newTrie() *trie {
	t := &trie{ids: []int32{-1}, labels: []byte{0}, child: []int32{-1}, sibling: []int32{-1}}
	for i := range t.root {
		t.root[i] = -1
	}
	return t
}

// add enters a text that is not empty.
func (t *trie) add(text string, id int32) {
	node := int32(0)
	for i := range len(text) {
		next := t.next(node, text[i])
		if next < 0 {
			next = int32(len(t.ids))
			t.ids, t.labels, t.child = append(t.ids, -1), append(t.labels, text[i]), append(t.child, -1)
			if node == 0 {
				t.root[text[i]] = next
				t.sibling = append(t.sibling, -1)
			} else {
				t.sibling = append(t.sibling, t.child[node])
				t.child[node] = next
			}
		}
		node = next
	}
	t.ids[node] = id
}

// next is the node that b leads to, -1 for none.
func (t *trie) next(node int32, b byte) int32 {
	if node == 0 {
		return t.root[b]
	}
	for n := t.child[node]; n >= 0; n = t.sibling[n] {
		if t.labels[n] == b {
			return n
		}
	}
	return -1
}

// longest is the length of the longest of the trie's texts that text begins with.
func (t *trie) longest(text string) int {
	node, n := int32(0), 0
	for i := range len(text) {
		if node = t.next(node, text[i]); node < 0 {
			break
		}
		if t.ids[node] >= 0 {
			n = i + 1
		}
	}
	return n
}
