package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// systemConfig is the configuration that is read when --config is not given.
const systemConfig = "/etc/mailfail/mailfail.conf"

// setting is one line "key = value" of a configuration.
type setting struct {
	command string // the command of its section, "" before the first one
	key     string
	value   string
	line    int
}

// exclusive lists the flags that cannot be combined. One of them on the command
// line replaces all of its group in the environment and the configuration.
var exclusive = [][]string{
	{"day", "since", "until", "week"},
	{"from-start", "from-end"},
}

// configure gives every flag that is not on the command line its value from the
// environment (--log-tz is $MAILFAIL_LOG_TZ) or else from the configuration
// file. A setting in the section of the command replaces one before the first
// section; a key that stands several times has several values.
func configure(cmd *cobra.Command) error {
	given := map[string]bool{}
	cmd.Flags().Visit(func(f *pflag.Flag) { given[f.Name] = true })
	for _, group := range exclusive {
		if slices.ContainsFunc(group, func(name string) bool { return given[name] }) {
			for _, name := range group {
				given[name] = true
			}
		}
	}
	if err := configureFromEnvironment(cmd.Flags(), given); err != nil {
		return err
	}
	path, settings, err := loadConfig(cmd.Root(), cmd.Flags().Lookup("config").Value.String())
	if err != nil {
		return usageError("%w", err)
	}
	for _, s := range ownSettings(settings, topCommand(cmd).Name()) {
		if given[s.key] || cmd.Flags().Lookup(s.key) == nil {
			continue
		}
		if err := set(cmd.Flags(), s.key, s.value); err != nil {
			return usageError("%s:%d: %s: %w", path, s.line, s.key, err)
		}
	}
	return nil
}

// configureFromEnvironment sets the flags that have a variable and notes them
// in given.
func configureFromEnvironment(flags *pflag.FlagSet, given map[string]bool) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := "MAILFAIL_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := os.Getenv(name)
		if value == "" || given[f.Name] || !configurable(f) && f.Name != "config" || err != nil {
			return
		}
		given[f.Name] = true
		if e := set(flags, f.Name, value); e != nil {
			err = usageError("$%s: %w", name, e)
		}
	})
	return err
}

// set gives a flag a value as the command line would, with one exception: a
// database that is configured is the default place, and does not exclude FILEs.
func set(flags *pflag.FlagSet, name, value string) error {
	f := flags.Lookup(name)
	if f.Value.Type() == "bool" {
		switch strings.ToLower(value) {
		case "yes", "on":
			value = "true"
		case "no", "off":
			value = "false"
		}
	}
	if name == "db" {
		return f.Value.Set(value)
	}
	if err := f.Value.Set(value); err != nil {
		return fmt.Errorf("cannot use %q: %w", value, err)
	}
	f.Changed = true
	return nil
}

// ownSettings returns the settings that hold for a command.
func ownSettings(all []setting, command string) (own []setting) {
	section := map[string]bool{}
	for _, s := range all {
		if s.command == command {
			section[s.key] = true
		}
	}
	for _, s := range all {
		if s.command == command || s.command == "" && !section[s.key] {
			own = append(own, s)
		}
	}
	return own
}

// topCommand returns the command below the root that cmd belongs to: "db" for "mailfail
// db check". The configuration has a section for it.
func topCommand(cmd *cobra.Command) *cobra.Command {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	return cmd
}
