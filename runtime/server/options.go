package server

import "time"

// Options of New. Zero fields take the defaults.
type Options struct {
	Name         string        // id of the model
	Slots        int           // answers computed at the same time, each with a KV cache that is kept for what comes; 4
	Queue        int           // requests that wait for a slot before others are refused, -1 for none; 64
	MaxBody      int64         // bytes of a request; 16 MiB
	Timeout      time.Duration // of a request, from its arrival to its last token; 1 hour
	ReadTimeout  time.Duration // of a request's body; 30 s
	WriteTimeout time.Duration // of a response, or of one event of a stream; 30 s
	Grace        time.Duration // that running requests get when the server shuts down; 10 s
	Shift        bool          // drop the oldest tokens of texts that outgrow the context
	Log          func(format string, args ...any)
}

func (o Options) orDefaults() Options {
	set := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	lasting := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	set(&o.Slots, 4)
	if o.Queue == 0 {
		o.Queue = 64
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 16 << 20
	}
	lasting(&o.Timeout, time.Hour)
	lasting(&o.ReadTimeout, 30*time.Second)
	lasting(&o.WriteTimeout, 30*time.Second)
	lasting(&o.Grace, 10*time.Second)
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	return o
}
