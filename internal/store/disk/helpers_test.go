package disk_test

import "context"

// uncancelled is for the writer process, which has no test and therefore no context of one.
func uncancelled() context.Context { return context.Background() }
