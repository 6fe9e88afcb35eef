package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// errRefused: the address is one that this process must not be made to reach.
var errRefused = errors.New("the address is not allowed")

// reach says what addresses there are.
type reach int

const (
	public  reach = iota // anybody's
	private              // of this machine or of its own networks: only where that is allowed
	never                // of no receiver: link-local ones, where clouds keep their credentials, too
)

// reachOf judges an address. What carries an IPv4 address within is judged by
// that, and what has no known use is refused.
func reachOf(a netip.Addr) reach {
	a = a.Unmap()
	switch {
	case !a.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(), a.Zone() != "":
		return never
	case a.IsLoopback(), a.IsPrivate():
		return private
	case a.Is4():
		return reachOf4(a)
	}
	b := a.As16()
	switch {
	case within(a, "64:ff9b::/96"): // NAT64
		return reachOf(netip.AddrFrom4([4]byte(b[12:16])))
	case within(a, "2002::/16"): // 6to4
		return reachOf(netip.AddrFrom4([4]byte(b[2:6])))
	case within(a, "2001::/23", "2001:db8::/32", "3fff::/20"), // Teredo and other protocols, documentation
		!within(a, "2000::/3"): // all there is of global unicast
		return never
	}
	return public
}

func reachOf4(a netip.Addr) reach {
	switch {
	case within(a, "100.64.0.0/10"): // behind a carrier's NAT
		return private
	case within(a, "0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
		within(a, "168.63.129.16/32"): // Azure's own services, by a public address
		return never
	}
	return public
}

func within(a netip.Addr, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if netip.MustParsePrefix(prefix).Contains(a) {
			return true
		}
	}
	return false
}

// allows reports whether an address may be dialed.
func (s *Sender) allows(a netip.Addr) bool {
	switch reachOf(a) {
	case public:
		return true
	case private:
		return s.opts.AllowPrivate
	}
	return false
}

// checkHost refuses at the start what can be told without asking anybody.
func (s *Sender) checkHost(host string) error {
	if a, err := netip.ParseAddr(host); err == nil && !s.allows(a) {
		return refusal(a)
	}
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if !s.opts.AllowPrivate && (name == "localhost" || strings.HasSuffix(name, ".localhost")) {
		return fmt.Errorf("%w: localhost is this machine%s", errRefused, allowed)
	}
	return nil
}

// allowed ends a refusal that a setting lifts.
const allowed = " (webhook_allow_private = on allows it)"

func refusal(a netip.Addr) error {
	what := "is in no range of public addresses"
	switch {
	case a.Unmap().IsLoopback():
		what = "is this machine" + allowed
	case reachOf(a) == private:
		what = "is private" + allowed
	}
	return fmt.Errorf("%w: %s %s", errRefused, a, what)
}

// dial connects to an allowed address of the receiver. The name is looked up
// here, once, and what is dialed is what was checked: an answer that changes
// in between changes nothing.
func (s *Sender) dial(ctx context.Context, network, hostport string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, fmt.Errorf("split address of the receiver: %w", err)
	}
	var addresses []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addresses = []netip.Addr{a}
	} else if addresses, err = s.opts.Lookup(ctx, host); err != nil {
		return nil, fmt.Errorf("look up the receiver: %w", err)
	}
	if len(addresses) == 0 {
		return nil, errors.New("look up the receiver: its name has no address")
	}
	var failed, refused []error
	for _, a := range addresses[:min(len(addresses), maxDials)] {
		if !s.allows(a) {
			refused = append(refused, refusal(a))
			continue
		}
		conn, err := s.opts.Dial(ctx, network, net.JoinHostPort(a.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	if len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	return nil, errors.Join(refused...)
}
