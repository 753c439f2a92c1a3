package family

// Sub is a field that is an object, as a config of its own whose errors are this one's; empty where it is absent or null.
func (c Config) Sub(key string) Config {
	return Config{fields: c.Object(key), err: c.err, read: map[string]bool{}}
}
