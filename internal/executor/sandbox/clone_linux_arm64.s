#include "textflag.h"

// func cloneFirst(flags, stack, commandStack uintptr, p *plan) (pid int)
//
// Each stack pointer leaves room above itself. The functions are called by their addresses, with arguments in registers:
// the wrapper that lies behind a name used in assembly would call the race detector.
TEXT ·cloneFirst(SB), NOSPLIT, $0-40
	MOVD flags+0(FP), R0
	MOVD stack+8(FP), R1
	MOVD commandStack+16(FP), R20
	MOVD p+24(FP), R19
	MOVD ZR, R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD $220, R8 // clone
	SVC
	CBZ  R0, child
	MOVD R0, pid+32(FP)
	RET

child:
	MOVD RSP, R9
	MOVD R19, 40(R9)
	MOVD R20, 48(R9)
	MOVD R19, R0
	MOVD 0(R19), R9 // plan.first
	BL   (R9)
	MOVD RSP, R9
	MOVD 40(R9), R19
	MOVD 48(R9), R1
	MOVD $0x10004111, R0 // CLONE_NEWUSER, CLONE_VFORK, CLONE_VM, SIGCHLD
	MOVD ZR, R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD $220, R8
	SVC
	CBZ  R0, command
	MOVD RSP, R9
	MOVD R0, R1
	MOVD 40(R9), R0
	MOVD 8(R0), R9 // plan.attend
	BL   (R9)
	BRK

command:
	MOVD R19, R0
	MOVD 16(R19), R9 // plan.command
	BL   (R9)
	BRK
