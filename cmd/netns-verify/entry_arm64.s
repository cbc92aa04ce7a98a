#include "textflag.h"

// The program's entry point, if it is linked with -E netns_verify_entry: see stdout.go.
// It makes one system call, fcntl(1, F_GETFD), and goes on to Go's own entry point.
TEXT netns_verify_entry(SB),NOSPLIT|NOFRAME,$0
	MOVD $25, R8 // SYS_fcntl
	MOVD $1, R0
	MOVD $1, R1 // F_GETFD
	SVC
	CMN  $9, R0 // EBADF
	BNE  open
	MOVD $1, R1
	MOVB R1, ·stdoutClosed(SB)
open:
	JMP _rt0_arm64_linux(SB)
