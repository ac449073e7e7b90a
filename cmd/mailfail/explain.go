package main

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"mailfail/registry"
	"mailfail/report/explain"
)

func explainCommand() *cobra.Command {
	var output outputFlags
	var rulesPath string
	cmd := &cobra.Command{
		Use:   "explain CODE|TEXT|FILE|-",
		Short: "What a code, a reply or a whole bounce message means, and what to do",
		Long: `Explain says what a reply code or status code means, what usually causes it and
what to do. It takes a code however it is spelled (5.7.26, 550, 571, x.1.1,
550-5.1.1), the reply of a server, a line of a log, or a bounce message as a
mail program saves it: as a file, or on standard input with "-".`,
		Example: `  mailfail explain 5.7.26
  mailfail explain "550-5.7.26 This mail has been blocked because the sender is unauthenticated"
  mailfail explain bounce.eml
  mailfail explain - < bounce.eml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := output.check(); err != nil {
				return err
			}
			collectLate()
			answer, err := answerOf(cmd, args, rulesPath)
			if err != nil {
				return err
			}
			width, _ := output.screen(cmd)
			if width == 0 || width > 100 {
				width = 80
			}
			return output.write(cmd, func(w io.Writer) error {
				if output.format == "json" {
					return answer.WriteJSON(w)
				}
				return answer.WriteText(w, width)
			})
		},
	}
	cmd.Flags().StringVar(&rulesPath, "rules", "", "file of rules to ask before the built-in ones")
	output.add(cmd.Flags(), "text", "json")
	return cmd
}

// answerOf explains the arguments: standard input, a file, or the words. A word that
// reads as a code is a code, even when a file has that name; ./550 is the file.
func answerOf(cmd *cobra.Command, args []string, rulesPath string) (*explain.Answer, error) {
	x := explain.Explainer{Rules: registry.DefaultRules()}
	if rulesPath != "" {
		var err error
		if x.Rules, err = registry.LoadRules(rulesPath); err != nil {
			return nil, err
		}
	}
	if len(args) == 1 && args[0] == "-" {
		return x.Message("standard input", cmd.InOrStdin())
	}
	if len(args) == 1 && !explain.IsCode(args[0]) && isFile(args[0]) {
		file, err := os.Open(args[0])
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return x.Message(args[0], file)
	}
	return x.Text(strings.Join(args, " ")), nil
}

// isFile reports whether a word names a file, or looks like the name of one: then
// opening it gives the error.
func isFile(word string) bool {
	if info, err := os.Stat(word); err == nil {
		return !info.IsDir()
	}
	switch filepath.Ext(word) {
	case ".eml", ".msg", ".mbox", ".txt":
		return !strings.ContainsAny(word, " @")
	}
	return false
}

// collectLate delays the first garbage collection until the heap has some 24 MB. A
// question about a code is answered before that, which makes it a quarter faster. From
// then on Go collects as usual, or as GOGC sets it.
func collectLate() {
	if os.Getenv("GOGC") != "" {
		return
	}
	always := debug.SetGCPercent(600) // of the 4 MB of the smallest heap
	first := new(*int)                // with a pointer: one without may live as long as its neighbours
	runtime.AddCleanup(first, func(percent int) { debug.SetGCPercent(percent) }, always)
}
