package main

import "github.com/spf13/cobra"

// commands returns the subcommands: one file each.
func commands() []*cobra.Command {
	return []*cobra.Command{ingestCommand(), reportCommand(), eventsCommand(), traceCommand(),
		followCommand(), investigateCommand(), explainCommand(), codesCommand(), checkCommand(),
		serveCommand(), pruneCommand(), pushCommand(), dbCommand()}
}
