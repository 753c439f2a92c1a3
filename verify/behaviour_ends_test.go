package verify

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime"
)

// rowOf is one row of a tensor.
func rowOf(m *memory, t *testing.T, tensor string, row int) []byte {
	i := m.find(t, tensor)
	size := int(m.tensors[i].RowBytes())
	return m.data[i][row*size : (row+1)*size]
}

const tinyEOS = 1399

// A damaged row of the output matrix leaves perplexity as it is; the model forgets to stop.
func TestEndsOfADamagedRow(t *testing.T) {
	source, sound := tinyPlan(t), tinyAs(t, "Q8_0")
	damaged := sound.clone()
	clear(rowOf(damaged, t, "output.weight", tinyEOS))
	for _, c := range []struct {
		name  string
		m     *memory
		want  Status
		words string
	}{
		{"sound", sound, Pass, "measured where the source is nearest to ending"},
		{"damaged", damaged, Warn, "0.5 is wanted"},
	} {
		s := &Subject{Name: c.name, Scheme: "Q8_0", Source: c.m, Reference: source, Text: validText(t)}
		r := check(t, checkEnds, s)
		s.close()
		if r.Status != c.want || !strings.Contains(r.Detail, c.words) || !(r.Figures["eos_places"] >= 1) {
			t.Errorf("%s: %s: %s", c.name, r.Status, r.Detail)
		}
	}
}

// Where the source ends its own answers, these are the places.
func TestEndsOfAnswers(t *testing.T) {
	source := tinyPlan(t)
	// The token that the model writes after its answers' first lines is made the one that ends a turn.
	m := load(t, source, runtime.Options{Activations: runtime.ActivationsF32})
	tk, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	q, _, err := answerPrompts(context.Background(), m, tk, endKinds(tk))
	if err != nil || len(q) != len(endPrompts) {
		t.Fatalf("%d answers, %v", len(q), err)
	}
	ids := q[0].tokens
	eot := ids[len(ids)-10]
	md := source.Metadata().Clone()
	md.Set("tokenizer.ggml.eot_token_id", uint32(eot))
	sound := tinyAs(t, "Q8_0")
	sound.md.Set("tokenizer.ggml.eot_token_id", uint32(eot))
	mute := sound.clone()
	clear(rowOf(mute, t, "output.weight", int(eot)))
	for want, m := range map[Status]*memory{Pass: sound, Warn: mute} {
		s := &Subject{Source: m, Reference: gguf.WithMetadata(source, md)}
		r := check(t, checkEnds, s)
		s.close()
		if r.Status != want || !strings.Contains(r.Detail, "of the source's own 3 answers") || !(r.Figures["end_of_turn_places"] >= 1) {
			t.Errorf("%s: %s, want %s", r.Status, r.Detail, want)
		}
	}
}

// A model without a chat template goes on with the prompts; its ends count as well.
func TestEndsWithoutTemplate(t *testing.T) {
	source := tinyPlan(t)
	md := source.Metadata().Clone()
	md.Delete("tokenizer.chat_template")
	m := load(t, gguf.WithMetadata(source, md), runtime.Options{Activations: runtime.ActivationsF32})
	tk, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	q, how, err := answerPrompts(context.Background(), m, tk, endKinds(tk))
	if err != nil || len(q) != len(endPrompts) || how != "as they follow the prompts: no chat template" {
		t.Fatalf("%d answers, %s, %v", len(q), how, err)
	}
	eot := q[0].tokens[len(q[0].tokens)-10]
	md.Set("tokenizer.ggml.eot_token_id", uint32(eot))
	sound := tinyAs(t, "Q8_0")
	sound.md.Set("tokenizer.ggml.eot_token_id", uint32(eot))
	s := &Subject{Source: sound, Reference: gguf.WithMetadata(source, md)}
	defer s.close()
	if r := check(t, checkEnds, s); r.Status != Pass || !strings.Contains(r.Detail, "as they follow the prompts") || !(r.Figures["end_of_turn_places"] >= 1) {
		t.Errorf("%s: %s", r.Status, r.Detail)
	}
}

// A source that is read from the disk is not asked to write.
func TestEndsOfAStreamedSource(t *testing.T) {
	source := tinyAs(t, "Q8_0")
	m := load(t, source, runtime.Options{})
	ids, err := askedBy(context.Background(), m, endPrompts[0], endAnswers[0])
	if err != nil {
		t.Fatal(err)
	}
	logits, err := prefill(context.Background(), m, ids)
	if err != nil || ids[len(ids)-1] != tinyEOS {
		t.Fatalf("the template ends with %d, %v", ids[len(ids)-1], err)
	}
	// The model is made to end there: what it would write next is as likely as the end.
	next := slices.Index(logits[len(ids)-2], slices.Max(logits[len(ids)-2]))
	copy(rowOf(source, t, "output.weight", tinyEOS), rowOf(source, t, "output.weight", next))
	mute := source.clone()
	clear(rowOf(mute, t, "output.weight", tinyEOS))
	for want, m := range map[Status]*memory{Pass: source.clone(), Warn: mute} {
		s := &Subject{Source: m, Reference: source, Runtime: runtime.Options{ExpertRAM: 1 << 20}}
		r := check(t, checkEnds, s)
		s.close()
		if r.Status != want || !strings.Contains(r.Detail, "answers that it is given") || !(r.Figures["eos_places"] >= 1) {
			t.Errorf("%s: %s, want %s", r.Status, r.Detail, want)
		}
	}
}

// K-EXAONE-236B at 4 bits: p(</think>) 0.75 became 0.04, and no mean showed it.
func TestJudgeEnds(t *testing.T) {
	one := map[string]int{endOfText: 2, endOfThinking: 1}
	r := judgeEnds(map[string]float64{endOfText: 1.8, endOfThinking: 0.04}, map[string]float64{endOfText: 1.9, endOfThinking: 0.75}, one, "scope")
	if r.Status != Warn || math.Abs(float64(r.Figure)-0.04/0.75) > 1e-9 || !strings.Contains(r.Detail, "p(end of thinking) 0.04, source 0.75 at 1 places") {
		t.Errorf("%s %v: %s", r.Status, r.Figure, r.Detail)
	}
	if r := judgeEnds(map[string]float64{endOfText: math.NaN()}, map[string]float64{endOfText: 1}, one, ""); r.Status != Warn {
		t.Errorf("NaN: %s", r.Status)
	}
	if r := judgeEnds(nil, nil, nil, "why"); r.Status != NotApplicable || !strings.Contains(r.Detail, "why") {
		t.Errorf("nothing: %s: %s", r.Status, r.Detail)
	}
}

func TestEndsOfThinking(t *testing.T) {
	m := tinyAs(t, "Q8_0")
	tokens, err := gguf.Value[[]string](m.md, "tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	tokens[1405] = "</think>"
	m.md.Set("tokenizer.ggml.tokens", tokens)
	tk, err := load(t, m, runtime.Options{}).Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if k := endKinds(tk); k[1405] != endOfThinking || k[tinyEOS] != endOfText {
		t.Errorf("kinds %v", k)
	}
}
