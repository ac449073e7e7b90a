package main

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/sqlite"
)

// completion returns the possible values of a flag. typed is the beginning that the
// user typed.
type completion func(cmd *cobra.Command, typed string) []string

// completions maps the names of flags to their known values.
func completions() map[string]completion {
	fixed := func(values ...string) completion {
		return func(*cobra.Command, string) []string { return values }
	}
	listed := func(list func() []string) completion { // only when it is needed
		return func(*cobra.Command, string) []string { return list() }
	}
	return map[string]completion{
		"by":         listed(func() []string { return append(dimensionNames(), aloneNames()...) }),
		"reason":     listed(registry.ReasonNames),
		"mta":        listed(mtaNames),
		"direction":  fixed(store.DirectionNames...),
		"outcome":    fixed(store.OutcomeNames...),
		"log-format": listed(func() []string { return append([]string{"auto"}, formatNames()...) }),
		"day":        fixed("yesterday", "today"),
		"since":      fixed("1h", "2h", "24h", "7d", "today", "yesterday"),
		"until":      fixed("now", "today", "yesterday"),
		"only-if":    fixed("problems"),
		"anonymize":  fixed("persons", "all"),
		"baseline":   fixed("7d", "14d", "28d", "previous"),
		"class":      fixed(codeClasses...),
		"subject":    fixed(codeSubjects...),
		"kind":       fixed(codeKinds...),
		"vendor":     listed(vendorNames),
		"format":     completeFormats,
		"domain":     completeNames(func(n *store.Numbers) []store.Group { return n.Domains }),
		"provider":   completeProviders,
		"sender":     completeNames(func(n *store.Numbers) []store.Group { return n.Senders }),
		"host":       completeNames(func(n *store.Numbers) []store.Group { return n.Hosts }),
	}
}

func formatNames() (names []string) {
	for _, f := range parsers.Formats() {
		names = append(names, f.Name)
	}
	return names
}

// completeFormats reads the forms of output from the flag's own usage, where
// each command lists its own.
func completeFormats(cmd *cobra.Command, _ string) []string {
	_, list, _ := strings.Cut(cmd.Flags().Lookup("format").Usage, ": ")
	return strings.Split(list, ", ")
}

// completed is how many days of the database are searched for names.
const completed = 7

// completeNames returns the names of the last days in the database, those with
// most trouble first.
func completeNames(of func(*store.Numbers) []store.Group) completion {
	return func(cmd *cobra.Command, _ string) (names []string) {
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		given := ""
		if f := cmd.Flags().Lookup("db"); f != nil {
			given = f.Value.String()
		}
		path, err := databasePath(given)
		if err != nil {
			return nil
		}
		db, err := sqlite.OpenReadOnly(path)
		if err != nil {
			return nil
		}
		defer db.Close()
		_, last, err := db.Covered(ctx)
		if err != nil {
			return nil
		}
		n, err := db.Numbers(ctx, store.Window{Since: last.AddDate(0, 0, -completed)}, store.Filter{}, nil)
		if err != nil {
			return nil
		}
		for _, g := range of(n) {
			if isPlain(g.Values[0].Raw()) {
				names = append(names, g.Values[0].Raw())
			}
		}
		return names
	}
}

// completeProviders returns the providers in the database, then those in the registry,
// which need no database.
func completeProviders(cmd *cobra.Command, typed string) []string {
	seen := completeNames(func(n *store.Numbers) []store.Group { return n.Providers })(cmd, typed)
	known := slices.DeleteFunc(registry.Providers(), func(name string) bool {
		return slices.Contains(seen, name)
	})
	return append(seen, known...)
}

// isPlain reports whether a name has only characters that a shell, and the completion
// script, treat as plain text.
func isPlain(name string) bool {
	return name != "" && name[0] != '-' && !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" .-_@", r)
	})
}

// completeFlags registers completion for the flags of a command and of the commands
// below it.
func completeFlags(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		completeFlags(below)
	}
	known := completions()
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		values, ok := known[f.Name]
		if !ok {
			return
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name,
			func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
				list := slices.DeleteFunc(slices.Clone(values(cmd, typed)), func(v string) bool {
					return !strings.HasPrefix(strings.ToLower(v), strings.ToLower(typed))
				})
				return list, cobra.ShellCompDirectiveNoFileComp
			})
	})
}
