package hub

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// hubQuants are the types that the Hub knows in file names, in the order in which its regular expression tries them
// (huggingface.js, packages/tasks/src/gguf.ts).
var hubQuants = strings.Fields(`F32 F16 Q4_0 Q4_1 Q4_1_SOME_F16 Q4_2 Q4_3 Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M
	Q5_K_S Q5_K_M Q6_K IQ2_XXS IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16
	Q4_0_4_4 Q4_0_4_8 Q4_0_8_8 TQ1_0 TQ2_0 MXFP4_MOE NVFP4 Q1_0 Q2_0 MXFP4 Q2_K_XL Q3_K_XL Q4_K_XL Q5_K_XL Q6_K_XL Q8_K_XL`)

var (
	quantLabel = regexp.MustCompile(`(UD-)?(` + strings.Join(hubQuants, "|") + `)(_[A-Z]+)?`)
	mixPart    = regexp.MustCompile(`^(\d{1,3})(IQ2_XXS|IQ3_XXS|IQ2_XS|IQ4_NL|IQ4_XS|IQ1_S|IQ3_S|IQ2_S|IQ1_M|TQ1_0|TQ2_0|MXFP4|NVFP4|BF16|Q4_0|Q4_1|Q5_0|Q5_1|Q8_0|Q8_1|Q2_K|Q3_K|Q4_K|Q5_K|Q6_K|Q8_K|Q1_0|Q2_0|F32|F16)$`)
	shardName  = regexp.MustCompile(`(?i)^(.+)-([0-9]{5})-of-([0-9]{5})$`)
	lastWord   = regexp.MustCompile(`(?i)[-.]([A-Z0-9_]+)$`)
)

// Label is the type that the Hub shows for a file: the last one in its name; of names that list shares of types, as
// Model-55IQ2_XXS-34Q2_K, the largest. Empty where it finds none.
func Label(name string) string {
	upper := strings.ToUpper(name)
	best, quant, parts := -1, "", 0
	for part := range strings.SplitSeq(strings.TrimSuffix(path.Base(upper), ".GGUF"), "-") {
		part, _, _ = strings.Cut(part, ".")
		if m := mixPart.FindStringSubmatch(part); m != nil {
			parts++
			if pct, _ := strconv.Atoi(m[1]); pct > best {
				best, quant = pct, m[2]
			}
		}
	}
	if parts >= 2 {
		return quant
	}
	if all := quantLabel.FindAllString(upper, -1); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// Tag is the type that a file's name ends in, for llama-server -hf OWNER/NAME:TAG; with UD- where that is before it.
func Tag(name string) string {
	prefix, _, _ := shard(name)
	upper := strings.ToUpper(path.Base(prefix))
	if label := Label(upper); label != "" && (strings.HasSuffix(upper, "-"+label) || strings.HasSuffix(upper, "."+label)) {
		return label
	}
	if m := lastWord.FindStringSubmatch(upper); m != nil {
		return m[1]
	}
	return ""
}

// shard splits a name as llama.cpp does: PREFIX-0000I-of-0000N.gguf.
func shard(name string) (prefix string, index, count int) {
	prefix, _ = strings.CutSuffix(name, ".gguf")
	if m := shardName.FindStringSubmatch(prefix); m != nil {
		index, _ = strconv.Atoi(m[2])
		count, _ = strconv.Atoi(m[3])
		return m[1], index, count
	}
	return prefix, 1, 1
}

// sideWords mark files that are no models to llama.cpp (common/download.cpp).
var sideWords = []string{"mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-"}

// SideWord is the word in a file's name by which llama.cpp passes over it; empty where there is none.
func SideWord(name string) string {
	for _, w := range sideWords {
		if strings.Contains(path.Base(name), w) {
			return w
		}
	}
	return ""
}

// Resolve is the file that llama-server -hf OWNER/NAME:TAG takes out of a repository's files in the order of its list:
// the first model whose path has the tag before a dot or a hyphen, and of a set the first shard. Empty: none.
func Resolve(files []string, tag string) string {
	pattern, err := regexp.Compile("(?i)" + tag + "[.-]") // the tag is a pattern there, too
	if err != nil {
		return ""
	}
	for _, name := range files {
		if _, index, _ := shard(name); index == 1 && strings.HasSuffix(name, ".gguf") && SideWord(name) == "" && pattern.MatchString(name) {
			return name
		}
	}
	return ""
}

// CheckNames finds the models of a planned repository that would not be found by their own tag, that would be found by
// another type's, or that the Hub would label as another type. files are all paths, models the tag of each model by the
// path of its file or first shard. Each problem names its file.
func CheckNames(files []string, models map[string]string) (problems []string) {
	var orders [][]string
	for _, key := range []func(string) string{
		func(name string) string { return name },
		func(name string) string { return depth(name, "0", "1") + name },
		func(name string) string { return depth(name, "1", "0") + name },
	} {
		o := slices.Clone(files)
		slices.SortFunc(o, func(a, b string) int { return strings.Compare(key(a), key(b)) })
		orders = append(orders, o)
	}
	if slices.Contains(files, "preset.ini") {
		problems = append(problems, "preset.ini: llama-server -hf takes this file and no model")
	}
	for _, name := range slices.Sorted(maps.Keys(models)) {
		tag := models[name]
		if w := SideWord(name); w != "" {
			problems = append(problems, fmt.Sprintf("%s: llama.cpp takes no file with %q in its name for a model", name, w))
			continue
		}
		for _, o := range orders {
			if got := Resolve(o, regexp.QuoteMeta(tag)); got != name {
				problems = append(problems, fmt.Sprintf("%s: llama-server -hf finds %s by the tag %s", name, cmp.Or(got, "nothing"), tag))
				break
			}
		}
		if label := Label(name); label != "" && label != strings.ToUpper(tag) {
			problems = append(problems, fmt.Sprintf("%s: the Hub labels it %s, the last type in its name, instead of %s", name, label, tag))
		}
	}
	return append(problems, foreignTags(orders, models)...)
}

// foreignTags finds models that answer to the tag of a type that none of the models has. A tag that ends in the type is
// no mistake: BF16 for F16, UD-Q4_K_M for Q4_K_M.
func foreignTags(orders [][]string, models map[string]string) (problems []string) {
	owned := map[string]bool{}
	for _, tag := range models {
		owned[strings.ToUpper(tag)] = true
	}
	for _, quant := range hubQuants {
		if owned[quant] {
			continue
		}
		for _, o := range orders {
			got := Resolve(o, quant)
			if tag, ok := models[got]; ok && !strings.HasSuffix(strings.ToUpper(tag), quant) {
				problems = append(problems, fmt.Sprintf("%s: llama-server -hf finds it by the tag %s, and it is %s", got, quant, tag))
				break
			}
		}
	}
	return problems
}

func depth(name, folder, root string) string {
	if strings.Contains(name, "/") {
		return folder
	}
	return root
}
