package main

import (
	"io"
	"slices"
	"strings"

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
"mailfail explain CODE" explains one code in full.`,
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
			return output.write(cmd, func(w io.Writer) error {
				return explain.WriteList(w, rows, output.format, width)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&filter.Class, "class", "", "only codes of this class: 2, 3, 4 or 5")
	flags.StringVar(&filter.Subject, "subject", "", "only status codes of this subject: 0 to 7")
	flags.StringVar(&filter.Vendor, "vendor", "", "only this vendor's meanings; part of the name is enough")
	flags.StringVar(&filter.Reason, "reason", "", "only codes that stand for this reason")
	flags.StringVar(&filter.Kind, "kind", "", "only this kind: enhanced, reply, pseudo, vendor or reason")
	output.add(flags, "text", "json", "csv", "markdown")
	return cmd
}

// The values that the flags of codes may have.
var (
	codeClasses  = []string{"2", "3", "4", "5"}
	codeSubjects = []string{"0", "1", "2", "3", "4", "5", "6", "7"}
	codeKinds    = []string{"enhanced", "reply", "pseudo", "vendor", "reason"}
)

func checkFilter(f explain.Filter) error {
	for _, given := range []struct {
		flag, value string
		known       []string
	}{
		{"--class", f.Class, codeClasses},
		{"--subject", f.Subject, codeSubjects},
		{"--kind", f.Kind, codeKinds},
		{"--reason", f.Reason, registry.ReasonNames()},
	} {
		if given.value != "" && !slices.Contains(given.known, given.value) {
			return unknownValue(given.flag, given.value, given.known)
		}
	}
	part := strings.ToLower(f.Vendor)
	if !slices.ContainsFunc(vendorNames(), func(name string) bool {
		return strings.Contains(strings.ToLower(name), part)
	}) {
		return unknownValue("--vendor", f.Vendor, vendorNames())
	}
	return nil
}

// vendorNames lists the vendors whose own codes the registry contains.
func vendorNames() (names []string) {
	for _, v := range registry.AllVendors() {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
