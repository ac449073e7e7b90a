package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mailfail/report"
)

// unknownValue returns the error about a value that a flag does not accept. It suggests
// the nearest value, or lists them all.
func unknownValue(flag, value string, known []string) error {
	return usageError("%w", report.Unknown(flag+" value", value, known))
}

// unknownFlag adds the most similar flag to the error about an unknown one.
func unknownFlag(cmd *cobra.Command, err error) error {
	word, found := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !found {
		return err
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if near := report.Nearest(word, known); near != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	return err
}

// onlyCommands refuses arguments that are not commands, and suggests the nearest one.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	return report.Unknown("command", args[0], known)
}
