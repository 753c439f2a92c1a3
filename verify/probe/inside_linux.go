//go:build amd64 || arm64

package probe

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// insideName is the name by which the program starts itself within the sandbox's namespaces.
const insideName = "moeconv-sandbox"

// inside is what that process has to do: make Root its file system, give up what it may and become Argv.
type inside struct {
	Root, Prefix string
	Argv         []string
}

func init() {
	if len(os.Args) != 1 || os.Args[0] != insideName {
		return
	}
	runtime.LockOSThread()
	fmt.Fprintln(os.Stderr, become(os.Stdin))
	os.Exit(1)
}

// become returns only when it fails.
func become(r io.Reader) error {
	var in inside
	if err := json.NewDecoder(r).Decode(&in); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if os.Getpid() != 1 {
		return fmt.Errorf("sandbox: not in a process namespace of its own")
	}
	if err := in.files(); err != nil {
		return fmt.Errorf("sandbox: files: %w", err)
	}
	null, err := os.Open("/stdin") // an empty file: what is left of the setup is not the code's to read
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if err := unix.Dup3(int(null.Fd()), 0, 0); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if err := giveUp(); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(filter())), 0, 0); err != nil {
		return fmt.Errorf("sandbox: seccomp: %w", err)
	}
	return fmt.Errorf("sandbox: %s: %w", in.Argv[0], unix.Exec(in.Argv[0], in.Argv, []string{"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"}))
}

// files makes a file system of the system's libraries and the interpreter, read only, and a small /tmp.
func (in inside) files() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	size := fmt.Sprintf("size=%d,mode=755", 16*sandboxFile)
	if err := unix.Mount("tmpfs", in.Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, size); err != nil {
		return err
	}
	for _, dir := range []string{"/usr", "/bin", "/lib", "/lib64", "/lib32", in.Prefix, filepath.Dir(in.Argv[0])} {
		if err := in.bind(dir); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	if err := os.Mkdir(filepath.Join(in.Root, "tmp"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(in.Root, "stdin"), nil, 0o400); err != nil {
		return err
	}
	// pivot_root puts the old root out of reach, which chroot alone does not.
	if err := unix.Chdir(in.Root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return unix.Chdir("/tmp")
}

// bind shows a folder of the system within the root. A link is made anew; what lies in a folder shown already is there.
func (in inside) bind(dir string) error {
	fi, err := os.Lstat(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	to := filepath.Join(in.Root, dir)
	if _, err := os.Lstat(to); err == nil || dir != "/usr" && strings.HasPrefix(dir+"/", "/usr/") {
		return nil
	}
	if fi.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(dir)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(dir, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(to, &st); err != nil {
		return err
	}
	// Flags that the mount has already must be said again; those of statfs have mount's values.
	kept := uintptr(st.Flags) & (unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	return unix.Mount("", to, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|kept, "")
}

// giveUp drops every capability for good and sets the limits, but for that of memory, which would stop this process itself.
func giveUp() error {
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && err != unix.EINVAL { // EINVAL: the kernel has fewer
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return err
	}
	for resource, limit := range map[int]uint64{unix.RLIMIT_CPU: sandboxSeconds, unix.RLIMIT_FSIZE: sandboxFile, unix.RLIMIT_CORE: 0,
		unix.RLIMIT_NOFILE: 64} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
	}
	return nil
}

// filter refuses the system calls that start processes and make namespaces, since limits on their number do not bind
// root, and all calls in another architecture's numbers, which would get around it.
func filter() *unix.SockFprog {
	denied := append([]uint32{unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_PTRACE}, forks...)
	n := uint8(len(denied))
	const load, equal, least = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	code := []unix.SockFilter{
		{Code: load, K: 4}, // seccomp_data.arch
		{Code: equal, K: auditArch, Jf: n + 3},
		{Code: load, K: 0}, // seccomp_data.nr
		{Code: least, K: otherCalls, Jt: n + 1},
	}
	for i, nr := range denied {
		code = append(code, unix.SockFilter{Code: equal, K: nr, Jt: n - uint8(i)})
	}
	code = append(code,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	return &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
}
