package main

import (
	"io"
	"slices"

	"github.com/spf13/cobra"

	"mailfail/registry"
	"mailfail/report/explain"
)

func codesCommand() *cobra.Command {
	var output outputFlags
	var filter explain.Filter
	cmd := &cobra.Command{
		Use:   "codes",
		Short: "The registry of codes as a table",
		Long: `Codes lists everything mailfail knows of codes: the status codes and reply codes
of the standards, what operators and mail programs mean by them, the phrases of
logs, and with --kind reason the reasons that failures are filed under.
"mailfail explain CODE" tells all about one.`,
		Example: `  mailfail codes --subject 7
  mailfail codes --vendor gmail --class 4
  mailfail codes --reason rate-limited --format csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			if err := checkFilter(filter); err != nil {
				return err
			}
			rows := explain.List(filter)
			width, _ := output.screen(cmd)
			if width == 0 {
				width = 120
			}
			return output.write(cmd, func(w io.Writer) error { return explain.WriteList(w, rows, output.format, width) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&filter.Class, "class", "", "only codes of this class: 2, 3, 4 or 5")
	flags.StringVar(&filter.Subject, "subject", "", "only status codes of this subject: 0 to 7")
	flags.StringVar(&filter.Vendor, "vendor", "", "only what this vendor means, a part of the name will do")
	flags.StringVar(&filter.Reason, "reason", "", "only codes that stand for this reason")
	flags.StringVar(&filter.Kind, "kind", "", "only this kind: enhanced, reply, pseudo, vendor or reason")
	output.add(flags, "text", "json", "csv", "markdown")
	return cmd
}

func checkFilter(f explain.Filter) error {
	if f.Class != "" && !slices.Contains([]string{"2", "3", "4", "5"}, f.Class) {
		return usageError("--class %s: want 2, 3, 4 or 5", f.Class)
	}
	if f.Subject != "" && (len(f.Subject) != 1 || f.Subject > "7" || f.Subject < "0") {
		return usageError("--subject %s: want 0 to 7", f.Subject)
	}
	if f.Kind != "" && !slices.Contains([]string{"enhanced", "reply", "pseudo", "vendor", "reason"}, f.Kind) {
		return usageError("--kind %s: want enhanced, reply, pseudo, vendor or reason", f.Kind)
	}
	if f.Reason != "" && !slices.ContainsFunc(registry.Reasons(), func(r registry.ReasonInfo) bool { return string(r.Reason) == f.Reason }) {
		return usageError("--reason %s: no such reason; mailfail codes --kind reason lists them", f.Reason)
	}
	return nil
}
