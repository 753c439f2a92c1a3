package offload

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFreeMemory(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
		ok    bool
	}{
		"nothing": {nil, 0, false},
		"machine": {map[string]string{"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:  100 kB\n"}, 100 << 10, true},
		"v2, no limit": {map[string]string{"proc/meminfo": "MemAvailable: 100 kB\n", "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.current": "5\n"}, 100 << 10, true},
		"v2, files are free": {map[string]string{"proc/meminfo": "MemAvailable: 100 kB\n", "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "5000\n", "sys/fs/cgroup/a/b/memory.current": "4000\n",
			"sys/fs/cgroup/a/b/memory.stat": "anon 1000\ninactive_file 1200\nactive_file 300\n"}, 2500, true},
		"v2, a group around it": {map[string]string{"proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/memory.max": "700\n", "sys/fs/cgroup/a/memory.current": "100\n",
			"sys/fs/cgroup/a/b/memory.max": "5000\n", "sys/fs/cgroup/a/b/memory.current": "100\n"}, 600, true},
		"v2 in a container": {map[string]string{"proc/self/cgroup": "0::/host/path\n",
			"sys/fs/cgroup/memory.max": "700\n", "sys/fs/cgroup/memory.current": "800\n"}, 0, true},
		"v1": {map[string]string{"proc/meminfo": "MemAvailable: 100 kB\n", "proc/self/cgroup": "5:cpu:/x\n4:memory:/a\n0::/\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "5000\n", "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "4000\n",
			"sys/fs/cgroup/memory/a/memory.stat":         "inactive_file 1\ntotal_inactive_file 500\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "4000\n"}, 1500, true},
	} {
		root := t.TempDir()
		for path, text := range c.files {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if got, ok := freeMemory(root); got != c.want || ok != c.ok {
			t.Errorf("%s: %d, %v, want %d", name, got, ok, c.want)
		}
	}
}
