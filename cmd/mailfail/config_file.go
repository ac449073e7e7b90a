package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mailfail/templates"
)

// loadConfig reads the configuration at path or, when path is "", the one of
// the system, which need not exist. A key or a section that no command knows is
// an error.
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

// keysOf returns the flags that each command's section may contain, and under "" those
// of all commands.
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
				return nil, fmt.Errorf(
					"%d: unknown section %q; want the name of a command in brackets, such as [report]", n,
					line)
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok {
			return nil, fmt.Errorf("%d: cannot read %q; want key = value", n, line)
		}
		if !keys[section][key] {
			return nil, fmt.Errorf("%d: unknown key %q; the keys are the flags of the commands, without --",
				n, key)
		}
		settings = append(settings, setting{command: section, key: key, value: value, line: n})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf(" cannot read it as a configuration: %w", err)
	}
	return settings, nil
}
