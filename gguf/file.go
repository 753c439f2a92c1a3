package gguf

import "context"

// FileOptions say how to write an output as files.
type FileOptions struct {
	WriteOptions               // of WriteFile; a Job has its own
	SplitMaxSize    int64      // bytes of tensor data in one shard; 0: no limit
	SplitMaxTensors int        // tensors in one shard; 0: no limit
	SplitStyle      SplitStyle // whose rules of splitting
	SplitAt         []int      // cut behind so many tensors, whatever the limits; nil: by the limits
	MetadataFirst   bool       // the first shard holds metadata only; makes a set whatever the limits
	Set             bool       // make a set even where one shard is enough
	Unpadded        bool       // a file without tensors ends with its metadata, as the reference converter's vocabularies do
	Force           bool       // replace existing files
	// Verify reads every file back before it gets its name and compares it with what was read from the source:
	// metadata, tensor infos and the SHA-256 of each tensor.
	Verify bool
}

// Written is one finished file.
type Written struct {
	Path   string
	Bytes  int64
	SHA256 string // hex
}

// WriteFile writes src as the file name (NAME.gguf), or as shards
// NAME-00001-of-0000N.gguf beside it when the options ask for them and there is
// more than one. Data go to *.part files, which get their names together after
// all of them are synced; after any error, ctx's too, none of the files is
// there, and what had their names before is untouched. Existing files are
// refused (*ExistsError) without Force, and a disk without room before a byte
// is written (*SpaceError). *LockedError: another process writes the same file.
func WriteFile(ctx context.Context, name string, src Source, opts FileOptions) ([]Written, error) {
	return writeFile(ctx, osDisk{}, name, src, opts)
}

func writeFile(ctx context.Context, d disk, name string, src Source, opts FileOptions) ([]Written, error) {
	j := Job{Outputs: []Output{{Name: name, Source: src, Options: opts}}, WriteOptions: opts.WriteOptions}
	files, err := j.run(ctx, d)
	if err != nil {
		return nil, err
	}
	return files[0], nil
}
