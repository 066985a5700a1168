package omegaplugin

import (
	"fmt"
	"os"
	"syscall"
)

// keepStdout gives the real stdout, for the answer alone. From now on descriptor 1 is stderr, and so is os.Stdout: what C
// code and direct system calls print goes there, too.
func keepStdout() (*os.File, error) {
	kept, err := syscall.Dup(int(os.Stdout.Fd()))
	if err == nil {
		syscall.CloseOnExec(kept)
		err = syscall.Dup3(int(os.Stderr.Fd()), 1, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot keep standard output for the answer: %w", err)
	}
	os.Stdout = os.Stderr
	return os.NewFile(uintptr(kept), "answers"), nil
}
