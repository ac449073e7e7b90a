// Mailfail reads the logs of Postfix, Exim and Microsoft Exchange and says what
// failed, why, and what changed.
//
// Exit codes: 0 done; 1 something could not be read or written (said on
// standard error, the rest was done); 2 wrong usage; 3 nothing was understood
// in a given file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mailfail/registry"
	"mailfail/report/check"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the program: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills

	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		started = true
		return configure(cmd)
	}
	cmd, err := root.ExecuteContextC(ctx)
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case topCommand(cmd).Name() == "check" && (!errors.As(err, &exit) || exit.error != nil):
		check.WriteUnknown(stdout, err)
		return int(check.Unknown)
	case errors.As(err, &exit):
		if exit.error != nil {
			complain(stderr, exit.error)
		}
		return exit.code
	case !started: // flags or arguments were not understood
		complain(stderr, fmt.Errorf("%w (see mailfail --help)", err))
		return 2
	}
	complain(stderr, err)
	return 1
}

// exitError ends the program with a code. Without an error nothing is printed:
// all was said.
type exitError struct {
	code int
	error
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "mailfail",
		Short:         "What failed in your mail, why, and what changed",
		Long:          "Mailfail reads the logs of Postfix, Exim and Microsoft Exchange and says what failed,\nwhy, and what changed: by domain, by code, by provider.",
		Version:       versionText(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}")
	root.PersistentFlags().String("config", "", "read settings from this file (else $MAILFAIL_CONFIG, else "+systemConfig+")")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(commands()...)
	return root
}

// usageError is an error about flags or arguments that only the command itself
// could find.
func usageError(format string, args ...any) error {
	return &exitError{2, fmt.Errorf(format, args...)}
}

// warn says what could not be done; the rest goes on.
func warn(cmd *cobra.Command, err error) {
	complain(cmd.ErrOrStderr(), err)
}

// complain prints an error. It may quote strangers: the name of a file, the
// bytes of a damaged database.
func complain(w io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(w, "mailfail:", registry.Foreign(line))
	}
}
