package runtime

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moeconv/moeconv/convert"
	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/runtime/chat"
	"github.com/moeconv/moeconv/runtime/token"
	"github.com/moeconv/moeconv/testdata"
)

// talker is a model that can only render conversations.
func talker(md *gguf.Metadata) *Model {
	return &Model{md: md, tokenizer: sync.OnceValues(func() (*token.Tokenizer, error) { return token.New(md) })}
}

// TestChatTokens: conversations become the ids that transformers' apply_chat_template makes of them.
func TestChatTokens(t *testing.T) {
	goldens, err := filepath.Glob(testdata.Path("families", "*", "golden", "chat.json"))
	if err != nil || len(goldens) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	compared := 0
	for _, golden := range goldens {
		dir := filepath.Dir(filepath.Dir(golden))
		t.Run(filepath.Base(dir), func(t *testing.T) { compared += compareChats(t, dir, golden) })
	}
	t.Logf("%d conversations of %d families", compared, len(goldens))
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

func compareChats(t *testing.T, dir, golden string) (compared int) {
	var want struct {
		Chats []struct {
			Name                string
			Messages            json.RawMessage
			AddGenerationPrompt bool `json:"add_generation_prompt"`
			Tools               json.RawMessage
			Text                *string
			IDs                 []int32 `json:"ids_tokenizers"`
		}
	}
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	configs, err := filepath.Glob(filepath.Join(dir, "*", "config.json"))
	if err != nil || len(configs) != 1 {
		t.Fatalf("checkpoints %v, error %v", configs, err)
	}
	p, err := convert.NewPlan(os.DirFS(filepath.Dir(configs[0])), convert.Options{VocabOnly: true})
	var unsupported *gguf.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Log(err)
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	m := talker(p.Metadata())
	for _, c := range want.Chats {
		if c.Text == nil || c.IDs == nil {
			continue
		}
		tmpl, err := m.ChatTemplate("", c.Tools != nil)
		if err != nil {
			t.Fatal(err)
		}
		in := chat.Input{Messages: c.Messages, Tools: c.Tools, AddGenerationPrompt: c.AddGenerationPrompt, Now: frozen}
		ids, err := tmpl.Tokens(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(ids, c.IDs) {
			t.Errorf("%s: %v\nwant %v (%q)", c.Name, ids, c.IDs, *c.Text)
		}
		compared++
	}
	return compared
}

// frozen is the clock of the goldens.
func frozen() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func TestNamedTemplates(t *testing.T) {
	md := plan(t, tinyDir, "bf16").Metadata().Clone()
	md.Delete("tokenizer.chat_template")
	render := func(name string, tools bool) (string, error) {
		tmpl, err := talker(md).ChatTemplate(name, tools)
		if err != nil {
			return "", err
		}
		return tmpl.Render(t.Context(), chat.Input{Messages: []byte(`[{"role":"user","content":"hi"}]`), AddGenerationPrompt: true})
	}
	if text, err := render("", false); err != nil || text != "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n" {
		t.Errorf("without templates: %q, %v", text, err)
	}
	var missing *TemplateError
	if _, err := render("rag", false); !errors.As(err, &missing) {
		t.Errorf("unknown name: %v", err)
	}
	md.Set("tokenizer.chat_template", "plain {{ messages[0].content }}")
	md.Set("tokenizer.chat_templates", []string{"default", "tool_use", "rag"})
	md.Set("tokenizer.chat_template.tool_use", "tools {{ messages[0].content }}")
	md.Set("tokenizer.chat_template.rag", "rag {{ messages[0].content }}")
	for _, c := range []struct {
		name  string
		tools bool
		want  string
	}{{"", false, "plain hi"}, {"", true, "tools hi"}, {"default", true, "plain hi"}, {"rag", true, "rag hi"}} {
		if text, err := render(c.name, c.tools); err != nil || text != c.want {
			t.Errorf("%q, tools %v: %q, %v", c.name, c.tools, text, err)
		}
	}
	if _, err := render("other", false); err == nil || !strings.Contains(err.Error(), "default, tool_use, rag") {
		t.Errorf("unknown name: %v", err)
	}
	md.Set("tokenizer.chat_template", "mistral-v7")
	var unsupported *gguf.UnsupportedError
	if _, err := render("", false); !errors.As(err, &unsupported) {
		t.Errorf("a name instead of a template: %v", err)
	}
}
