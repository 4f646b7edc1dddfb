// SPDX-License-Identifier: Apache-2.0

package acl

import "testing"

// The verdicts are those of javax.security.auth.x500.X500Principal.
func TestValidX500Name(t *testing.T) {
	for s, want := range map[string]bool{
		"CN=client,OU=Eng,O=Test Org,C=US": true, "C=US,O=Test Org": true, "": true, "cn=x": true, "CN=": true, "CN=a+OU=b": true,
		"CN=a;OU=b": true, `CN="a,b"`: true, `CN=a\,b`: true, "1.2.3=x": true, "OID.1.2.3=x": true, "2.5.4.3=x": true,
		"EMAILADDRESS=a@b": true, "EMAIL=a": true, "UID=x": true, "DC=a,DC=b": true, "SERIALNUMBER=1": true, "STREET=x": true,
		"T=x": true, "CN = a , O = b": true, "CN=#0c0161": true, "CN=a\nO=b": true, "CN=a=b": true, `CN=\41`: true, "S=x": true,
		"IP=1.2.3.4": true, "GENERATION=x": true, "DNQ=x": true, "1.2=x": true, "C=USA": true, "CN=a#b": true, "CN= ": true,
		"CN=é": true, "0.1=x": true,

		"not a dn": false, "FOO=x": false, "E=x": false, "SN=x": false, "CN=a,": false, "CN=a,,O=b": false, ",CN=a": false,
		"CN=#zz": false, "=x": false, "CN": false, `CN="a`: false, `CN=a"b"`: false, `CN=a\`: false, "TITLE=x": false,
		"9.9=x": false, "1=x": false, "CN=a<b": false, "CN=#": false, "CN=a;": false, ";": false, "+": false, "CN=a+": false,
		"3.1=x": false, "1.40.1=x": false, "1..2=x": false,
	} {
		if validX500Name(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func FuzzX500(f *testing.F) {
	for _, s := range []string{"CN=a,O=b", `CN="a\"`, "CN=#0c01", `1.2.3=\`, "OID.=", "CN=a+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if validX500Name(s) && s != "" && !validX500Name(s+",CN=x") {
			t.Fatalf("%q is valid, but not with one part more", s)
		}
	})
}
