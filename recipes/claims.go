package recipes

import (
	"fmt"
	"strconv"

	"github.com/moeconv/moeconv/verify/card"
	"github.com/moeconv/moeconv/verify/evidence"
)

// releaseClaims states what a release claims: sizes, hashes, verdicts, figures of quality, each with its place in the
// bundle.
func releaseClaims(rep *Report, head *headersDoc) (*evidence.Claims, error) {
	c := &claimList{}
	c.add("the model has %v parameters", head.Model.Parameters, "", card.FilesName, "/model/parameters", "parameters", rep.Name)
	if head.Model.Active > 0 {
		c.add("%v parameters are active for a token", head.Model.Active, "", card.FilesName, "/model/active_parameters", "active parameters", rep.Name)
	}
	if b := rep.Baseline; b != nil {
		c.add("the source has perplexity %v on "+rep.Measured, b.Perplexity, "", card.ReleaseName, "/baseline/ppl", "perplexity", rep.Name)
	}
	for i := range rep.Outputs {
		o := &rep.Outputs[i]
		at := "/outputs/" + strconv.Itoa(i)
		c.add(o.Label+" has %v bytes", o.Bytes, "bytes", card.ReleaseName, at+"/total_bytes", "size", o.Label)
		c.add(o.Label+" has %v bits per weight", o.BPW, "", card.ReleaseName, at+"/bits_per_weight", "bits per weight", o.Label)
		for k, f := range o.Files {
			c.add(f.Path+" has SHA-256 %v", f.SHA256, "", card.ReleaseName, at+"/files/"+strconv.Itoa(k)+"/sha256", "sha256", f.Path)
		}
		if o.Verdict != "" {
			c.add(o.Label+": verify says %v", o.Verdict, "", card.ReleaseName, at+"/verdict", "verdict", o.Label)
		}
		if q := o.Quality; q != nil {
			c.add(o.Label+" has perplexity %v on "+rep.Measured, q.Perplexity, "", card.ReleaseName, at+"/quality/ppl", "perplexity", o.Label)
			c.add(o.Label+" has a mean KL divergence of %v from the source", q.MeanKLD, "", card.ReleaseName, at+"/quality/mean_kld", "mean KL divergence", o.Label)
			c.add(o.Label+" has the source's most likely token at a share of %v", q.Top1, "", card.ReleaseName, at+"/quality/same_top", "same top", o.Label)
		}
	}
	return evidence.NewClaims(c.list), c.err
}

type claimList struct {
	list []evidence.Claim
	err  error
}

func (c *claimList) add(text string, v any, unit, file, pointer, metric, scope string) {
	claim, err := evidence.NewClaim(fmt.Sprintf(text, v), v, unit, file, pointer, 0)
	if err != nil && c.err == nil {
		c.err = err
	}
	claim.Metric, claim.Scope = metric, scope
	c.list = append(c.list, claim)
}
