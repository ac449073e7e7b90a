package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mailfail/templates"
)

// systemConfig is the configuration that is read when no other is named.
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

// topCommand returns the command below the root that cmd belongs to: "db" for
// "mailfail db check". It has the section of the configuration.
func topCommand(cmd *cobra.Command) *cobra.Command {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	return cmd
}

// loadConfig reads the configuration at path or, when path is "", the one of
// the system, which need not exist. Keys and sections that no command knows are
// errors.
func loadConfig(root *cobra.Command, path string) (shown string, settings []setting, err error) {
	named := path != ""
	if !named {
		path = systemConfig
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("cannot read the configuration (--config /dev/null does without): %s",
			templates.Printable(err.Error()))
	}
	defer file.Close()
	shown = templates.Printable(path)
	if settings, err = parseConfig(file, keysOf(root)); err != nil {
		return "", nil, fmt.Errorf("%s:%w", shown, err)
	}
	return shown, settings, nil
}

// keysOf returns the flags that may stand in the section of each command, and
// under "" those of all commands.
func keysOf(root *cobra.Command) map[string]map[string]bool {
	keys := map[string]map[string]bool{"": {}}
	var add func(cmd *cobra.Command, own map[string]bool)
	add = func(cmd *cobra.Command, own map[string]bool) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if configurable(f) {
				own[f.Name], keys[""][f.Name] = true, true
			}
		})
		for _, sub := range cmd.Commands() {
			add(sub, own)
		}
	}
	for _, cmd := range root.Commands() {
		if name := cmd.Name(); name != "help" && name != "completion" {
			keys[name] = map[string]bool{}
			add(cmd, keys[name])
		}
	}
	return keys
}

// configurable reports whether a flag may be set elsewhere than on the command
// line.
func configurable(f *pflag.Flag) bool {
	return f.Name != "help" && f.Name != "version" && f.Name != "config"
}

// parseConfig reads lines "key = value", "[command]" and "# comment". Errors
// begin with the number of the line.
func parseConfig(r io.Reader, keys map[string]map[string]bool) (settings []setting, err error) {
	section := ""
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, ok = strings.CutSuffix(name, "]")
			if section = strings.TrimSpace(name); !ok || section == "" || keys[section] == nil {
				return nil, fmt.Errorf("%d: no command %q; want a section such as [report]", n, line)
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok {
			return nil, fmt.Errorf("%d: cannot read %q; want key = value", n, line)
		}
		if !keys[section][key] {
			return nil, fmt.Errorf("%d: unknown key %q; the keys are the flags of the commands, without --", n, key)
		}
		settings = append(settings, setting{command: section, key: key, value: value, line: n})
	}
	return settings, lines.Err()
}
