package pretoken

import (
	"fmt"
	"slices"
	"strings"
)

// probes are the texts that an unknown structure and the known ones are compared on: whatever
// the known pre-tokenizers treat in different ways.
var probes = []string{
	"Hello world, this is plain English.", " leading", "trailing ", "two  spaces   and    more", "tab\tand\t\ttabs", "line\nends\r\n\n  and \n blanks\n\n\n",
	"it's we'll I'd they've you're I'm don't", "IT'S WE'LL I'D THEY'VE YOU'RE I'M DON'T", "It'S we'Ll 'S 'tis ''s", "it\u2019s \u02bcs 'ſ",
	"1 12 123 1234 12345 123456 1234567", "3.14159 1,234,567.89 0x1F 1e-5 50%", "v2 a1b2c3 x86_64 3rd 1st", "½ ² ③ Ⅳ ٣٤٥ १२३४ １２３４",
	"camelCase PascalCase HTTPServer iOS ABCdef", "snake_case kebab-case SCREAMING_CASE", "naïve École ÉTÉ éA Straße ǅ ᾼ ﬁ ʰʷ", "Привет МИР Ελλάδα ΑΒΓ",
	"我想在apple工作1314天～", "漢字かなカナ漢字 ｶﾅ 々〆", "한국어 문장 ㄱㄴㄷ ᄀᆞ", "ภาษาไทย ລາວ ខ្មែរ မြန်မာ", "مرحبا بالعالم، كيف", "שלום עולם", "नमस्ते दुनिया কি", "a\u0301b e\u0301\u0302 \u0301x 1\u0301",
	"!? ... --- *** ### //// \\\\", "(a) [b] {c} <d> «e» “f” ‘g’ 「h」 （i）", "$5 €7 £8 x=y+z a<b>c ~^|`", "http://a.b/c?d=e&f#g me@x.org", "#!/bin/sh; if [ $# -gt 1 ]; then",
	"x.y.z a,b,c a;b:c", ".\nnext !\n\n ?\r\n", "a/b/c // comment\n/* x */", "\"quoted\" 'single' `tick`", "    return x\n\treturn y\n        z", "🙂 🦙🦙 👩‍💻 🇩🇪 ✅",
	"\u00a0nbsp\u3000wide\u2003em\u200bzero\ufeff", "\u0085next\u2028line\u2029par", "- item\n- item\n1. one", "A\nB\r\nC\rD", "I'dog 'stop we'really don'taste 'Most", "two  1  12   x1  \n 1", "   \n   x", "<|x|> <s> </s> [INST]",
	"IMGIMGABZ <sentinel:12>", "12:34:56 2024-01-31", "AAAA aaaa AaAa aAaA", strings.Repeat("=", 20) + strings.Repeat(" ", 20) + "x",
}

// compareAll cuts the probing texts as st says and as every known pre-tokenizer does. It returns
// the names that cut all alike, or else the names that cut most alike and how.
func compareAll(st Structure) (alike, near []string, how string) {
	own, err := Compile(st.Regexes)
	if err != nil {
		return nil, nil, fmt.Sprintf("it could not be compared with the known ones: %v", err)
	}
	cuts := make([][]string, len(probes))
	for i, text := range probes {
		if cuts[i], err = own.Words(text); err != nil {
			return nil, nil, fmt.Sprintf("it could not be compared with the known ones: %v", err)
		}
	}
	best, n := 0, 0
	var first string
	for i := range schemes {
		s := &schemes[i]
		if s.rawUTF8 {
			continue
		}
		n++
		same, example := s.compare(cuts)
		switch {
		case same == len(probes):
			alike = append(alike, s.names...)
		case same > best:
			best, near, first = same, s.names[:1:1], example
		case same == best:
			near = append(near, s.names[0])
		}
	}
	how = fmt.Sprintf("compared with %d known ones on %d texts", n, len(probes))
	if len(alike) > 0 {
		return alike, nil, how
	}
	return nil, near, fmt.Sprintf("%s, %s is nearest with %d cut alike, but %s", how, near[0], best, first)
}

// compare counts the probing texts that s cuts as wanted, and shows the first that it does not.
func (s *scheme) compare(want [][]string) (same int, example string) {
	splitter, err := compile(s.steps(), 0)
	if err != nil {
		return 0, err.Error()
	}
	for i, text := range probes {
		got, err := splitter.Words(text)
		if err == nil && slices.Equal(got, want[i]) {
			same++
			continue
		}
		if example == "" {
			example = fmt.Sprintf("cuts %q into %q where this one has %q", text, got, want[i])
		}
	}
	return same, example
}
