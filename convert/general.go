package convert

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/moeconv/moeconv/gguf"
)

// generalInput is what the general.* keys are made from.
//
// How a plan calls it, after its tensor list is complete and before the family's own keys:
//
//	general, err := generalMetadata(generalInput{
//		Dir:              "deepseek-moe-16b-chat", // last element of the checkpoint's resolved path
//		Card:             readme,                  // whole README.md, nil when there is none
//		Config:           config,                  // config.json, numbers as json.Number
//		GenerationConfig: generation,              // whole generation_config.json, nil when there is none
//		Params:           countParams(infos),      // every tensor of the output file
//	})
//	md.Set("general.architecture", arch) // the reference writes this one first
//	for _, kv := range general.KVs { md.Set(kv.Key, kv.Value) }
//
// general.file_type and general.quantization_version follow the family's keys and are the plan's.
type generalInput struct {
	Dir              string         // name of the checkpoint's directory
	Name             string         // overrides general.name when not empty (--model-name)
	Card             []byte         // README.md
	Config           map[string]any // config.json; only _name_or_path is read
	GenerationConfig []byte         // generation_config.json
	Override         []byte         // JSON that replaces what the above say, nil when there is none
	Params           paramCounts
}

// generalKV is one key with the value that gguf.Metadata stores.
type generalKV struct {
	Key   string
	Value any
}

// generalResult is general.type and what follows it up to the model's own keys, in file order.
type generalResult struct {
	KVs     []generalKV
	card    *modelCard
	ignored []string // keys of the override that mean nothing
}

// generalMetadata makes the general.* keys as the reference converter does, its
// oddities included. An error names the file and the key that GGUF cannot hold;
// the reference stops there too.
func generalMetadata(in generalInput) (*generalResult, error) {
	card, err := newModelCard(in)
	if err != nil {
		return nil, err
	}
	var ignored []string
	if in.Override != nil {
		if ignored, err = card.override(in.Override); err != nil {
			return nil, err
		}
		card.setDefault("name", in.Dir)
	}
	if in.Name != "" {
		card.set("name", in.Name)
	}
	if card.get("size_label") == nil && in.Params.Total > 0 {
		card.set("size_label", in.Params.sizeLabel())
	}
	r := &generalResult{KVs: []generalKV{{"general.type", "model"}}, card: card, ignored: ignored}
	for _, f := range card.fields() {
		v, err := f.pack()
		if err != nil {
			return nil, err
		}
		r.KVs = append(r.KVs, generalKV{f.key, v})
	}
	return r, nil
}

// fileName is the name that the reference gives the file in a directory, without
// the extension: deepseek-moe-6x1.9M-16b-chat-F16. outType is the label of the
// file type: F16, Q8_0, MXFP4_MOE.
func (r *generalResult) fileName(outType string) string { return r.stem(true) + "-" + outType }

// stem is the file's name up to its kind: basename or name, with size the size label, finetune and version.
func (r *generalResult) stem(size bool) string {
	c := r.card
	stem := "ggml-model"
	if s, ok := c.get("basename").(string); ok {
		stem = fileWord(s, " /")
	} else if s, ok := c.get("name").(string); ok {
		stem = fileWord(s, " /")
	}
	if s, ok := c.get("size_label").(string); ok && size {
		stem += "-" + s
	}
	for _, key := range []string{"finetune", "version"} {
		if s, ok := c.get(key).(string); ok {
			stem += "-" + fileWord(s, " ")
		}
	}
	return stem
}

// cardField is a key before its value is checked and encoded: a Python value, as the reference has it.
type cardField struct {
	key   string
	typ   gguf.ValueType
	value any
	file  string // that the value comes from, for messages
}

// modelCard gathers what is known about a model from its README, its config and its name, the reference's Metadata class.
type modelCard struct {
	values   map[string]any // by the reference's attribute names; nil is as good as missing
	sampling []cardField
	bases    *[]map[string]any // nil: the card says nothing
	datasets *[]map[string]any
	tags     []any
	langs    []any

	overridden map[string]bool // keys that the metadata override sets
}

func (c *modelCard) get(key string) any    { return c.values[key] }
func (c *modelCard) set(key string, v any) { c.values[key] = v }

// setDefault sets a value unless there is one already.
func (c *modelCard) setDefault(key string, v any) {
	if c.values[key] == nil {
		c.values[key] = v
	}
}

func newModelCard(in generalInput) (*modelCard, error) {
	front, err := frontMatter(in.Card)
	if err != nil {
		return nil, err
	}
	c := &modelCard{values: map[string]any{}}
	c.fromFrontMatter(front, in.Params.Total)
	if err := c.fromConfig(in.Config, in.Params.Total); err != nil {
		return nil, err
	}
	c.fromModelID(in.Dir, in.Params.Total)
	c.setDefault("name", in.Dir)
	c.sampling, err = samplingFields(in.GenerationConfig)
	return c, err
}

// fromConfig takes _name_or_path for a model's name where it is one and not a path of the trainer's machine.
func (c *modelCard) fromConfig(config map[string]any, params int64) error {
	v := config["_name_or_path"]
	if v == nil {
		return nil
	}
	s, ok := v.(string)
	if !ok {
		return cardErrorf("config.json", "_name_or_path is %s, not text", describeValue(v))
	}
	if strings.Count(s, "/") <= 1 {
		c.fromModelID(s, params)
	}
	return nil
}

// fromModelID fills in what the parts of a name tell.
func (c *modelCard) fromModelID(id string, params int64) {
	p := parseModelID(id, params)
	c.setDefault("name", cardTitle(p.name))
	c.setDefault("organization", cardTitle(p.org))
	c.setDefault("basename", p.basename)
	c.setDefault("finetune", p.finetune)
	c.setDefault("version", p.version)
	c.setDefault("size_label", p.sizeLabel)
}

// scalarKeys are the text keys up to the lists, in file order: attribute and key.
var scalarKeys = [][2]string{
	{"name", ""}, {"author", ""}, {"version", ""}, {"organization", ""},
	{"finetune", ""}, {"basename", ""}, {"description", ""}, {"quantized_by", ""}, {"size_label", ""},
	{"license", ""}, {"license_name", "license.name"}, {"license_link", "license.link"},
	{"url", ""}, {"doi", ""}, {"uuid", ""}, {"repo_url", ""},
	{"source_url", "source.url"}, {"source_doi", "source.doi"}, {"source_uuid", "source.uuid"}, {"source_repo_url", "source.repo_url"},
}

// fields lists all keys but general.type in file order. Values that Python takes for false are left out, as add_string does.
func (c *modelCard) fields() []cardField {
	fs := c.sampling[:len(c.sampling):len(c.sampling)]
	text := func(key string, v any) {
		if pyTruthy(v) {
			fs = append(fs, cardField{"general." + key, gguf.String, v, c.origin("general." + key)})
		}
	}
	for _, k := range scalarKeys {
		text(cmp.Or(k[1], k[0]), c.get(k[0]))
	}
	for _, list := range []struct {
		key     string
		entries *[]map[string]any
	}{{"base_model", c.bases}, {"dataset", c.datasets}} {
		if list.entries == nil {
			continue
		}
		fs = append(fs, cardField{"general." + list.key + ".count", gguf.Uint32, uint32(len(*list.entries)), "README.md"})
		for i, e := range *list.entries {
			for _, k := range []string{"name", "author", "version", "organization", "description", "url", "doi", "uuid", "repo_url"} {
				text(list.key+"."+strconv.Itoa(i)+"."+k, e[k])
			}
		}
	}
	for _, list := range []struct {
		key    string
		values []any
	}{{"tags", c.tags}, {"languages", c.langs}} {
		if len(list.values) > 0 {
			fs = append(fs, cardField{"general." + list.key, gguf.ArrayType, list.values, c.origin("general." + list.key)})
		}
	}
	return fs
}
