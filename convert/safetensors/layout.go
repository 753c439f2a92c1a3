package safetensors

import (
	"cmp"
	"slices"
)

// checkLayout sorts the tensors by their offsets and makes sure that they fill the data section without holes or overlaps.
func checkLayout(file string, ts []Tensor, section int64) error {
	slices.SortFunc(ts, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Off, b.Off), cmp.Compare(a.Size, b.Size), cmp.Compare(a.Name, b.Name))
	})
	if err := checkOverlap(file, ts); err != nil {
		return err
	}
	end := int64(0)
	for _, t := range ts {
		if t.Off > end {
			return tensorErrorf(file, t.Name, "begins at byte %d of the data, the tensor before it ends at %d: %d bytes belong to no tensor", t.Off, end, t.Off-end)
		}
		end = t.Off + t.Size
	}
	switch {
	case end > section:
		return fileErrorf(file, "data section is %d bytes, header needs %d: %d are missing (truncated download?)", section, end, end-section)
	case end < section:
		return fileErrorf(file, "data section is %d bytes, header needs %d: %d at the end belong to no tensor", section, end, section-end)
	}
	return nil
}

// checkOverlap comes before holes: a range given twice leaves a hole elsewhere, and the overlap is the cause.
func checkOverlap(file string, ts []Tensor) error {
	for i := 1; i < len(ts); i++ {
		a, b := ts[i-1], ts[i]
		if b.Off < a.Off+a.Size {
			return tensorErrorf(file, b.Name, "overlaps tensor %q: bytes %d to %d and %d to %d of the data",
				a.Name, b.Off, b.Off+b.Size, a.Off, a.Off+a.Size)
		}
	}
	return nil
}
