//! Where load may go: names, networks, ports; and the addresses that no name opens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::glob::{self, Glob};

/// A text that is no load target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A URL was written.
    #[error("`{0}` is a URL; a target is a host, a pattern or a network, with an optional port")]
    Url(String),
    /// A network whose prefix length or address is wrong.
    #[error("`{0}` is not a network in CIDR notation")]
    Network(String),
    /// A network with host bits.
    #[error("`{0}` has bits below its prefix length; the network is `{1}`")]
    HostBits(String, IpNet),
    /// A port that is none.
    #[error("`{0}` is not a port")]
    Port(String),
    /// A name with characters that no host name has.
    #[error("`{0}` is neither a host name, a pattern, an address nor a network")]
    Name(String),
    /// A wrong pattern.
    #[error(transparent)]
    Glob(#[from] glob::Error),
}

/// One line of `load.targets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    text: String,
    place: Place,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Name(Glob),
    Network(IpNet),
}

impl Target {
    /// Reads a target: `*.staging.example.com`, `shop.local:8080`, `10.20.0.0/16`, `[fd00::1]:80`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.contains("://") || text.contains('@') {
            return Err(Error::Url(hide_user(text)));
        }
        let (host, port) = split_port(text)?;
        let place = match network(host) {
            Some(network) => {
                let network = network?;
                if network != network.trunc() {
                    return Err(Error::HostBits(host.to_owned(), network.trunc()));
                }
                Place::Network(network)
            }
            None => Place::Name(name(host)?),
        };
        Ok(Self { text: text.to_owned(), place, port })
    }

    /// True when the port is one of this target's.
    fn has_port(&self, port: u16) -> bool {
        self.port.is_none_or(|mine| mine == port)
    }

    /// True when the name and port are this target's; an address is no name.
    pub fn names(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_lowercase();
        match &self.place {
            Place::Name(glob) => {
                literal(&host).is_none() && glob.matches(&host) && self.has_port(port)
            }
            Place::Network(_) => false,
        }
    }

    /// True when the address and port are in this target's network. An address that leads to the
    /// machine itself or to its cloud's credentials is only in a network that says just that.
    pub fn holds(&self, address: IpAddr, port: u16) -> bool {
        match &self.place {
            Place::Name(_) => false,
            Place::Network(network) => {
                let address = plain(address);
                network.contains(&address)
                    && self.has_port(port)
                    && special(address).is_none_or(|special| special.block.contains(network))
            }
        }
    }

    /// True when a name could resolve into this target: a network with that port.
    pub fn may_hold_name(&self, port: u16) -> bool {
        matches!(self.place, Place::Network(_)) && self.has_port(port)
    }

    /// Returns the name when it leads to the machine itself.
    pub fn loopback_name(&self) -> Option<&str> {
        match &self.place {
            Place::Name(glob) => {
                let text = glob.text();
                (text == "localhost" || text.ends_with(".localhost")).then_some(text)
            }
            Place::Network(_) => None,
        }
    }

    /// True for a network of loopback addresses.
    pub fn is_loopback_network(&self) -> bool {
        match &self.place {
            Place::Name(_) => false,
            Place::Network(network) => network.addr().is_loopback(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn hide_user(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map(|(scheme, _)| format!("{scheme}://"));
            format!("{}…@{host}", scheme.unwrap_or_default())
        }
        None => text.to_owned(),
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), Error> {
    let port = |text: &str| match text.parse() {
        Ok(0) | Err(_) => Err(Error::Port(text.to_owned())),
        Ok(port) => Ok(Some(port)),
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| Error::Name(text.to_owned()))?;
        return match after.strip_prefix(':') {
            Some(digits) => Ok((host, port(digits)?)),
            None if after.is_empty() => Ok((host, None)),
            None => Err(Error::Name(text.to_owned())),
        };
    }
    match text.split_once(':') {
        // More than one colon: an IPv6 address without brackets.
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, digits)) => Ok((host, port(digits)?)),
        None => Ok((text, None)),
    }
}

/// Reads an address or a network; `None` when it is a name.
fn network(host: &str) -> Option<Result<IpNet, Error>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Ok(IpNet::from(plain(address))));
    }
    if let Ok(network) = host.parse::<IpNet>() {
        return Some(Ok(network));
    }
    (host.contains('/') || host.contains(':')).then(|| Err(Error::Network(host.to_owned())))
}

fn name(host: &str) -> Result<Glob, Error> {
    let error = || Error::Name(host.to_owned());
    let glob = Glob::host(host.trim_end_matches('.'))?;
    let is_fitting =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*') || !c.is_ascii();
    if !host.chars().all(is_fitting) || host.starts_with('.') || host.contains("..") {
        return Err(error());
    }
    // `10.20.*.*` looks like a network and would match names only.
    if host.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '*')
        && host.chars().any(|c| c.is_ascii_digit())
    {
        return Err(error());
    }
    Ok(glob)
}

/// Reads a host that is an address, also in brackets.
pub fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The address that packets go to: IPv4 in IPv6's clothes is IPv4.
pub fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(long) => {
            let [front @ .., high, low] = long.segments();
            let holds_ipv4 = match front {
                [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => true,
                // `::` and `::1` are themselves.
                [0, 0, 0, 0, 0, 0] => high != 0,
                _ => false,
            };
            let short = (u32::from(high) << 16) | u32::from(low);
            if holds_ipv4 { Ipv4Addr::from(short).into() } else { address }
        }
    }
}

/// Addresses that need a network of their own in the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Special {
    /// What they are, for the refusal.
    pub what: &'static str,
    /// The widest network that still says just that.
    pub block: IpNet,
}

/// Returns what is special about an address.
pub fn special(address: IpAddr) -> Option<Special> {
    let address = plain(address);
    let metadata = match address {
        IpAddr::V4(short) => METADATA.contains(&short),
        IpAddr::V6(long) => long == METADATA_V6,
    };
    if metadata {
        let block = IpNet::from(address);
        return Some(Special { what: "a cloud's metadata service", block });
    }
    BLOCKS.iter().find_map(|(what, first, length)| {
        let block = IpNet::new(*first, *length).ok()?;
        block.contains(&address).then_some(Special { what, block })
    })
}

/// AWS and most others, Alibaba, Azure, Oracle.
const METADATA: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

const BLOCKS: [(&str, IpAddr, u8); 9] = [
    ("a loopback address", IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    ("a loopback address", IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    ("an address of the machine itself", IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8),
    ("an address of the machine itself", IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128),
    ("a link-local address", IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    ("a link-local address", IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    ("a multicast address", IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4),
    ("a multicast address", IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8),
    ("a broadcast address", IpAddr::V4(Ipv4Addr::BROADCAST), 32),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_names_patterns_addresses_and_networks() {
        for text in [
            "*.staging.example.com",
            "shop.local:8080",
            "10.20.0.0/16",
            "10.20.0.0/16:8080",
            "10.20.0.5",
            "fd00::/8",
            "[fd00::1]:8080",
            "[fd00::/8]:80",
            "localhost",
        ] {
            assert!(Target::parse(text).is_ok(), "{text}: {:?}", Target::parse(text));
        }
    }

    #[test]
    fn what_is_no_target_says_why() {
        for (text, expected) in [
            ("http://shop.local", "`http://shop.local` is a URL"),
            ("http://me:secret@shop.local", "`http://…@shop.local` is a URL"),
            ("10.20.0.0/33", "`10.20.0.0/33` is not a network"),
            ("10.20.0.5/16", "the network is `10.20.0.0/16`"),
            ("shop.local:99999", "`99999` is not a port"),
            ("shop.local:0", "`0` is not a port"),
            ("shop.local/path", "`shop.local/path` is not a network"),
            ("10.20.*.*", "`10.20.*.*` is neither"),
            ("10.20.0.256", "`10.20.0.256` is neither"),
            ("shop,local", "`shop,local` is neither"),
            ("shop.[ab]", "`[` is no wildcard"),
            ("", "an empty pattern"),
        ] {
            let error = Target::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn ipv4_in_ipv6s_clothes_is_ipv4() {
        for (text, expected) in [
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("::127.0.0.1", "127.0.0.1"),
            ("64:ff9b::a9fe:a9fe", "169.254.169.254"),
            ("::1", "::1"),
            ("::", "::"),
            ("fd00::1", "fd00::1"),
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(plain(address), expected.parse::<IpAddr>().unwrap(), "{text}");
        }
    }
}
