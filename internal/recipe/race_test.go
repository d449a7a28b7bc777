//go:build race

package recipe

// racing says that the race detector is on: evaluating up to the limit of steps then takes half a minute.
const racing = true
