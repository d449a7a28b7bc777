// Command hewn builds a whole application from source. Everything is in package cli.
package main

import (
	"os"

	"hewn.example/hewn/internal/cli"
)

func main() { os.Exit(cli.Main(cli.OS())) }
