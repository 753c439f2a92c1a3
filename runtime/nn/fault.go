package nn

import "runtime/debug"

// FaultError says that a mapped file could not be read while it was computed with. The system tells by a signal, which
// would end the process.
type FaultError struct{}

func (*FaultError) Error() string {
	return "nn: the model's mapped file can no longer be read: it was made shorter, or its disk failed"
}

// Hint is the next step for a user.
func (*FaultError) Hint() string {
	return "a mapped file must stay as it is; without --mmap a model that fits is read into memory first"
}

// fault is the panic of a memory fault, as debug.SetPanicOnFault has it.
type fault interface {
	error
	Addr() uintptr
}

// faults lets memory faults of this goroutine panic; the function that it returns makes an error of one, and is to be
// deferred.
func faults(err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		switch r := recover().(type) {
		case nil:
		case fault:
			*err = &FaultError{}
		default:
			panic(r)
		}
	}
}

// call runs a task; a memory fault is kept for the goroutine that waits for the job.
func (j *job) call(worker, task int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case fault:
			j.fault.CompareAndSwap(nil, &r)
		default:
			panic(r)
		}
	}()
	j.f(worker, task)
}
