// SPDX-License-Identifier: Apache-2.0

package quorum

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// TextMax bounds the text of a membership, in bytes: a whole election message.
const TextMax = 512 << 10

// String is the text of the membership, as notifications, NEWLEADER packets and
// the znode /zookeeper/config carry it (section 13.2): no newline at the end.
func (c *Config) String() string {
	var b strings.Builder
	for _, line := range c.Lines() {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	b.WriteString("version=" + strconv.FormatUint(uint64(c.Version), 16))
	return b.String()
}

// Lines are the lines of the text but for the version: servers, groups, weights,
// each by rising id. With groups the weight of every voter is written.
func (c *Config) Lines() []string {
	out := make([]string, 0, len(c.Members))
	for _, m := range c.Members {
		out = append(out, fmt.Sprintf("server.%d=%s", m.ID, m))
	}
	if c.Groups == nil {
		return out
	}
	for _, g := range slices.Sorted(maps.Keys(c.Groups)) {
		ids := slices.Sorted(slices.Values(c.Groups[g]))
		text := make([]string, len(ids))
		for i, id := range ids {
			text[i] = strconv.FormatInt(id, 10)
		}
		out = append(out, fmt.Sprintf("group.%d=%s", g, strings.Join(text, ":")))
	}
	weights := maps.Clone(c.Weights)
	if weights == nil {
		weights = map[int64]int64{}
	}
	for _, id := range c.Voters() {
		weights[id] = c.Weight(id)
	}
	for _, id := range slices.Sorted(maps.Keys(weights)) {
		out = append(out, fmt.Sprintf("weight.%d=%d", id, weights[id]))
	}
	return out
}

// Parse reads the text of a membership, in the form of Java properties but
// without escapes, which no host name needs. Of a key given twice the last
// counts. An empty text is a membership without members.
func Parse(text string) (*Config, error) {
	if len(text) > TextMax {
		return nil, fmt.Errorf("membership of %d bytes, at most %d", len(text), TextMax)
	}
	var p parser
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimLeft(line, " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		if strings.Contains(line, `\`) {
			return nil, fmt.Errorf("membership: backslash in %q", brief(line))
		}
		key, value := splitLine(line)
		if err := p.add(key, value); err != nil {
			return nil, fmt.Errorf("membership: %s: %w", brief(key), err)
		}
	}
	return p.config()
}

// splitLine cuts at the first '=', ':' or blank.
func splitLine(line string) (key, value string) {
	i := strings.IndexAny(line, "=: \t\f")
	if i < 0 {
		return line, ""
	}
	value = strings.TrimLeft(line[i:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = value[1:]
	}
	return line[:i], strings.TrimSpace(value)
}

// parser gathers the lines of a membership.
type parser struct {
	version int64
	members map[int64]Member
	groups  map[int64][]int64
	weights map[int64]int64
}

func (p *parser) add(key, value string) error {
	if key == "version" {
		v, err := strconv.ParseInt(value, 16, 64)
		if err != nil || v < 0 {
			return fmt.Errorf("%q is not a version, a hexadecimal number", brief(value))
		}
		p.version = v
		return nil
	}
	family, idText, _ := strings.Cut(key, ".")
	if family != "server" && family != "group" && family != "weight" {
		return errors.New("unknown key")
	}
	id, err := strconv.ParseInt(idText, 10, 64)
	if err != nil || id < 0 {
		return errors.New("the id after the dot is not a number")
	}
	switch family {
	case "server":
		m, err := ParseServer(id, value, true)
		if err != nil {
			return err
		}
		put(&p.members, id, m)
	case "group":
		ids, err := ParseGroup(value)
		if err != nil {
			return err
		}
		put(&p.groups, id, ids)
	case "weight":
		w, err := ParseWeight(value)
		if err != nil {
			return err
		}
		put(&p.weights, id, w)
	}
	return nil
}

func put[V any](m *map[int64]V, id int64, v V) {
	if *m == nil {
		*m = map[int64]V{}
	}
	(*m)[id] = v
}

func (p *parser) config() (*Config, error) {
	c := &Config{Version: p.version, Groups: p.groups, Weights: p.weights,
		Members: slices.Collect(maps.Values(p.members))}
	slices.SortFunc(c.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	if faults := c.CheckGroups(); len(faults) > 0 {
		return nil, fmt.Errorf("membership: %w", faults[0])
	}
	return c, nil
}

// ParseGroup reads the value of a group line, ids parted by colons.
func ParseGroup(text string) ([]int64, error) {
	var ids []int64
	for part := range strings.SplitSeq(text, ":") {
		id, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not the id of a server; want ids parted by colons", brief(part))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// weightMax keeps sums of weights within an int64.
const weightMax = 1 << 40

// ParseWeight reads the value of a weight line.
func ParseWeight(text string) (int64, error) {
	w, err := strconv.ParseInt(text, 10, 64)
	if err != nil || w < 0 || w > weightMax {
		return 0, fmt.Errorf("is not a weight, a whole number from 0 to %d", int64(weightMax))
	}
	return w, nil
}

// GroupError is a server whose group is not clear.
type GroupError struct {
	Server int64
	Group  int64 // the second group that names it; -1 where none does
	Reason string
}

func (e *GroupError) Error() string { return fmt.Sprintf("server %d %s", e.Server, e.Reason) }

// CheckGroups wants each voter in one group once there are groups or weights,
// and a weight for whoever else is in a group. It returns all faults; without
// members nothing is at fault.
func (c *Config) CheckGroups() []*GroupError {
	if c.Groups == nil && c.Weights == nil || len(c.Members) == 0 {
		return nil
	}
	var faults []*GroupError
	groupOf := map[int64]int64{}
	for _, g := range slices.Sorted(maps.Keys(c.Groups)) {
		for _, id := range c.Groups[g] {
			if other, twice := groupOf[id]; twice {
				faults = append(faults, &GroupError{id, g, fmt.Sprintf("is in group %d already", other)})
				continue
			}
			groupOf[id] = g
			if _, weighs := c.Weights[id]; !weighs && !c.IsVoter(id) {
				faults = append(faults, &GroupError{id, g, "is no participant and has no weight line"})
			}
		}
	}
	for _, id := range c.Voters() {
		if _, ok := groupOf[id]; !ok {
			faults = append(faults, &GroupError{id, -1, "is in no group; once there is a group or weight line, each voter needs one"})
		}
	}
	return faults
}
