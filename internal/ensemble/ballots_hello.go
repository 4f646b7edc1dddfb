// SPDX-License-Identifier: Apache-2.0

package ensemble

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"paddock/internal/quorum"
)

// The opening message (section 2.1).
const (
	helloOne  int64 = -65536 // one address
	helloMany int64 = -65535 // several, joined by |
	maxHello        = 2048   // bytes of the addresses
	maxBack         = 16     // addresses that are tried: nobody is to make us dial hundreds
)

// appendHello appends the opening message of a server.
func appendHello(to []byte, sid int64, own []quorum.Addr, many bool) []byte {
	version := helloOne
	if many {
		version = helloMany
	} else {
		own = own[:min(1, len(own))]
	}
	var addrs []string
	for _, a := range own {
		addrs = append(addrs, hostPort(a.Host, a.ElectionPort, false))
	}
	text := strings.Join(addrs, "|")
	to = binary.BigEndian.AppendUint64(to, uint64(version))
	to = binary.BigEndian.AppendUint64(to, uint64(sid))
	to = binary.BigEndian.AppendUint32(to, uint32(len(text)))
	return append(to, text...)
}

// readHello reads an opening message. It returns the addresses to dial back to,
// none if the message names none that can be dialled.
func readHello(r io.Reader) (sid int64, addrs []string, err error) {
	var head [8 + 8 + 4]byte
	if _, err := io.ReadFull(r, head[:8]); err != nil {
		return 0, nil, fmt.Errorf("no opening message: %w", err)
	}
	version := int64(binary.BigEndian.Uint64(head[:]))
	if version >= 0 {
		return version, nil, nil // a server before 3.5 sends its sid alone
	}
	if version != helloOne && version != helloMany {
		return 0, nil, fmt.Errorf("the opening message is of version %d, which is not known", version)
	}
	if _, err := io.ReadFull(r, head[8:]); err != nil {
		return 0, nil, fmt.Errorf("the opening message ends early: %w", err)
	}
	sid = int64(binary.BigEndian.Uint64(head[8:]))
	n := int(int32(binary.BigEndian.Uint32(head[16:])))
	if n < 1 || n > maxHello {
		return 0, nil, fmt.Errorf("the opening message of server %d has an address of %d bytes; 1 to %d are accepted", sid, n, maxHello)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return 0, nil, fmt.Errorf("the opening message of server %d ends early: %w", sid, err)
	}
	for one := range strings.SplitSeq(string(text), "|") {
		addr, wildcard, err := helloAddr(one)
		if err != nil {
			return 0, nil, fmt.Errorf("the opening message of server %d: %w", sid, err)
		}
		if !wildcard && len(addrs) < maxBack {
			addrs = append(addrs, addr)
		}
	}
	return sid, addrs, nil
}

// helloAddr checks host:port, and tells a host that stands for all addresses:
// it cannot be dialled.
func helloAddr(text string) (addr string, wildcard bool, err error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", false, fmt.Errorf("%q is not host:port", text)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 || host == "" {
		return "", false, fmt.Errorf("%q is not host:port", text)
	}
	ip, err := netip.ParseAddr(host)
	return hostPort(host, n, false), err == nil && ip.IsUnspecified(), nil
}
