package kernel

import "os"

// impl is one form of the kernels.
type impl struct {
	name      string
	available bool
	use       func()
}

// MOECONV_SIMD names the form to use, where the CPU has it; the best one otherwise.
func init() { Use(os.Getenv("MOECONV_SIMD")) }

// Implementations lists the forms that this CPU can run; generic is the first.
func Implementations() []string {
	var out []string
	for _, im := range implementations() {
		if im.available {
			out = append(out, im.name)
		}
	}
	return out
}

// Use switches to the named form, for tests and benchmarks, and returns what switches back.
// ok is false, and nothing is changed, if the CPU cannot run it. Not for concurrent use with the kernels.
func Use(name string) (restore func(), ok bool) {
	old := Implementation()
	for _, im := range implementations() {
		if im.name == name && im.available {
			im.use()
			return func() { Use(old) }, true
		}
	}
	return func() {}, false
}
