package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moeconv/moeconv/runtime/server"
	"github.com/moeconv/moeconv/verify"
	"github.com/moeconv/moeconv/verify/probe"
	"github.com/moeconv/moeconv/verify/stress"
)

// probeFlags are what verify is told of probes, and of the engine that answers them.
type probeFlags struct {
	set, thinking, against   string
	maxTokens                int
	runCode, stress          bool
	stressTime               time.Duration
	protocol, stressBaseline string
	endpoint                 endpointFlags
}

func (p *probeFlags) register(f *pflag.FlagSet) {
	f.StringVar(&p.set, "probes", "", "ask the probes of this `SET`: default, validators, haiku, or a YAML file")
	f.StringVar(&p.thinking, "thinking", "", "with --probes: have models that can think do so (`on`) or not (off)")
	f.IntVar(&p.maxTokens, "probe-tokens", 0, "with --probes: `N` tokens at most of an answer (default: each probe's own)")
	f.BoolVar(&p.runCode, "run-code", false, "with --probes: run the Python code in answers, in a sandbox without network")
	f.BoolVar(&p.stress, "stress", false, "put the model under load: long answers, sessions at a time, a conversation, a burst, the whole context, a soak, errors")
	f.DurationVar(&p.stressTime, "stress-duration", 0, "with --stress: `TIME` of the soak, such as 8h (default 1m)")
	f.StringVar(&p.protocol, "stress-protocol", "", "with --stress: a YAML `FILE` whose keys replace those of the built-in protocol")
	f.StringVar(&p.stressBaseline, "stress-baseline", "", "with --stress: `FILE` of an earlier run (--json), on the same machine; figures that are worse by 20% fail")
	f.StringVar(&p.against, "against", "", "`external`: --endpoint answers the probes and bears the load, in place of the bundled runtime; FILE may be left out")
	f.StringVar(&p.endpoint.url, "endpoint", "", "with --against external: the server's `URL` (OpenAI's API)")
	f.StringVar(&p.endpoint.model, "endpoint-model", "", "`NAME` of the model at the endpoint (default: its only one)")
}

// args checks the flags against each other; without an external engine a file is needed.
func (p *probeFlags) args(cmd *cobra.Command, args []string) error {
	switch {
	case p.against != "" && p.against != "external":
		return usageError{fmt.Errorf("--against %s: only external is known", p.against)}
	case (p.against == "") != (p.endpoint.url == ""):
		return usageError{errors.New("--against external and --endpoint go together")}
	case p.endpoint.url == "" && p.endpoint.model != "":
		return usageError{errors.New("--endpoint-model goes with --endpoint")}
	case p.against == "" && len(args) == 0:
		return usageArgs(cobra.MinimumNArgs(1))(cmd, args)
	case p.set == "" && (p.runCode || p.thinking != "" || p.maxTokens != 0 || p.against != "" && !p.stress):
		return usageError{errors.New("there are no probes to ask: --probes SET")}
	case !p.stress && (p.stressTime != 0 || p.protocol != "" || p.stressBaseline != ""):
		return usageError{errors.New("--stress-duration, --stress-protocol and --stress-baseline go with --stress")}
	case p.maxTokens < 0 || p.stressTime < 0:
		return usageError{fmt.Errorf("--probe-tokens %d, --stress-duration %v", p.maxTokens, p.stressTime)}
	}
	return nil
}

// checks are the probes and the phases of the stress protocol as checks; none where neither is asked for.
func (p *probeFlags) checks() ([]verify.Check, error) {
	var client *server.Client
	var err error
	if p.endpoint.url != "" {
		if client, err = p.endpoint.client(); err != nil {
			return nil, err
		}
	}
	var out []verify.Check
	if p.set != "" {
		if out, err = p.probes(client); err != nil {
			return nil, err
		}
	}
	if p.stress {
		load, err := p.load(client)
		if err != nil {
			return nil, err
		}
		out = append(out, load...)
	}
	return out, nil
}

// load is the stress protocol.
func (p *probeFlags) load(client *server.Client) ([]verify.Check, error) {
	protocol, err := stress.Load(p.protocol)
	if err != nil {
		return nil, err
	}
	if p.stressTime > 0 {
		protocol.Soak.Seconds = p.stressTime.Seconds()
	}
	o := stress.Options{Protocol: protocol, Endpoint: client, URL: p.endpoint.url}
	if p.stressBaseline != "" {
		if o.Baseline, err = stress.LoadBaseline(p.stressBaseline); err != nil {
			return nil, err
		}
	}
	return stress.Checks(o), nil
}

func (p *probeFlags) probes(client *server.Client) ([]verify.Check, error) {
	set, err := probe.LoadSet(p.set)
	if err != nil {
		return nil, err
	}
	o := probe.Options{Thinking: p.thinking, MaxTokens: p.maxTokens}
	if client != nil {
		o.Engine = probe.Endpoint(client)
	}
	if p.runCode {
		if o.Sandbox, err = probe.NewSandbox(); err != nil {
			return nil, err
		}
	}
	suite, err := probe.NewSuite(set.Probes, o)
	if err != nil {
		return nil, usageError{err}
	}
	return suite.Checks(), nil
}

// external asks an endpoint alone: there is no file, and nothing is proven of one.
func (p *probeFlags) external(ctx context.Context, more []verify.Check) (*verify.Release, error) {
	c, err := p.endpoint.client()
	if err != nil {
		return nil, err
	}
	name, err := c.Model(ctx)
	if err != nil {
		return nil, err
	}
	rep, err := verify.Run(ctx, &verify.Subject{Name: baseName(name)}, more)
	if err != nil {
		return nil, err
	}
	rep.Label, rep.BPW, rep.ExpertBPW = rep.Name, verify.None(), verify.None()
	rel := &verify.Release{Name: rep.Name, OnFailure: verify.HoldFile, Files: []*verify.Report{rep}}
	rel.Judge()
	return rel, nil
}
