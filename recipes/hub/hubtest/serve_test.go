package hubtest

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
)

// chunkEnv makes the test binary a Hub for other programs: it prints its address, serves until its input ends, and
// then prints what it saw. The value is the size of an upload's parts in bytes.
const chunkEnv = "HUBTEST_CHUNK_SIZE"

func TestMain(m *testing.M) {
	size, err := strconv.ParseInt(os.Getenv(chunkEnv), 10, 64)
	if err != nil {
		os.Exit(m.Run())
	}
	h := New()
	h.ChunkSize = size
	fmt.Println(h.URL())
	_, _ = io.Copy(io.Discard, os.Stdin) // its end is the order to stop
	fmt.Printf("%d requests, %d bytes received, %d tokens leaked\n", h.Requests(), h.Received(), len(h.Leaks()))
	h.Close()
	if len(h.Leaks()) > 0 {
		os.Exit(1)
	}
}
