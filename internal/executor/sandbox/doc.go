// Package sandbox runs actions and sessions in Linux namespaces of this machine.
//
// hewn re-executes itself once a run as the sandbox's server, in a user, mount and pid namespace of its own. For each
// action a locked thread of the server makes the other namespaces, mounts the root and forks a first process
// (child_linux.go); that process forks the command. No program but the command is ever started, which is what makes a
// step cost a few milliseconds. What an action finds around it is the contract of docs/adr/0004-sandbox-contract.md,
// whose version is action.Contract.
//
// Processes, from the outside in:
//
//	hewn            host; starts the server, makes views, collects outputs
//	server          user namespace A (0 inside = the user of hewn), pid 1 of its pid namespace: when it dies, all die
//	first process   pid 1 of the action; mounts /proc, switches the root, waits
//	command         user namespace B below A (1000 or 0 inside = the user of hewn); owns nothing but itself
//
// The package is safe for concurrent use. It writes nowhere but below Config.TempDir.
package sandbox
