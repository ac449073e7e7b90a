// Mailfail reads the logs of mail servers (Postfix, Exim, Exchange …) and reports what
// failed, why, and what changed.
//
// Exit codes: 0 done; 1 something could not be read or written (standard error names
// it, the rest was done); 2 wrong usage; 3 nothing was understood in a given file; 130
// interrupted by SIGINT.
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
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer signal.Stop(interrupts)
	context.AfterFunc(ctx, func() { // a second signal kills
		stop()
		signal.Stop(interrupts)
	})
	code := execute(ctx, args, stdin, stdout, stderr)
	if len(interrupts) > 0 && code == 1 {
		return interruptedCode
	}
	return code
}

// unknown writes the error of a check that could not be made, in the format of the
// check.
func unknown(stdout io.Writer, cmd *cobra.Command, err error) int {
	if f := cmd.Flags().Lookup("format"); f != nil && f.Value.String() == "json" {
		_ = check.WriteUnknownJSON(stdout, err) // the exit code reports it too
	} else {
		check.WriteUnknown(stdout, err)
	}
	return int(check.Unknown)
}

// interruptedCode is the exit code that shells expect when SIGINT ended a program.
const interruptedCode = 128 + int(syscall.SIGINT)

// execute runs a command and returns its exit code.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
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
		return unknown(stdout, cmd, err)
	case errors.As(err, &exit):
		if exit.error != nil && exit.code == usageCode {
			complain(stderr, withHelp(cmd, exit.error))
		} else if exit.error != nil {
			complain(stderr, exit.error)
		}
		return exit.code
	case !started: // flags or arguments were not understood
		complain(stderr, withHelp(cmd, err))
		return usageCode
	}
	complain(stderr, err)
	return 1
}

// withHelp adds the command that explains the usage to an error about it.
func withHelp(cmd *cobra.Command, err error) error {
	return fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())
}

// exitError ends the program with a code. Without an error nothing is printed: all
// errors have been printed before.
type exitError struct {
	code int
	error
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "mailfail",
		Short: "What failed in your mail, why, and what changed",
		Long: "Mailfail reads the logs of mail servers (Postfix, Exim, Exchange, sendmail and " +
			"others)\nand says what failed, why, and what changed: by domain, by code, by provider.",
		Version:       versionText(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          onlyCommands,
		RunE:          func(cmd *cobra.Command, _ []string) error { return welcome(cmd) },
	}
	root.SetVersionTemplate("{{.Version}}")
	root.PersistentFlags().String("config", "",
		"read settings from this file (else $MAILFAIL_CONFIG, else "+systemConfig+")")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(unknownFlag)
	root.AddCommand(commands()...)
	completeFlags(root)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help": // its arguments are commands
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				return onlyCommands(cmd.Root(), args)
			}
		case "completion": // its arguments are shells
			cmd.Args, cmd.RunE = onlyCommands, func(cmd *cobra.Command, _ []string) error {
				return cmd.Help()
			}
		}
	}
	return root
}

// usageCode is the exit code of wrong usage.
const usageCode = 2

// usageError is an error about flags or arguments that only the command itself
// could find.
func usageError(format string, args ...any) error {
	return &exitError{usageCode, fmt.Errorf(format, args...)}
}

// warn prints an error about a part that could not be done; the command goes on.
func warn(cmd *cobra.Command, err error) {
	complain(cmd.ErrOrStderr(), err)
}

// warner returns a function that prints errors as they come.
func warner(cmd *cobra.Command) func(error) { return func(err error) { warn(cmd, err) } }

// onceOfFiles returns warn, which does not repeat for each log that no more files can be
// opened: that is one fault.
func onceOfFiles(warn func(error)) func(error) {
	said := false
	return func(err error) {
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			if said {
				return
			}
			said = true
			err = fmt.Errorf("%w, and so perhaps others: raise the limit (ulimit -n, LimitNOFILE)", err)
		}
		warn(err)
	}
}

// complain prints an error. It may quote strangers: the name of a file, the
// bytes of a damaged database.
func complain(w io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(w, "mailfail:", registry.Foreign(line))
	}
}
