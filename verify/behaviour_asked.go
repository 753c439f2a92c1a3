package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/chat"
	"github.com/moeconv/moeconv/runtime/token"
)

// answerPrompts are the source's answers with the ends it chose itself, and how it was asked: by its template, or, where
// it has none that works, by letting it continue the prompts.
func answerPrompts(ctx context.Context, ref *runtime.Model, tk *token.Tokenizer, kinds map[int32]string) (out []recorded, how string, err error) {
	limit := answerTokens
	for _, kind := range kinds {
		if kind == endOfThinking {
			limit = thoughtLimit
		}
	}
	how = "by its template"
	for _, prompt := range endPrompts {
		ids, err := askedBy(ctx, ref, prompt)
		if err != nil {
			how = "as they follow the prompts: " + err.Error()
			if ids, err = tk.Encode(prompt, token.Options{AddSpecial: true}); err != nil {
				return nil, "", fmt.Errorf("verify: ends: %w", err)
			}
		}
		q, err := answerPrompt(ctx, ref, ids, limit, kinds)
		if err != nil {
			return nil, "", err
		}
		out = append(out, q)
	}
	return out, how, nil
}

// askedBy is a prompt as the model's own chat template writes it, up to where the model answers, or with an answer.
func askedBy(ctx context.Context, ref *runtime.Model, prompt string, answer ...string) ([]int32, error) {
	if _, ok := ref.Metadata().Get("tokenizer.chat_template"); !ok {
		return nil, errors.New("no chat template")
	}
	template, err := ref.ChatTemplate("", false)
	if err != nil {
		return nil, err
	}
	conversation := []map[string]string{{"role": "user", "content": prompt}}
	for _, text := range answer {
		conversation = append(conversation, map[string]string{"role": "assistant", "content": text})
	}
	messages, err := json.Marshal(conversation)
	if err != nil {
		return nil, err
	}
	return template.Tokens(ctx, chat.Input{Messages: messages, AddGenerationPrompt: len(answer) == 0})
}

// given are the ends of answers that the source is given to read, as its template writes them: of a source that is larger than
// the memory each token of an answer of its own would take as long as all of these together.
func (e *endings) given(ctx context.Context, ref *runtime.Model, tk *token.Tokenizer, kinds map[int32]string) error {
	e.scope = "the source is larger than the memory: where its template ends answers that it is given"
	for i, prompt := range endPrompts {
		asked, err := askedBy(ctx, ref, prompt)
		if err != nil {
			e.scope += "; " + err.Error()
			return nil
		}
		ids, err := askedBy(ctx, ref, prompt, endAnswers[i])
		if err != nil {
			e.scope += "; " + err.Error()
			return nil
		}
		logits, err := prefill(ctx, ref, ids)
		if err != nil {
			return err
		}
		q := recorded{tokens: ids}
		for at := min(len(asked), len(ids)); at < len(ids); at++ {
			kind, ok := kinds[ids[at]]
			if p := probability(logits[at-1], ids[at]); ok && p >= leastEnd {
				q.ends = append(q.ends, ending{kind, ids[at], at - 1, p})
			}
		}
		if len(q.ends) > 0 {
			e.sequences = append(e.sequences, q)
		}
	}
	return nil
}

// answerPrompt continues ids greedily and records where the source chose to end.
func answerPrompt(ctx context.Context, ref *runtime.Model, ids []int32, limit int, kinds map[int32]string) (recorded, error) {
	if room := ref.ContextLength() - len(ids); ref.ContextLength() > 0 {
		limit = min(limit, room)
	}
	if limit < 1 {
		return recorded{tokens: ids}, nil
	}
	q := recorded{tokens: slices.Clone(ids)}
	_, err := runtime.Generate(ctx, ref.NewSession(), ids, runtime.GenerateOptions{
		MaxTokens: limit, Logprobs: true,
		OnToken: func(t runtime.Token) {
			if kind, ok := kinds[t.ID]; ok {
				q.ends = append(q.ends, ending{kind, t.ID, len(q.tokens) - 1, math.Exp(t.Logprob)})
			}
			q.tokens = append(q.tokens, t.ID)
		},
	})
	if err != nil {
		return q, fmt.Errorf("verify: ends: %w", err)
	}
	return q, nil
}

// windows are parts of the text, spread over it, each with a BOS where the model wants one.
func windows(ref *runtime.Model, tk *token.Tokenizer, text string) ([]recorded, error) {
	ids, err := tk.Encode(text, token.Options{})
	if err != nil {
		return nil, fmt.Errorf("verify: ends: %w", err)
	}
	n := windowTokens
	if c := ref.ContextLength(); c > 0 {
		n = min(n, c-1)
	}
	var out []recorded
	for i := range endWindows {
		at := max(0, len(ids)-n) * i / (endWindows - 1)
		part := ids[at:min(at+n, len(ids))]
		if bos, ok := tk.BOS(); ok && tk.AddBOS() {
			part = append([]int32{bos}, part...)
		}
		if len(part) > 0 && !slices.ContainsFunc(out, func(q recorded) bool { return slices.Equal(q.tokens, part) }) {
			out = append(out, recorded{tokens: part})
		}
	}
	return out, nil
}
