// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// isMember says whether a key belongs into a dynamic file.
func isMember(key string) bool {
	return strings.HasPrefix(key, "server.") || strings.HasPrefix(key, "group.") || strings.HasPrefix(key, "weight.")
}

// membership reads the server lines, of the main file or the dynamic one, and this server's id, and checks that
// they make an ensemble, or a standalone server.
func (l *loader) membership() {
	e := &l.cfg.Ensemble
	lines := slices.DeleteFunc(l.inOrder(), func(s setting) bool { return !isMember(s.key) })
	if e.DynamicConfigFile != "" {
		for _, s := range lines {
			l.refuse(s.origin, s.key, s.value, "belongs into the dynamic file, because dynamicConfigFile is set")
		}
		var problems Problems
		lines, problems = readDynamic(e.DynamicConfigFile)
		l.problems = append(l.problems, problems...)
		if len(problems) > 0 {
			return
		}
		e.Version = dynamicVersion(e.DynamicConfigFile)
	}
	before := len(l.problems)
	l.memberLines(lines)
	l.readMyID()
	if len(l.problems) > before {
		return // what follows would only repeat it
	}
	l.checkGroups()
	l.checkRoles()
	l.checkSelf()
	l.checkQuorumAuth()
	if l.cfg.Distributed() {
		l.checkDistributed()
	}
	if l.cfg.ClientAddr == "" && !l.failed("clientPort") && !l.unreadable() {
		l.warn("%s: clientPort is not set: the server listens for no client", cmpName(l.src))
	}
}

// readDynamic reads a dynamic file: server, group and weight lines, nothing else.
func readDynamic(file string) ([]setting, Problems) {
	props, _, problems := readProperties(file)
	var lines []setting
	for _, p := range props {
		origin := Origin{file, p.line}
		switch {
		case p.key == "version":
			problems = append(problems, &Problem{origin, p.key, p.value,
				"does not belong into a dynamic file: the version is the end of the file's name"})
		case !isMember(p.key):
			problems = append(problems, &Problem{origin, printable(p.key), p.value,
				"does not belong into a dynamic file, which holds server, group and weight lines only"})
		default:
			lines = append(lines, setting{key: p.key, value: p.value, origin: origin})
		}
	}
	return lines, problems
}

// dynamicVersion is the hexadecimal end of a dynamic file's name, 0 when it has none.
func dynamicVersion(file string) int64 {
	v, err := strconv.ParseInt(file[strings.LastIndexByte(file, '.')+1:], 16, 64)
	if err != nil {
		return 0
	}
	return v
}

func (l *loader) memberLines(lines []setting) {
	e := &l.cfg.Ensemble
	seen := map[string]bool{}
	for _, s := range lines {
		family, idText, _ := strings.Cut(s.key, ".")
		id, err := strconv.ParseInt(strings.TrimSpace(idText), 10, 64)
		if err != nil || id < 0 {
			l.refuse(s.origin, s.key, s.value, "the id after the dot is not a number")
			continue
		}
		if name := family + strconv.FormatInt(id, 10); seen[name] {
			l.refuse(s.origin, s.key, s.value, "this id is given twice")
			continue
		} else {
			seen[name] = true
		}
		switch family {
		case "server":
			l.serverLine(s, id)
		case "group":
			members, err := parseIDs(s.value)
			if err != nil {
				l.refuse(s.origin, s.key, s.value, err.Error())
				continue
			}
			if e.Groups == nil {
				e.Groups = map[int64][]int64{}
			}
			e.Groups[id] = members
		case "weight":
			w, err := strconv.ParseInt(s.value, 10, 64)
			if err != nil || w < 0 {
				l.refuse(s.origin, s.key, s.value, "is not a weight, a whole number of at least 0"+hintInline(s.value))
				continue
			}
			if e.Weights == nil {
				e.Weights = map[int64]int64{}
			}
			e.Weights[id] = w
		}
	}
	slices.SortFunc(e.Servers, func(a, b Server) int { return cmp.Compare(a.ID, b.ID) })
}

func (l *loader) serverLine(s setting, id int64) {
	server, err := ParseServer(id, s.value, l.cfg.Ensemble.MultiAddress)
	switch {
	case err != nil:
		l.refuse(s.origin, s.key, s.value, err.Error())
	case l.cfg.ExtendedTypes && id > 254:
		// The id is a byte of each session id, and TTL znodes need its values above.
		l.refuse(s.origin, s.key, s.value, "with extendedTypesEnabled a server's id is at most 254")
	default:
		l.cfg.Ensemble.Servers = append(l.cfg.Ensemble.Servers, server)
	}
}

func parseIDs(text string) ([]int64, error) {
	var ids []int64
	for part := range strings.SplitSeq(text, ":") {
		id, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not the id of a server; want ids parted by colons", printable(part))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// checkGroups wants each server in one group, once there are groups or weights.
func (l *loader) checkGroups() {
	e := &l.cfg.Ensemble
	if e.Groups == nil && e.Weights == nil {
		return
	}
	groupOf := map[int64]int64{}
	for _, g := range slices.Sorted(maps.Keys(e.Groups)) {
		for _, id := range e.Groups[g] {
			if other, twice := groupOf[id]; twice {
				l.refuse(l.memberOrigin(), fmt.Sprintf("group.%d", g), "",
					fmt.Sprintf("server %d is in group %d already", id, other))
			}
			groupOf[id] = g
		}
	}
	for _, s := range e.Servers {
		if _, ok := groupOf[s.ID]; !ok && !s.Observer {
			l.refuse(l.memberOrigin(), fmt.Sprintf("server.%d", s.ID), "",
				"is in no group; once there is a group or weight line, each voter needs one")
		}
	}
}

// memberOrigin is the file the server lines stand in.
func (l *loader) memberOrigin() Origin {
	if f := l.cfg.Ensemble.DynamicConfigFile; f != "" {
		return Origin{File: f}
	}
	return Origin{File: cmpName(l.src)}
}

func (l *loader) checkRoles() {
	e := &l.cfg.Ensemble
	voters, observers := l.cfg.Voters(), len(e.Servers)-l.cfg.Voters()
	switch {
	case voters == 0 && !e.StandaloneEnabled:
		l.refuseGiven("standaloneEnabled", "needs at least one server line of a participant")
	case voters == 0 && observers > 0:
		l.refuse(l.memberOrigin(), "", "", "there are observers but no participant")
	case voters == 1 && observers > 0 && e.StandaloneEnabled:
		l.refuse(l.memberOrigin(), "", "", "one participant with observers needs standaloneEnabled=false")
	case voters == 2:
		l.warn("%s: two servers are no safer than one: either failing stops both", l.memberOrigin())
	}
}

// readMyID reads the first line of the myid file, if there is one.
func (l *loader) readMyID() {
	if l.cfg.DataDir == "" {
		return
	}
	file := filepath.Join(l.cfg.DataDir, "myid")
	if !isFile(file) {
		return
	}
	id, err := ReadMyID(file)
	if err != nil {
		l.refuse(Origin{file, 1}, "", "", err.Error())
		return
	}
	l.cfg.Ensemble.ServerID = id
}

// ReadMyID reads a server's id: the first line of the file, a decimal number without blanks around it.
func ReadMyID(file string) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	data, err := readBounded(f, fileMax)
	if err != nil {
		return 0, errors.New(plainOS(err))
	}
	line := string(data)
	if i := strings.IndexAny(line, "\r\n"); i >= 0 {
		line = line[:i]
	}
	id, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a server id, a decimal number without blanks", printable(line))
	}
	return id, nil
}

// checkSelf compares this server's own line with peerType and the client port, and takes the client address
// from it.
func (l *loader) checkSelf() {
	c := l.cfg
	i := slices.IndexFunc(c.Ensemble.Servers, func(s Server) bool { return s.ID == c.Ensemble.ServerID })
	peerType, typed := l.given("peerType")
	c.Ensemble.Observer = strings.EqualFold(peerType, "observer") && len(c.Ensemble.Servers) > 0
	if i < 0 {
		return
	}
	self := c.Ensemble.Servers[i]
	if typed && strings.EqualFold(peerType, "observer") != self.Observer {
		l.warn("%s: peerType=%s differs from the line of server.%d, which wins", c.Given["peerType"].Origin, peerType, self.ID)
	}
	c.Ensemble.Observer = self.Observer
	if self.Client == nil {
		return
	}
	if c.ClientAddr != "" && l.chosen["clientPort"].rank != rankFlag && !sameClient(c, *self.Client) {
		l.refuseGiven("clientPort", fmt.Sprintf("the client address %s differs from that of server.%d, %s",
			c.ClientAddr, self.ID, self.Client))
		return
	}
	if l.chosen["clientPort"].rank == rankFlag {
		return
	}
	host := self.Client.Host
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = ""
	}
	c.ClientPort, c.ClientPortAddress = self.Client.Port, host
	c.ClientAddr = net.JoinHostPort(host, strconv.Itoa(self.Client.Port))
}

// sameClient: a client port without an address agrees with any address of that port.
func sameClient(c *Config, line HostPort) bool {
	if c.ClientPort != line.Port {
		return false
	}
	own, err := netip.ParseAddr(c.ClientPortAddress)
	if c.ClientPortAddress == "" || err == nil && own.IsUnspecified() {
		return true
	}
	other, err2 := netip.ParseAddr(line.Host)
	if err != nil || err2 != nil {
		return c.ClientPortAddress == line.Host
	}
	return own == other
}

func (l *loader) checkQuorumAuth() {
	on := func(key string) bool { v, _ := l.given("quorum.auth." + key); return strings.EqualFold(v, "true") }
	for _, need := range [][2]string{{"learnerRequireSasl", "enableSasl"}, {"serverRequireSasl", "enableSasl"},
		{"serverRequireSasl", "learnerRequireSasl"}} {
		if on(need[0]) && !on(need[1]) && !l.failed("quorum.auth."+need[0]) {
			l.refuseGiven("quorum.auth."+need[0], "needs quorum.auth."+need[1]+"=true")
		}
	}
}

// checkDistributed wants what an ensemble cannot do without.
func (l *loader) checkDistributed() {
	c := l.cfg
	if c.Ensemble.InitLimit == 0 && !l.failed("initLimit") {
		l.refuseGiven("initLimit", "is not set, and an ensemble needs it")
	}
	if c.Ensemble.SyncLimit == 0 && !l.failed("syncLimit") {
		l.refuseGiven("syncLimit", "is not set, and an ensemble needs it")
	}
	if c.Ensemble.ConnectToLearnerMasterLimit == 0 {
		c.Ensemble.ConnectToLearnerMasterLimit = c.Ensemble.InitLimit
	}
	myid := filepath.Join(c.DataDir, "myid")
	id := c.Ensemble.ServerID
	if id < 0 && !slices.ContainsFunc(c.Ensemble.Servers, func(s Server) bool { return s.ID == id }) {
		l.refuse(Origin{File: myid}, "", "", "the file is missing; it holds this server's id, the N of its server.N line")
		return
	}
	if !slices.ContainsFunc(c.Ensemble.Servers, func(s Server) bool { return s.ID == id }) {
		l.refuse(Origin{File: myid}, "", "", fmt.Sprintf("there is no server.%d line for this server's id", id))
	}
}
