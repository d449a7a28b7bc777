//go:build !race

package recipe

const racing = false
