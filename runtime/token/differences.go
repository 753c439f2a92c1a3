package token

import "slices"

// Difference is a way in which the ids llama.cpp gives for a text are not those of the model's
// own tokenizer. This package gives the model's, except for what a GGUF file does not say.
type Difference struct {
	Name string   // unique
	Pre  []string // the tokenizer.ggml.pre of the files it concerns; none: any
	Arch []string // their general.architecture; none: any
	// Plain and Parsed say whether the ids differ where special tokens written out in the text stay text, and where they are parsed.
	Plain, Parsed bool

	What    string // in a sentence
	Example string // a text that shows it
	Why     string
}

// differences is what is known; the goldens of real and shortened vocabularies show each of them and no other.
var differences = []Difference{
	{
		Name: "nfc", Pre: []string{"qwen2", "qwen35", "deepseek-r1-qwen", "olmo", "hunyuan"}, Plain: true, Parsed: true,
		What:    "text is not normalised to NFC",
		Example: "e\u0301 (combining) vs \u00e9",
		Why:     "the model's tokenizer composes characters first; a GGUF file has no place to say so; this package knows it by the pre-tokenizer, but for Hunyuan's",
	},
	{
		Name: "special tokens in plain text", Plain: true,
		What:    "special tokens written out in a text stay text unless their parsing is asked for",
		Example: "<|endoftext|>text",
		Why:     "tokenizers of the Python libraries always parse them; programs that feed untrusted text should not",
	},
	{
		Name: "white space behind added tokens", Arch: []string{"phimoe", "phi3"}, Plain: true, Parsed: true,
		What:    "white space behind an added token stays",
		Example: "<|user|>\nhi<|end|>\n",
		Why:     "the model's added tokens are marked rstrip, which a GGUF file has no place for; this package knows them by the architecture",
	},
	{
		Name: "words like special tokens", Parsed: true,
		What:    "a word of the vocabulary that is spelled like a token that ends a text, such as </s> in Qwen's, is taken for one",
		Example: "<s>hello</s>",
		Why:     "llama.cpp looks for such tokens by their text whatever their type; the model's tokenizer does not find them in a text",
	},
	{
		Name: "no name of a pre-tokenizer", Pre: []string{"", "default"}, Plain: true, Parsed: true,
		What:    "text is cut by rules that fit no model",
		Example: "it's 'quoted' 12345",
		Why:     "files of before 2024 do not name their pre-tokenizer; what loaders do then, this package does too",
	},
}

// Differences lists what is known of how llama.cpp's ids differ from the model's own tokenizer's.
func Differences() []Difference { return slices.Clone(differences) }

// Differences lists those that concern this vocabulary.
func (t *Tokenizer) Differences() []Difference {
	return slices.DeleteFunc(Differences(), func(d Difference) bool {
		if d.Pre != nil && (t.model != "gpt2" || !slices.Contains(d.Pre, t.pre)) {
			return true
		}
		return d.Arch != nil && !slices.Contains(d.Arch, t.arch)
	})
}
