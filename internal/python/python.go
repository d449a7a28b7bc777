// Package python turns a uv.lock into a virtual environment: which packages, from which wheels, built how.
//
// Plans ask for the lock and project files and return steps; wheels are laid out by a native step, bytecode and sdists
// are made by actions in a root that has the interpreter. Nothing is resolved in a build: what the lock leaves open
// (build requirements) is pinned in sources.lock through questions, which a Resolver answers in an update.
package python
