// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strconv"
	"strings"
)

// The checks of single values that need more than a kind and bounds. Each returns a reason to refuse, or "".

func checkSuperDigest(s string) string {
	user, digest, ok := strings.Cut(s, ":")
	if s != "" && (!ok || user == "" || digest == "") {
		return "must have the form user:digest"
	}
	return ""
}

// digestAlgs are Java's names of the hashes that its security providers and Go's standard library share.
var digestAlgs = []string{"SHA1", "SHA-1", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512", "SHA-512/224", "SHA-512/256",
	"SHA3-224", "SHA3-256", "SHA3-384", "SHA3-512", "MD5"}

func checkDigestAlg(s string) string {
	if !slices.Contains(digestAlgs, strings.ToUpper(s)) {
		return "is not a known hash; known are " + strings.Join(digestAlgs, ", ")
	}
	return ""
}

func checkPeerType(s string) string {
	if !strings.EqualFold(s, "participant") && !strings.EqualFold(s, "observer") {
		return "must be participant or observer"
	}
	return ""
}

func checkFloat(s string) string {
	if _, err := strconv.ParseFloat(s, 64); err != nil {
		return "is not a number"
	}
	return ""
}

// checkMetricsClass goes by the class's own name, whatever its package.
func checkMetricsClass(s string) string {
	switch s[strings.LastIndexByte(s, '.')+1:] {
	case "DefaultMetricsProvider", "NullMetricsProvider", "PrometheusMetricsProvider":
		return ""
	}
	return "is not a known metrics provider; known are DefaultMetricsProvider, NullMetricsProvider, PrometheusMetricsProvider"
}

// authScheme returns the scheme of a provider's class name, "" when it is unknown.
func authScheme(class string) string {
	switch class[strings.LastIndexByte(class, '.')+1:] {
	case "DigestAuthenticationProvider":
		return "digest"
	case "IPAuthenticationProvider":
		return "ip"
	case "EnsembleAuthenticationProvider":
		return "ensemble"
	case "SASLAuthenticationProvider":
		return "sasl"
	case "X509AuthenticationProvider":
		return "x509"
	}
	return ""
}
