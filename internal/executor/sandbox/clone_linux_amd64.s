#include "textflag.h"

// func cloneFirst(flags, stack, commandStack uintptr, p *plan) (pid int)
//
// Each stack pointer leaves room above itself. The functions are called by their addresses, with arguments in registers:
// the wrapper that lies behind a name used in assembly would call the race detector.
TEXT ·cloneFirst(SB), NOSPLIT, $0-40
	MOVQ flags+0(FP), DI
	MOVQ stack+8(FP), SI
	MOVQ commandStack+16(FP), R13
	MOVQ p+24(FP), R12
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $56, AX // clone
	SYSCALL
	TESTQ AX, AX
	JZ   child
	MOVQ AX, pid+32(FP)
	RET

child:
	MOVQ SP, BX
	MOVQ R12, 32(BX)
	MOVQ R13, 40(BX)
	XORPS X15, X15 // as compiled code expects it
	MOVQ R12, AX
	MOVQ 0(R12), CX // plan.first
	CALL CX
	MOVQ SP, BX
	MOVQ 32(BX), R12
	MOVQ 40(BX), SI
	MOVQ $0x10004111, DI // CLONE_NEWUSER, CLONE_VFORK, CLONE_VM, SIGCHLD
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $56, AX
	SYSCALL
	TESTQ AX, AX
	JZ   command
	MOVQ SP, BX
	MOVQ 32(BX), R12
	MOVQ AX, BX
	MOVQ R12, AX
	XORPS X15, X15
	MOVQ 8(R12), CX // plan.attend
	CALL CX
	INT  $3

command:
	XORPS X15, X15
	MOVQ R12, AX
	MOVQ 16(R12), CX // plan.command
	CALL CX
	INT  $3
