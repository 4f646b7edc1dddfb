// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// resolve fills in the defaults that depend on other settings and checks the relations between settings.
func (l *loader) resolve() {
	l.resolveDirs()
	l.resolveClientPort()
	l.resolveTimeouts()
	l.resolveSizes()
	l.resolveAuth()
	if l.cfg.ReadOnlyMode {
		l.cfg.FourLetterWords.Words["isro"] = true
	}
	if v, ok := l.given("observer.syncEnabled"); ok {
		l.cfg.Ensemble.SyncEnabled = strings.EqualFold(v, "true")
	}
}

// given returns the text of a key that is set and known.
func (l *loader) given(key string) (string, bool) {
	g, ok := l.cfg.Given[key]
	return g.Value, ok
}

// refuseGiven refuses a key, or its absence, at the line it stands on.
func (l *loader) refuseGiven(key, reason string) {
	g, ok := l.cfg.Given[key]
	if !ok {
		g.Origin = Origin{File: cmpName(l.src)}
	}
	l.refuse(g.Origin, key, g.Value, reason)
}

func cmpName(src Source) string {
	if src.File != "" {
		return src.File
	}
	return src.BaseName
}

// failed says whether the value of a key was refused already, so that what depends on it is not checked.
func (l *loader) failed(key string) bool {
	return slices.ContainsFunc(l.problems, func(p *Problem) bool { return p.Key == key })
}

func (l *loader) resolveDirs() {
	c := l.cfg
	if _, ok := l.given("dataDir"); !ok && !l.unreadable() {
		l.refuseGiven("dataDir", "is not set")
	}
	if c.DataLogDir == "" {
		c.DataLogDir = c.DataDir
	}
	for _, key := range []string{"dataDir", "dataLogDir"} {
		dir, ok := l.given(key)
		if ok && dir != "" && !filepath.IsAbs(dir) && !strings.HasPrefix(dir, "./") && l.cfg.Given[key].Origin.File != l.src.BaseName {
			l.warn("%s: %s=%s is relative to the working directory: %s", l.cfg.Given[key].Origin, key,
				printable(dir), workingPath(dir))
		}
	}
}

// unreadable says whether the file as a whole failed; a key that is missing from it is then no news.
func (l *loader) unreadable() bool {
	return slices.ContainsFunc(l.problems, func(p *Problem) bool { return p.Key == "" && p.Line == 0 })
}

func (l *loader) resolveClientPort() {
	c := l.cfg
	host := strings.TrimSuffix(strings.TrimPrefix(c.ClientPortAddress, "["), "]")
	if host != "" {
		if err := l.lookUp(host); err != nil {
			l.refuseGiven("clientPortAddress", "cannot be resolved: "+plainLookup(err))
		}
	}
	freePort := c.ClientPort == 0 && l.chosen["clientPort"].rank == rankFlag
	switch {
	case l.failed("clientPort"):
	case c.ClientPort > 0 || freePort:
		c.ClientAddr = net.JoinHostPort(host, strconv.Itoa(c.ClientPort))
	case c.ClientPortAddress != "":
		l.refuseGiven("clientPortAddress", "is set but clientPort is not")
	}
	secure, _ := l.given("secureClientPort")
	if a, ok := l.given("secureClientPortAddress"); ok && a != "" && (secure == "" || secure == "0") {
		l.refuseGiven("secureClientPortAddress", "is set but secureClientPort is not")
	}
	if p, ok := l.given("ssl.authProvider"); ok && p != "x509" && secure != "" {
		if _, named := l.given("authProvider." + p); !named {
			l.refuseGiven("ssl.authProvider", "no auth provider is configured for this scheme")
		}
	}
}

func plainLookup(err error) string {
	if dns, ok := err.(*net.DNSError); ok {
		return dns.Err
	}
	return err.Error()
}

func (l *loader) resolveTimeouts() {
	c := l.cfg
	if c.MinSessionTimeout < 0 {
		c.MinSessionTimeout = 2 * c.TickTime
	}
	if c.MaxSessionTimeout < 0 {
		c.MaxSessionTimeout = 20 * c.TickTime
	}
	if c.MinSessionTimeout > c.MaxSessionTimeout &&
		!l.failed("minSessionTimeout") && !l.failed("maxSessionTimeout") && !l.failed("tickTime") {
		key := "minSessionTimeout"
		if _, ok := l.given(key); !ok {
			key = "maxSessionTimeout"
		}
		l.refuseGiven(key, fmt.Sprintf("minSessionTimeout (%d ms) must not be larger than maxSessionTimeout (%d ms); "+
			"the defaults are 2 and 20 ticks of %d ms", c.MinSessionTimeout.Milliseconds(),
			c.MaxSessionTimeout.Milliseconds(), c.TickTime.Milliseconds()))
	}
	if _, ok := l.given("maxWriteQueuePollTime"); !ok {
		c.MaxWriteQueuePollTime = (c.FlushDelay / 3).Truncate(time.Millisecond)
	}
}

func (l *loader) resolveSizes() {
	c := l.cfg
	if _, ok := l.given("jute.maxbuffer.extrasize"); !ok {
		c.JuteMaxBufferExtra = c.JuteMaxBuffer
	}
	if c.LargeRequestThreshold > c.LargeRequestMaxBytes {
		l.warn("%s: largeRequestThreshold=%d is above largeRequestMaxBytes=%d and switched off",
			c.Given["largeRequestThreshold"].Origin, c.LargeRequestThreshold, c.LargeRequestMaxBytes)
		c.LargeRequestThreshold = -1
	}
}

func (l *loader) resolveAuth() {
	c := l.cfg
	c.AuthProviders = map[string]bool{"ip": true}
	if c.Digest.Enabled {
		c.AuthProviders["digest"] = true
	}
	for _, s := range l.inOrder() {
		if !strings.HasPrefix(s.key, "authProvider.") {
			continue
		}
		switch scheme := authScheme(s.value); scheme {
		case "":
			l.warn("%s: %s=%s: this Java class cannot be loaded; the scheme does not exist here", s.origin, s.key, printable(s.value))
		case "sasl", "x509":
			c.AuthProviders[scheme] = true
			l.warn("%s: %s: the scheme %s is not supported yet", s.origin, s.key, scheme)
		case "digest":
			c.AuthProviders[scheme] = c.Digest.Enabled
		default:
			c.AuthProviders[scheme] = true
		}
	}
	enforcer := "enforce.auth.schemes"
	if c.SessionRequireClientSASLAuth {
		enforcer = "sessionRequireClientSASLAuth"
		c.EnforceAuth = EnforceAuth{Enabled: true, Schemes: []string{"sasl"}}
	}
	if !c.EnforceAuth.Enabled {
		return
	}
	if len(c.EnforceAuth.Schemes) == 0 {
		l.refuseGiven("enforce.auth.enabled", "enforce.auth.schemes is not set, so that no client could get in")
	}
	for _, scheme := range c.EnforceAuth.Schemes {
		if !c.AuthProviders[scheme] {
			l.refuseGiven(enforcer, "there is no scheme "+printable(scheme)+"; authProvider.N names further ones")
		}
	}
}
