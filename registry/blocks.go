package registry

import (
	"fmt"
	"strings"
)

// The data files are made of blocks:
//
//	# a comment
//	rule blocklist-generic
//	  reason blocklist
//	  text   listed at | blocked using
//	    | blacklisted by
//
// A line without indentation begins a block with its kind and name; below it are fields,
// a key and a value each, indented by two blanks. A line that is indented further
// continues the value above it.

// block is one block of a data file.
type block struct {
	kind, name string
	line       int
	fields     []field
}

// field is one field of a block.
type field struct {
	key, value string
	line       int
}

// get returns the value of the first field with the key, "" when there is none.
func (b *block) get(key string) string {
	for _, f := range b.fields {
		if f.key == key {
			return f.value
		}
	}
	return ""
}

// parseBlocks reads a data file.
func parseBlocks(text string) ([]block, error) {
	var blocks []block
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " \t\r")
		content := strings.TrimLeft(line, " \t")
		indent := len(line) - len(content)
		switch {
		case content == "" || content[0] == '#':
		case indent == 0:
			kind, name, _ := strings.Cut(content, " ")
			blocks = append(blocks, block{kind: kind, name: strings.TrimSpace(name), line: n + 1})
		case len(blocks) == 0:
			return nil, fmt.Errorf("line %d: a field before the first block", n+1)
		default:
			b := &blocks[len(blocks)-1]
			if indent > 2 && len(b.fields) > 0 {
				b.fields[len(b.fields)-1].value += " " + content
				continue
			}
			key, value, _ := strings.Cut(content, " ")
			b.fields = append(b.fields, field{key, strings.TrimSpace(value), n + 1})
		}
	}
	return blocks, nil
}
