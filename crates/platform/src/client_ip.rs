//! Who a client is, behind proxies that may be trusted and others that may not.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Header in which each proxy notes whom it was called by, the nearest last.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// What one household or host gets of IPv6: counting single addresses would count nothing.
const V6_PREFIX_BITS: u32 = 64;

/// The proxies whose `X-Forwarded-For` is believed. From anybody else the header is ignored: a client may write into it
/// what it likes.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl FromStr for TrustedProxies {
    type Err = String;

    /// Addresses and networks with commas between them, such as `127.0.0.1,10.0.0.0/8`; an empty text trusts nobody.
    fn from_str(text: &str) -> Result<Self, String> {
        let network = |part: &str| {
            let alone = part.parse::<IpAddr>().map(IpNet::from);
            alone
                .or_else(|_| part.parse())
                .map_err(|_| format!("`{part}` is no address and no network like 10.0.0.0/8"))
        };
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedProxies {
    /// The client of a connection from `peer`: the nearest address that is no trusted proxy.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        // Also of bytes that are no text: what a client put in front must not hide what the proxy wrote behind.
        let lines: Vec<_> =
            headers.get_all(FORWARDED_FOR).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        for hop in lines.iter().flat_map(|line| line.split(',')).map(str::trim).rev() {
            if !self.0.iter().any(|network| network.contains(&client)) {
                break;
            }
            // What a trusted proxy cannot have written ends the chain.
            let Some(before) = address(hop) else { break };
            client = before.to_canonical();
        }
        client
    }
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// What limits are counted by: an address, of IPv6 the network of 64 bits around it.
pub fn counted(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - V6_PREFIX_BITS)))),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(trusted: &str, peer: &str, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        trusted.parse::<TrustedProxies>().unwrap().client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn nf_10_only_trusted_proxies_are_believed() {
        let proxies = "127.0.0.1, 10.0.0.0/8,fd00::/8";
        for (peer, forwarded, expected) in [
            ("203.0.113.7", &["1.2.3.4"][..], "203.0.113.7"),
            ("127.0.0.1", &[][..], "127.0.0.1"),
            ("127.0.0.1", &["203.0.113.7"][..], "203.0.113.7"),
            ("127.0.0.1", &["1.2.3.4, 203.0.113.7"][..], "203.0.113.7"),
            ("127.0.0.1", &["1.2.3.4", "203.0.113.7, 10.1.1.1"][..], "203.0.113.7"),
            ("127.0.0.1", &["203.0.113.7:4711"][..], "203.0.113.7"),
            ("127.0.0.1", &["[2001:db8::1]:4711"][..], "2001:db8::1"),
            ("127.0.0.1", &["203.0.113.7, nonsense"][..], "127.0.0.1"),
            ("127.0.0.1", &["1.2.3.4", "ÿ, 203.0.113.7"][..], "203.0.113.7"),
            ("127.0.0.1", &["10.0.0.2, 10.0.0.1"][..], "10.0.0.2"),
            ("::ffff:127.0.0.1", &["::ffff:203.0.113.7"][..], "203.0.113.7"),
            ("fd00::1", &["2001:db8::1"][..], "2001:db8::1"),
        ] {
            assert_eq!(client(proxies, peer, forwarded), expected, "{peer} {forwarded:?}");
        }
        assert_eq!(client("", "127.0.0.1", &["203.0.113.7"]), "127.0.0.1", "nobody is trusted by default");
        assert!("10.0.0.0/8, somewhere".parse::<TrustedProxies>().unwrap_err().contains("somewhere"));
    }

    #[test]
    fn nf_10_a_network_of_v6_counts_as_one() {
        let counted = |text: &str| counted(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("203.0.113.7"), "203.0.113.7");
    }
}
