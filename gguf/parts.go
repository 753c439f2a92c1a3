package gguf

// Part is one file of an output that has not been written.
type Part struct {
	Path    string
	Bytes   int64 // exact
	Tensors int
}

// Parts lists the files that WriteFile would write, from metadata and tensor infos alone.
func Parts(name string, src Source, opts FileOptions) ([]Part, error) {
	parts, err := split(name, src, opts)
	if err != nil {
		return nil, err
	}
	var out []Part
	for _, p := range parts {
		out = append(out, Part{p.path, p.plan.Size, len(p.src.Tensors())})
	}
	return out, nil
}
