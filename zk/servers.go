// SPDX-License-Identifier: Apache-2.0

package zk

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"unicode"
)

const defaultPort = "2181"

// ParseServers takes a connect string apart: "host[:port],host[:port]/chroot".
// The port is 2181 unless given, an IPv6 address stands in brackets, the first
// slash starts the chroot and "/" alone is none. Servers come back as
// "host:port" in the order given.
func ParseServers(s string) (servers []string, chroot string, err error) {
	hosts := s
	if i := strings.IndexByte(s, '/'); i >= 0 {
		hosts, chroot = s[:i], s[i:]
		if chroot == "/" {
			chroot = ""
		} else if err := CheckPath(chroot); err != nil {
			return nil, "", fmt.Errorf("zk: chroot of %q: %w", s, err)
		}
	}
	for h := range strings.SplitSeq(hosts, ",") {
		server, err := parseServer(strings.TrimSpace(h))
		if err != nil {
			return nil, "", fmt.Errorf("zk: server list %q: %w", s, err)
		}
		servers = append(servers, server)
	}
	return servers, chroot, nil
}

func parseServer(h string) (string, error) {
	host, port := h, ""
	switch {
	case strings.HasPrefix(h, "["):
		end := strings.IndexByte(h, ']')
		if end < 0 {
			return "", fmt.Errorf("%q: no closing bracket", h)
		}
		host = h[1:end]
		rest := h[end+1:]
		if rest != "" && rest[0] != ':' {
			return "", fmt.Errorf("%q: text behind the bracket", h)
		}
		port = strings.TrimPrefix(rest, ":")
	case strings.Count(h, ":") > 1:
		return "", fmt.Errorf("%q: an IPv6 address needs brackets", h)
	default:
		host, port, _ = strings.Cut(h, ":")
	}
	if host == "" {
		return "", fmt.Errorf("%q: no host", h)
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r == '[' || r == ']' || unicode.IsSpace(r) }) {
		return "", fmt.Errorf("%q: a host has no spaces and no brackets in it", h)
	}
	if port == "" {
		port = defaultPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q: port %q is not in 1..65535", h, port)
	}
	return net.JoinHostPort(host, port), nil
}

// serverList goes round the servers in an order drawn once. It belongs to the
// session's goroutine.
type serverList struct {
	all       []string
	at        int
	preferred string // to be tried next, once
}

func newServerList(servers []string) serverList {
	all := append([]string(nil), servers...)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return serverList{all: all}
}

func (l *serverList) next() string {
	if s := l.preferred; s != "" {
		l.preferred = ""
		return s
	}
	s := l.all[l.at%len(l.all)]
	l.at++
	return s
}
