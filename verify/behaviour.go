package verify

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/moeconv/moeconv/gguf"
	"github.com/moeconv/moeconv/gguf/names"
	"github.com/moeconv/moeconv/runtime"
	"github.com/moeconv/moeconv/runtime/token"
)

// sampleTokens is how many tokens the checks on the model's behaviour feed it.
const sampleTokens = 48

// decodeTolerance is how far logits of a token fed alone may lie from those of the same token fed with others.
const decodeTolerance = 1e-3

// tokens is the beginning of the text in tokens, BOS in front where the model wants one; without a text, ids spread over
// the vocabulary.
func (s *Subject) tokens(m *runtime.Model) ([]int32, error) {
	n := sampleTokens
	if c := m.ContextLength(); c > 0 {
		n = min(n, c)
	}
	if s.Text != "" {
		tk, err := m.Tokenizer()
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
		head := s.Text[:min(len(s.Text), 64*n)]
		ids, err := tk.Encode(head, token.Options{AddSpecial: true})
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
		if len(ids) >= n {
			return ids[:n], nil
		}
	}
	const stride = 7919 // a prime: consecutive ids would all be of one kind
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32((i + 1) * stride % m.VocabSize())
	}
	return ids, nil
}

// prefill is the logits after each of the tokens, fed together to a new session.
func prefill(ctx context.Context, m *runtime.Model, ids []int32) ([][]float32, error) {
	out, err := m.NewSession().Eval(ctx, ids, runtime.WantAll)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return out.Logits, nil
}

// decode is the same, fed one by one.
func decode(ctx context.Context, m *runtime.Model, ids []int32) ([][]float32, error) {
	session := m.NewSession()
	var rows [][]float32
	for _, id := range ids {
		out, err := session.Eval(ctx, []int32{id}, runtime.WantLast)
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
		rows = append(rows, out.Last())
	}
	return rows, nil
}

// twice runs the sample in two ways and compares the logits.
func (s *Subject) twice(ctx context.Context, other func(context.Context, *runtime.Model, []int32) ([][]float32, error)) (worst float64, otherTop, n int, err error) {
	m, err := s.Model()
	if err != nil {
		return 0, 0, 0, err
	}
	ids, err := s.tokens(m)
	if err != nil {
		return 0, 0, 0, err
	}
	a, err := prefill(ctx, m, ids)
	if err != nil {
		return 0, 0, 0, err
	}
	b, err := other(ctx, m, ids)
	if err != nil {
		return 0, 0, 0, err
	}
	worst, otherTop = maxAbs(a, b)
	return worst, otherTop, len(ids), nil
}

// checkDecode asks whether tokens fed one by one answer as tokens fed together.
func checkDecode(ctx context.Context, s *Subject) Result {
	worst, otherTop, n, err := s.twice(ctx, decode)
	if err != nil {
		return cannot(err)
	}
	return judgeDecode(worst, otherTop, n)
}

func judgeDecode(worst float64, otherTop, n int) Result {
	r := Resultf(Pass, "largest difference of logits %.2g over %d tokens", worst, n)
	r.Figure, r.Threshold = Number(worst), decodeTolerance
	if !(worst <= decodeTolerance) || otherTop > 0 {
		r.Status = Fail
		r.Detail += fmt.Sprintf(", %.2g is allowed; another top token at %d", decodeTolerance, otherTop)
	}
	return r
}

// checkDeterminism asks whether the same tokens answer the same, to the bit.
func checkDeterminism(ctx context.Context, s *Subject) Result {
	worst, _, n, err := s.twice(ctx, prefill)
	if err != nil {
		return cannot(err)
	}
	return judgeDeterminism(worst, n)
}

func judgeDeterminism(worst float64, n int) Result {
	r := Resultf(Pass, "two runs over %d tokens are equal to the bit", n)
	r.Figure, r.Threshold = Number(worst), 0
	if worst != 0 {
		r.Status, r.Detail = Fail, fmt.Sprintf("two runs over %d tokens differ by %.2g", n, worst)
	}
	return r
}

// maxLogitNMSE is the squared error of logits against the source's, relative to their variance, at which the file no
// longer computes the source's function. Sound files of any scheme stay far below; unrelated answers are at 1 and more.
const maxLogitNMSE = 0.5

// checkLogits holds the logits of a short sample against the source model's.
func checkLogits(ctx context.Context, s *Subject) Result {
	if s.Reference == nil {
		return NewResult(NotApplicable, "no source to compare with")
	}
	m, err := s.Model()
	if err != nil {
		return cannot(err)
	}
	ref, err := s.ReferenceModel()
	if err != nil {
		return cannot(err)
	}
	if m.VocabSize() != ref.VocabSize() {
		return Resultf(Fail, "the vocabulary has %d tokens, the source's %d", m.VocabSize(), ref.VocabSize())
	}
	ids, err := s.tokens(ref)
	if err != nil {
		return cannot(err)
	}
	got, err := prefill(ctx, m, ids)
	if err != nil {
		return cannot(err)
	}
	want, err := prefill(ctx, ref, ids)
	if err != nil {
		return cannot(err)
	}
	worst, otherTop := maxAbs(got, want)
	nmse := logitNMSE(got, want)
	agree := 1 - float64(otherTop)/float64(len(ids))
	r := Resultf(Pass, "relative error %.2g, largest difference %.3g, same top token at %d of %d", nmse, worst, len(ids)-otherTop, len(ids))
	r.Figure, r.Threshold = Number(nmse), maxLogitNMSE
	if !(nmse <= maxLogitNMSE) {
		r.Status = Warn // a figure of quality: a few bits a weight can do this to an untrained model
		if math.IsNaN(nmse) {
			r.Status = Fail
		}
		r.Detail += fmt.Sprintf("; a relative error of %.2g is allowed", maxLogitNMSE)
	}
	r.figure("max_abs", worst)
	r.figure("top1", agree)
	return r
}

// logitNMSE is the squared error over the reference's squares about each row's mean (a constant added to all logits changes nothing).
func logitNMSE(got, want [][]float32) float64 {
	var errors, squares float64
	for i := range want {
		var mg, mw float64
		for j := range want[i] {
			mg += float64(got[i][j])
			mw += float64(want[i][j])
		}
		n := float64(len(want[i]))
		mg, mw = mg/n, mw/n
		for j := range want[i] {
			g, w := float64(got[i][j])-mg, float64(want[i][j])-mw
			errors += (g - w) * (g - w)
			squares += w * w
		}
	}
	if squares == 0 {
		return math.NaN()
	}
	return errors / squares
}

// roundTrip asks whether text survives the vocabulary: decode(encode(text)) = text.
func (s *Subject) roundTrip(tk *token.Tokenizer) Result {
	const most = 64 << 10
	text := s.Text
	if text == "" {
		text = "func main() {\n\tfmt.Println(\"häßlich 日本語 🙂\", 3.14)\r\n}\n"
	}
	for cut := most; len(text) > most; cut++ {
		if cut >= len(text) || text[cut]&0xC0 != 0x80 {
			text = text[:cut]
			break
		}
	}
	ids, err := tk.Encode(text, token.Options{})
	if err != nil {
		return cannot(fmt.Errorf("verify: %w", err))
	}
	r := judgeText(text, tk.Decode(ids, token.Options{ParseSpecial: true}), len(ids))
	r.Detail += differences(tk)
	return r
}

// differences says where llama.cpp itself is known not to give the model's own ids for this vocabulary.
func differences(tk *token.Tokenizer) string {
	var what []string
	for _, d := range tk.Differences() {
		what = append(what, d.What)
	}
	if len(what) == 0 {
		return ""
	}
	return "; known of llama.cpp, whose ids differ there: " + strings.Join(what, "; ")
}

func judgeText(text, got string, tokens int) Result {
	if got != text {
		at := 0
		for at < len(got) && at < len(text) && got[at] == text[at] {
			at++
		}
		return Resultf(Fail, "decoding the %d tokens of %d bytes does not give the text again: they part at byte %d", tokens, len(text), at)
	}
	r := Resultf(Pass, "%d bytes in %d tokens and back", len(text), tokens)
	r.Figure = Number(float64(len(text)) / float64(max(1, tokens)))
	return r
}

// ablationLimit is the size above which a model is not loaded again for the ablation check.
const ablationLimit = 4 << 30

// checkAblation asks whether routed and shared experts take part at all: without them the logits must change.
func checkAblation(ctx context.Context, s *Subject) Result {
	var bytes int64
	have := map[names.Class]bool{}
	for _, t := range s.Source.Tensors() {
		bytes += t.Bytes()
		have[names.ClassOf(t.Name)] = true
	}
	if bytes > ablationLimit {
		return Resultf(NotApplicable, "%.1f GiB are too much to load again", float64(bytes)/(1<<30))
	}
	m, err := s.Model()
	if err != nil {
		return cannot(err)
	}
	ids, err := s.tokens(m)
	if err != nil {
		return cannot(err)
	}
	intact, err := prefill(ctx, m, ids)
	if err != nil {
		return cannot(err)
	}
	r := NewResult(Pass, "")
	detail, weakest := "without them logits change by up to:", math.Inf(1)
	for _, class := range []names.Class{names.RoutedExpert, names.SharedExpert} {
		if !have[class] {
			continue
		}
		d, err := s.without(ctx, class, ids, intact)
		if err != nil {
			return cannot(err)
		}
		if !(d > 0) {
			r.Find(Problem{Expert: -1, Message: fmt.Sprintf("%ss take no part: logits are the same without them", class)})
		}
		detail += fmt.Sprintf(" %s %.3g", class, d)
		weakest = min(weakest, d)
	}
	if math.IsInf(weakest, 1) {
		return NewResult(NotApplicable, "the model has no experts")
	}
	r.Figure = Number(weakest)
	r.summarize(detail)
	return r
}

// without is the largest change of the logits when a class of tensors is zero.
func (s *Subject) without(ctx context.Context, class names.Class, ids []int32, intact [][]float32) (float64, error) {
	src := Zeroed(s.Source, func(t gguf.TensorInfo) bool { return names.ClassOf(t.Name) == class })
	m, err := s.load(src, runtime.ActivationsIntegers, nil)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	got, err := prefill(ctx, m, ids)
	if err != nil {
		return 0, err
	}
	worst, _ := maxAbs(intact, got)
	return worst, nil
}

// Zeroed is src with the values of some tensors zero. In every type's encoding, bytes of zero are values of zero.
func Zeroed(src gguf.Source, which func(gguf.TensorInfo) bool) gguf.Source {
	return zeroed{src, which}
}

type zeroed struct {
	gguf.Source
	which func(gguf.TensorInfo) bool
}

// ReadRows reads zeros where the tensor is one of those.
func (z zeroed) ReadRows(ctx context.Context, tensor, row, n int, dst []byte) error {
	ts := z.Tensors()
	if err := gguf.CheckRows(ts, tensor, row, n, dst); err != nil {
		return err
	}
	if z.which(ts[tensor]) {
		clear(dst)
		return nil
	}
	return z.Source.ReadRows(ctx, tensor, row, n, dst)
}
