package main

import (
	"errors"
	"fmt"
	"os"
	"regexp/syntax"
	"time"

	"github.com/dlclark/regexp2/v2"

	"github.com/moeconv/moeconv/quantize"
)

// ruleArg is a rule, or a file of rules, in the order of the command line, which decides which comes first.
type ruleArg struct {
	text string
	file bool
}

// ruleFlag collects two flags in one list.
type ruleFlag struct {
	list *[]ruleArg
	file bool
}

func (f *ruleFlag) String() string { return "" }
func (f *ruleFlag) Type() string   { return "string" }

func (f *ruleFlag) Set(s string) error {
	*f.list = append(*f.list, ruleArg{s, f.file})
	return nil
}

func parseRules(args []ruleArg) ([]quantize.Override, error) {
	var out []quantize.Override
	for _, a := range args {
		words, where := []string{a.text}, ""
		if a.file {
			text, err := os.ReadFile(a.text)
			if err != nil {
				return nil, err
			}
			words, where = quantize.SplitRules(string(text)), a.text+": "
		}
		for _, s := range words {
			rule, err := parseRule(s)
			if err != nil {
				return nil, usageError{fmt.Errorf("%s%w", where, err)}
			}
			out = append(out, rule)
		}
	}
	return out, nil
}

// parseRule reads REGEX=TYPE. Patterns that Go's regular expressions do not know, look-aheads and back-references, which
// those of C++ do, are left to another engine.
func parseRule(s string) (quantize.Override, error) {
	o, err := quantize.ParseOverride(s)
	var bad *syntax.Error
	if err == nil || !errors.As(err, &bad) || bad.Code != syntax.ErrInvalidPerlOp && bad.Code != syntax.ErrInvalidEscape {
		return o, err
	}
	re, err := regexp2.Compile(o.Pattern, regexp2.ECMAScript|regexp2.IgnoreCase)
	if err != nil {
		return o, fmt.Errorf("tensor type %s: %w", s, err)
	}
	re.MatchTimeout = time.Second // what backtracks for longer does not match
	o.Match = func(name string) bool {
		ok, err := re.MatchString(name)
		return ok && err == nil
	}
	return o, nil
}
