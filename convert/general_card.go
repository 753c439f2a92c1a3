package convert

import (
	"regexp"
	"strings"
)

// directKeys are the front matter's keys and the attributes they fill, first come
// first served, in the reference's order of trust.
var directKeys = [][2]string{
	{"name", "name"}, {"author", "author"}, {"version", "version"}, {"organization", "organization"},
	{"description", "description"}, {"finetune", "finetune"}, {"basename", "basename"}, {"size_label", "size_label"},
	{"url", "source_url"}, {"doi", "source_doi"}, {"uuid", "source_uuid"}, {"repo_url", "source_repo_url"},

	{"model_name", "name"}, {"model_author", "author"}, {"model_version", "version"}, {"model_organization", "organization"},
	{"model_description", "description"}, {"model_finetune", "finetune"}, {"model_basename", "basename"}, {"model_size_label", "size_label"},
	{"model_url", "source_url"}, {"model_doi", "source_doi"}, {"model_uuid", "source_uuid"}, {"model_repo_url", "source_repo_url"},

	{"model_creator", "author"}, {"model_type", "basename"},

	{"license", "license"}, {"license_name", "license_name"}, {"license_link", "license_link"},
}

// fromFrontMatter takes the card's entries.
func (c *modelCard) fromFrontMatter(front map[string]any, params int64) {
	for _, k := range directKeys {
		c.setDefault(k[1], front[k[0]])
	}
	if list, ok := c.get("license").([]any); ok {
		c.set("license", cardJoin(list))
	}
	c.bases = cardEntries(front, params, "base_model", "base_models", "base_model_sources")
	c.datasets = cardEntries(front, params, "datasets", "dataset", "dataset_sources")
	c.tags = cardList(front["tags"], front["pipeline_tag"])
	c.langs = cardList(front["languages"], front["language"])
}

// cardJoin is a list of licenses as the one text that GGUF has room for; lists of anything else are no text.
func cardJoin(list []any) any {
	texts := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return list
		}
		texts[i] = s
	}
	return strings.Join(texts, ",")
}

// cardList appends texts and lists of anything; other values are passed over.
func cardList(values ...any) []any {
	var list []any
	for _, v := range values {
		switch v := v.(type) {
		case string:
			list = append(list, v)
		case []any:
			list = append(list, v...)
		}
	}
	return list
}

// cardEntries lists the models or datasets that one of the keys names; nil when none of
// them is there. A key without a usable value is an empty list, which is written.
func cardEntries(front map[string]any, params int64, keys ...string) *[]map[string]any {
	for _, k := range keys {
		v, ok := front[k]
		if !ok {
			continue
		}
		list := []map[string]any{}
		for _, id := range cardList(v) {
			list = append(list, cardEntry(id, params))
		}
		return &list
	}
	return nil
}

// hubURL is the address of a model on the Hub; that of a dataset has one element more and does not match.
var hubURL = regexp.MustCompile(`^https?://huggingface\.co/([^/]+/[^/]+)$`)

// cardEntry is what an address, a Hub id or a mapping says about a model or dataset.
func cardEntry(v any, params int64) map[string]any {
	id, ok := v.(string)
	if !ok {
		m, _ := v.(map[string]any)
		return m // empty for anything else
	}
	e := map[string]any{}
	if strings.HasPrefix(id, "http://") || strings.HasPrefix(id, "https://") || strings.HasPrefix(id, "ssh://") {
		e["repo_url"] = id
		if m := hubURL.FindStringSubmatch(id); m != nil {
			parseModelID(m[1], params).listed(e)
		}
		return e
	}
	p := parseModelID(id, params)
	p.listed(e)
	if p.org != nil && p.name != nil {
		e["repo_url"] = "https://huggingface.co/" + p.org.(string) + "/" + p.name.(string)
	}
	return e
}

// listed fills in the parts that stand in a list of models.
func (p modelID) listed(e map[string]any) {
	for k, v := range map[string]any{"name": cardTitle(p.name), "organization": cardTitle(p.org), "version": p.version} {
		if v != nil {
			e[k] = v
		}
	}
}
