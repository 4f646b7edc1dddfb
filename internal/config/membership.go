// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"paddock/internal/quorum"
)

// isMember says whether a key belongs into a dynamic file.
func isMember(key string) bool {
	return strings.HasPrefix(key, "server.") || strings.HasPrefix(key, "group.") || strings.HasPrefix(key, "weight.")
}

// membership reads the server lines, of the main file or the dynamic one, and this server's id, and checks that
// they make an ensemble, or a standalone server.
func (l *loader) membership() {
	e := &l.cfg.Ensemble
	var version int64
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
		version = dynamicVersion(e.DynamicConfigFile)
	}
	before := len(l.problems)
	l.memberLines(lines)
	l.seen(version)
	e.Members.Version = version
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

// seen reads the membership that was proposed and not committed when the server
// stopped: it counts in elections until a leader has settled it. It is looked for
// only where the members stand in a dynamic file, as in the original.
func (l *loader) seen(committed int64) {
	e := &l.cfg.Ensemble
	if e.DynamicConfigFile == "" || !e.ReconfigEnabled || l.src.File == "" {
		return
	}
	file := nextFile(l.src.File)
	if !isFile(file) {
		return
	}
	props, _, problems := readProperties(file)
	l.problems = append(l.problems, problems...)
	var text strings.Builder
	for _, p := range props {
		text.WriteString(p.key + "=" + p.value + "\n")
	}
	c, err := quorum.Parse(text.String())
	switch {
	case len(problems) > 0:
	case err != nil:
		l.refuse(Origin{File: file}, "", "", err.Error())
	case c.Version > committed:
		e.Seen = c
	}
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
	c := &quorum.Config{}
	l.cfg.Ensemble.Members = c
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
			members, err := quorum.ParseGroup(s.value)
			if err != nil {
				l.refuse(s.origin, s.key, s.value, err.Error())
				continue
			}
			if c.Groups == nil {
				c.Groups = map[int64][]int64{}
			}
			c.Groups[id] = members
		case "weight":
			w, err := quorum.ParseWeight(s.value)
			if err != nil {
				l.refuse(s.origin, s.key, s.value, err.Error()+hintInline(s.value))
				continue
			}
			if c.Weights == nil {
				c.Weights = map[int64]int64{}
			}
			c.Weights[id] = w
		}
	}
	slices.SortFunc(c.Members, func(a, b quorum.Member) int { return cmp.Compare(a.ID, b.ID) })
}

func (l *loader) serverLine(s setting, id int64) {
	server, err := quorum.ParseServer(id, s.value, l.cfg.Ensemble.MultiAddress)
	members := l.cfg.Ensemble.Members
	switch {
	case err != nil:
		l.refuse(s.origin, s.key, s.value, err.Error())
	case l.cfg.ExtendedTypes && id > 254:
		// The id is a byte of each session id, and TTL znodes need its values above.
		l.refuse(s.origin, s.key, s.value, "with extendedTypesEnabled a server's id is at most 254")
	default:
		members.Members = append(members.Members, server)
	}
}

// checkGroups wants each server in one group, once there are groups or weights.
func (l *loader) checkGroups() {
	for _, e := range l.cfg.Ensemble.Members.CheckGroups() {
		if e.Group >= 0 {
			l.refuse(l.memberOrigin(), fmt.Sprintf("group.%d", e.Group), "", e.Error())
		} else {
			l.refuse(l.memberOrigin(), fmt.Sprintf("server.%d", e.Server), "", e.Reason)
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
	voters, observers := l.cfg.Voters(), len(e.Members.Observers())
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
	self, ok := c.Ensemble.Members.Member(c.Ensemble.ServerID)
	peerType, typed := l.given("peerType")
	c.Ensemble.Observer = strings.EqualFold(peerType, "observer") && len(c.Ensemble.Members.Members) > 0
	if !ok {
		return
	}
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
func sameClient(c *Config, line quorum.HostPort) bool {
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
	_, listed := c.Ensemble.Members.Member(id)
	if id < 0 && !listed {
		l.refuse(Origin{File: myid}, "", "", "the file is missing; it holds this server's id, the N of its server.N line")
		return
	}
	if !listed {
		l.refuse(Origin{File: myid}, "", "", fmt.Sprintf("there is no server.%d line for this server's id", id))
	}
}
