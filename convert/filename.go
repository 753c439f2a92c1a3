package convert

import (
	"fmt"
	"strings"
)

// FileName is the name the reference converter gives the file where it may choose: deepseek-moe-6x1.9M-16b-chat-F16.gguf.
// label names the file type: F16, Q8_0, MXFP4_MOE.
func (p *Plan) FileName(label string) string {
	if p.vocabOnly {
		return p.general.stem(false) + "-vocab.gguf"
	}
	return p.general.fileName(label) + ".gguf"
}

// FillTemplate puts the label of a file type into a file name: {ftype} and {outtype} in small letters, {FTYPE} and
// {OUTTYPE} in capitals, as the reference converter does. Other braces are an error.
func FillTemplate(name, label string) (string, error) {
	lower, upper := strings.ToLower(label), strings.ToUpper(label)
	out := strings.NewReplacer("{ftype}", lower, "{outtype}", lower, "{FTYPE}", upper, "{OUTTYPE}", upper, "{}", lower).Replace(name)
	if strings.ContainsAny(out, "{}") {
		return "", fmt.Errorf("convert: file name %q: the only places to fill are {ftype}, {FTYPE}, {outtype} and {OUTTYPE}", name)
	}
	return out, nil
}
