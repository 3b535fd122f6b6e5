//! Where `kubectl port-forward` listens, and for which ports.

use std::net::IpAddr;

/// An address to listen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub address: IpAddr,
    /// True for one of the addresses of `localhost`: any of them is enough.
    pub is_localhost: bool,
}

/// Reads `--address`; sorted as kubectl tells them.
pub fn listens(written: &[String]) -> Result<Vec<Listen>, String> {
    if written.is_empty() {
        return Err("you must specify at least 1 address".to_owned());
    }
    let mut found: Vec<(String, Listen)> = Vec::new();
    for address in written {
        let (names, is_localhost): (&[&str], bool) = match address.as_str() {
            "localhost" => (&["127.0.0.1", "::1"], true),
            other => (&[other], false),
        };
        for name in names {
            let Ok(address) = name.parse() else {
                return Err(format!("{name} is not a valid IP"));
            };
            // `localhost` leaves an address alone that was named before; one that is named after it
            // stands for itself.
            let is_known = found.iter().any(|(known, _)| known == name);
            if is_known && is_localhost {
                continue;
            }
            found.retain(|(known, _)| known != name);
            found.push(((*name).to_owned(), Listen { address, is_localhost }));
        }
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(found.into_iter().map(|(_, listen)| listen).collect())
}

/// Reads `[LOCAL:]REMOTE`, numbers only; local 0 is any that is free.
pub fn ports(written: &[String]) -> Result<Vec<(u16, u16)>, String> {
    written.iter().map(|pair| port_pair(pair)).collect()
}

fn port_pair(written: &str) -> Result<(u16, u16), String> {
    let parts: Vec<&str> = written.split(':').collect();
    let (local, remote) = match parts.as_slice() {
        [one] => (*one, *one),
        ["", remote] => ("0", *remote),
        [local, remote] => (*local, *remote),
        [..] => return Err(format!("invalid port format '{written}'")),
    };
    let number = |what: &str, text: &str| {
        number(text).map_err(|why| {
            format!(
                "error parsing {what} port '{text}': strconv.ParseUint: parsing \"{text}\": {why}"
            )
        })
    };
    let pair = (number("local", local)?, number("remote", remote)?);
    if pair.1 == 0 {
        return Err("remote port must be > 0".to_owned());
    }
    Ok(pair)
}

/// Go's `ParseUint` of 16 bits.
fn number(text: &str) -> Result<u16, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("invalid syntax");
    }
    text.parse().map_err(|_| "value out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn ports_are_read_as_kubectl_reads_them() {
        assert_eq!(
            ports(&words("80 8080:80 :80 0:80")).unwrap(),
            [(80, 80), (8080, 80), (0, 80), (0, 80)]
        );
        for (written, error) in [
            ("1:2:3", "invalid port format '1:2:3'"),
            ("8080:0", "remote port must be > 0"),
            (
                "x:80",
                "error parsing local port 'x': strconv.ParseUint: parsing \"x\": invalid syntax",
            ),
            (
                "70000",
                "error parsing local port '70000': strconv.ParseUint: parsing \"70000\": value out of range",
            ),
        ] {
            assert_eq!(ports(&words(written)).unwrap_err(), error);
        }
    }

    #[test]
    fn localhost_is_two_addresses_of_which_one_is_enough() {
        let shown = |line: &str| -> Vec<String> {
            let all = listens(&words(line)).unwrap();
            all.iter().map(|one| format!("{} {}", one.address, one.is_localhost)).collect()
        };
        assert_eq!(shown("localhost"), ["127.0.0.1 true", "::1 true"]);
        assert_eq!(shown("127.0.0.1 localhost"), ["127.0.0.1 false", "::1 true"]);
        assert_eq!(shown("localhost 10.0.0.1"), ["10.0.0.1 false", "127.0.0.1 true", "::1 true"]);
        assert_eq!(listens(&words("nope")).unwrap_err(), "nope is not a valid IP");
    }
}
