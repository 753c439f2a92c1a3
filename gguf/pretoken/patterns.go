package pretoken

// The pieces the regexes below are put together from.
const (
	contractions  = `(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])`
	contractionsI = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`

	word        = `[^\r\n\p{L}\p{N}]?\p{L}+`
	symbols     = ` ?[^\s\p{L}\p{N}]+[\r\n]*`
	newlines    = `\s*[\r\n]+`
	spaces      = `\s+(?!\S)|\s+`
	lineTail    = symbols + `|` + newlines + `|` + spaces
	asciiSymbol = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
)

// Words of mixed case, as o200k cuts them: upper case then lower case.
const (
	casedLower  = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`
	casedUpper  = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`
	looseLower  = `[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+`
	looseUpper  = `[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*`
	markedLower = `[^\r\n\p{L}\p{N}]?((?=[\p{L}\p{M}])([^a-z]))*((?=[\p{L}\p{M}])([^A-Z]))+`
	markedUpper = `[^\r\n\p{L}\p{N}]?((?=[\p{L}\p{M}])([^a-z]))+((?=[\p{L}\p{M}])([^A-Z]))*`
	slashTail   = ` ?[^\s\p{L}\p{N}]+[\r\n/]*|` + newlines + `|` + spaces
	hanLower    = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+`
	hanUpper    = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*`
)

// Whole regexes that several pre-tokenizers share, or that stand in tokenizer.json files.
const (
	gpt2Loader = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`
	gpt2       = gpt2Loader + `|\s+` // what a ByteLevel with use_regex applies

	llama3Loader = contractions + `|` + word + `|\p{N}{1,3}|` + lineTail
	llama3       = contractionsI + `|` + word + `|\p{N}{1,3}|` + lineTail
	qwen2Loader  = contractions + `|` + word + `|\p{N}|` + lineTail
	qwen2        = contractionsI + `|` + word + `|\p{N}|` + lineTail
	o200kLoader  = looseLower + contractions + `?|` + looseUpper + contractions + `?|\p{N}{1,3}|` + slashTail
	o200k        = casedLower + contractionsI + `?|` + casedUpper + contractionsI + `?|\p{N}{1,3}|` + slashTail
	kimi         = `[\p{Han}]+|` + hanLower + contractionsI + `?|` + hanUpper + contractionsI + `?|\p{N}{1,3}|` + lineTail
	jais2Tail    = symbols + `|` + newlines + `|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`

	eachDigit   = `\p{N}` // what Digits with individual_digits applies
	digitRuns   = `\p{N}+`
	threeDigits = `\p{N}{1,3}`
	// rightGroups is a name of the loader's, not a regex: runs of digits cut into threes from the right.
	rightGroups = `\p{AFMoE_digits}`

	cjkWords       = `[一-龥぀-ゟ゠-ヿ]+`
	lineEnd        = "[\r\n]"
	deepseek3Words = asciiSymbol + "[A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|" + spaces
	spark25Words   = asciiSymbol + "[A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+|[\r\n]|" + spaces
	afmoeWords     = asciiSymbol + `[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|` + newlines + `|` + spaces
)

// The steps of deepseek-llm: its letters are the cased scripts spelled out.
const (
	deepseekLetters = `\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+`
	deepseekSymbols = "\\s?[!-/:-~！-／：-～‘-‟　-。]+"
	trailingSpace   = `\s+$`
	deepseekCJK     = `[一-龥ࠀ-一가-퟿]+`
)
