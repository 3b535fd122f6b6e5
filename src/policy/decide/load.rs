//! Where load may go, and how much of it.

use std::net::IpAddr;

use super::{Denied, list};
use crate::load::{Pins, Plan};
use crate::policy::Profile;
use crate::policy::target::{Target, literal, plain, special};
use crate::unit::{Rate, Span};

/// A load test, as far as a policy decides on it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadAsked {
    /// Host and port of everything that it connects to.
    pub origins: Vec<(String, u16)>,
    /// Virtual users.
    pub users: u32,
    /// Arrivals a second.
    pub rate: Option<Rate>,
    /// How long.
    pub duration: Span,
}

impl From<&Plan> for LoadAsked {
    fn from(plan: &Plan) -> Self {
        let origins = plan.origins();
        Self {
            origins: origins.into_iter().map(|origin| (origin.host, origin.port)).collect(),
            users: plan.n_users(),
            rate: plan.rate(),
            duration: plan.duration(),
        }
    }
}

impl Profile {
    /// Decides on a plan whose hosts were resolved: every address counts, not only one.
    pub fn allow_load(&self, plan: &Plan, resolved: &Pins) -> Result<(), Denied> {
        self.allow_load_at(&plan.into(), resolved)
    }

    /// Allows the sinks that a plan wants its figures pushed to.
    ///
    /// # Errors
    /// With the first one that is not granted.
    pub fn allow_sinks(&self, plan: &Plan) -> Result<(), Denied> {
        let granted = &self.load.sinks;
        let Some(name) = plan.push.iter().find(|name| !granted.contains(name)) else {
            return Ok(());
        };
        let allowed = if granted.is_empty() { "no sink".to_owned() } else { list(granted) };
        Err(Denied::new(self, "load.sinks", format!("pushing to sink `{name}`"), allowed))
    }

    /// Decides all that needs no address, before any name is looked up: a look-up alone tells the
    /// name's owner something.
    pub fn allow_lookup(&self, plan: &Plan) -> Result<(), Denied> {
        let asked = LoadAsked::from(plan);
        if plan.http.proxy.as_ref().is_some_and(|proxy| proxy.forwards) {
            let what = "a proxy that looks names up itself (`http.forward`)".to_owned();
            let rule = "proxies are asked for tunnels to the addresses that it allows".to_owned();
            return Err(Denied::new(self, "load.targets", what, rule));
        }
        for (host, port) in &asked.origins {
            let may_be_held = |target: &Target| {
                target.names(host, *port) || target.may_hold_name(*port) || literal(host).is_some()
            };
            if !self.load.targets.iter().any(may_be_held) {
                return Err(self.no_target(host, *port, None));
            }
        }
        self.allow_amount(&asked)
    }

    /// As [`Profile::allow_load`], on what counts of a plan.
    pub fn allow_load_at(&self, asked: &LoadAsked, resolved: &Pins) -> Result<(), Denied> {
        for (host, port) in &asked.origins {
            self.allow_origin(host, *port, resolved)?;
        }
        self.allow_amount(asked)
    }

    fn allow_amount(&self, asked: &LoadAsked) -> Result<(), Denied> {
        let rule = &self.load;
        if asked.users > rule.users {
            let why = if asked.rate.is_some() { " at a time (`max-users`)" } else { "" };
            return Err(self.too_much("users", &format!("{} users{why}", asked.users), rule.users));
        }
        if let Some(rate) = asked.rate
            && rate > rule.rate
        {
            return Err(self.too_much("rate", &format!("a rate of {rate}"), rule.rate));
        }
        if asked.duration > rule.duration {
            let duration = format!("a load of {}", asked.duration);
            return Err(self.too_much("duration", &duration, rule.duration));
        }
        Ok(())
    }

    fn too_much(&self, key: &str, asked: &str, most: impl std::fmt::Display) -> Denied {
        Denied::new(self, &format!("load.{key}"), asked.to_owned(), format!("at most {most}"))
    }

    fn no_target(&self, host: &str, port: u16, reason: Option<String>) -> Denied {
        let targets = &self.load.targets;
        let allowed = match reason {
            Some(reason) => format!("{reason}; allowed: {}", list(targets)),
            None if targets.is_empty() => "no load at all".to_owned(),
            None => format!("allowed: {}", list(targets)),
        };
        Denied::new(self, "load.targets", format!("load on `{}`", origin(host, port)), allowed)
    }

    fn allow_origin(&self, host: &str, port: u16, resolved: &Pins) -> Result<(), Denied> {
        let targets = &self.load.targets;
        let origin = origin(host, port);
        let denied = |reason| self.no_target(host, port, reason);
        if targets.is_empty() {
            return Err(denied(None));
        }
        let own = literal(host);
        let addresses: Vec<IpAddr> = match own {
            Some(address) => vec![address],
            None => resolved.get(&origin).cloned().unwrap_or_default(),
        };
        // An address that the worker would connect to, whatever the host says.
        let pinned = resolved.get(&origin).into_iter().flatten();
        if own.is_some_and(|own| pinned.clone().any(|pin| plain(*pin) != plain(own))) {
            return Err(denied(Some("it is pinned to another address".to_owned())));
        }
        if addresses.is_empty() {
            return Err(denied(Some("its name was not resolved".to_owned())));
        }
        let is_named = targets.iter().any(|target| target.names(host, port));
        for address in addresses {
            if targets.iter().any(|target| target.holds(address, port)) {
                continue;
            }
            if let Some(special) = special(address) {
                let what = special.what;
                let network = special.block;
                return Err(denied(Some(format!(
                    "`{address}` is {what}, which needs a network of its own such as `{network}`"
                ))));
            }
            if !is_named {
                let reason = own.is_none().then(|| format!("it resolves to `{address}`"));
                return Err(denied(reason));
            }
        }
        Ok(())
    }
}

/// Host and port as the pins' keys have them.
fn origin(host: &str, port: u16) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Policy;
    use crate::policy::tests::policy_with;

    fn profile(targets: &[&str]) -> Policy {
        let targets: Vec<String> = targets.iter().map(|target| format!("{target:?}")).collect();
        policy_with(&format!(
            "load: {{ targets: [{}], users: 100, rate: 50/s, duration: 5m }}",
            targets.join(", ")
        ))
    }

    fn ask(targets: &[&str], host: &str, port: u16, addresses: &[&str]) -> Result<(), Denied> {
        let addresses: Vec<IpAddr> =
            addresses.iter().map(|address| address.parse().unwrap()).collect();
        let pins = Pins::from([(origin(host, port), addresses)]);
        let asked = LoadAsked {
            origins: vec![(host.to_owned(), port)],
            users: 1,
            rate: None,
            duration: Span::seconds(1),
        };
        profile(targets).profiles[0].allow_load_at(&asked, &pins)
    }

    type Row = (&'static [&'static str], &'static str, u16, &'static [&'static str], bool);

    const STAGING: &[&str] = &["*.staging.example.com", "10.20.0.0/16", "shop.local:8080"];
    const OPEN: &[&str] = &["0.0.0.0/0", "::/0", "**"];
    const LOCAL: &[&str] = &["localhost", "127.0.0.0/8", "::1", "169.254.10.0/24"];

    fn check(table: &[Row]) {
        for (targets, host, port, addresses, expected) in table {
            let answer = ask(targets, host, *port, addresses);
            assert_eq!(answer.is_ok(), *expected, "{targets:?} {host}:{port} {addresses:?}");
        }
    }

    #[test]
    fn a_name_is_looked_up_only_where_some_target_could_allow_it() {
        let lookup = |targets: &[&str], url: &str| {
            let plan = format!(
                "target: {url}\nload: {{ users: 1, duration: 1s }}\n\
                 journeys: [{{ steps: [{{ get: / }}] }}]"
            );
            let vars = std::collections::BTreeMap::<String, String>::new();
            let text = |_: &std::path::Path| Ok(plan.clone().into_bytes());
            let sheet = crate::policy::plan::read_by("plan.yaml".as_ref(), &text, &vars).unwrap();
            let written = sheet.written("plan".to_owned());
            let plan = Plan::build(&written, &crate::load::Overrides::default(), &vars).unwrap();
            profile(targets).profiles[0].allow_lookup(&plan).is_ok()
        };
        for (targets, url, expected) in [
            (&["*.staging.example.com"][..], "http://a.staging.example.com", true),
            (&["*.staging.example.com"], "http://secret.attacker.example", false),
            (&["*.staging.example.com", "10.0.0.0/8:80"], "http://a.example", true),
            (&["*.staging.example.com", "10.0.0.0/8:80"], "http://a.example:81", false),
            (&["*.staging.example.com"], "http://10.1.2.3", true),
        ] {
            assert_eq!(lookup(targets, url), expected, "{targets:?} {url}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn load_goes_where_the_profile_says_and_nowhere_else() {
        check(&[
            // Names.
            (STAGING, "a.staging.example.com", 80, &["203.0.113.5"], true),
            (STAGING, "A.Staging.Example.COM", 443, &["203.0.113.5"], true),
            (STAGING, "a.staging.example.com.", 80, &["203.0.113.5"], true),
            (STAGING, "a.b.staging.example.com", 80, &["203.0.113.5"], false),
            (STAGING, "staging.example.com", 80, &["203.0.113.5"], false),
            (STAGING, "evilstaging.example.com", 80, &["203.0.113.5"], false),
            (STAGING, "a.staging.example.com.evil.org", 80, &["203.0.113.5"], false),
            (STAGING, "example.com", 80, &["203.0.113.5"], false),
            (STAGING, "shop.local", 8080, &["203.0.113.5"], true),
            (STAGING, "shop.local", 80, &["203.0.113.5"], false),
            // Addresses and networks.
            (STAGING, "10.20.3.4", 80, &["10.20.3.4"], true),
            (STAGING, "10.20.3.4", 80, &[], true),
            (STAGING, "10.21.0.1", 80, &["10.21.0.1"], false),
            (STAGING, "10.20.3.4", 80, &["10.21.0.1"], false),
            (STAGING, "other.local", 80, &["10.20.3.4"], true),
            (STAGING, "other.local", 80, &["10.20.3.4", "10.20.9.9"], true),
            (STAGING, "other.local", 80, &["10.20.3.4", "203.0.113.5"], false),
            (STAGING, "other.local", 80, &[], false),
            (STAGING, "::ffff:10.20.3.4", 80, &["::ffff:10.20.3.4"], true),
            (STAGING, "::ffff:10.21.3.4", 80, &["::ffff:10.21.3.4"], false),
            (&["10.20.0.0/16:8080"], "10.20.0.1", 8080, &[], true),
            (&["10.20.0.0/16:8080"], "10.20.0.1", 80, &[], false),
            (&["fd00::/8"], "fd00::7", 80, &[], true),
            (&["[fd00::7]:8080"], "fd00::7", 8080, &[], true),
            (&["[fd00::7]:8080"], "fd00::7", 80, &[], false),
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn no_name_and_no_wide_network_opens_the_machine_itself() {
        check(&[
            // A name that resolves to what it must not.
            (STAGING, "a.staging.example.com", 80, &["127.0.0.1"], false),
            (STAGING, "a.staging.example.com", 80, &["203.0.113.5", "169.254.169.254"], false),
            (STAGING, "a.staging.example.com", 80, &["::1"], false),
            (STAGING, "a.staging.example.com", 80, &["::ffff:127.0.0.1"], false),
            (STAGING, "a.staging.example.com", 80, &["64:ff9b::a9fe:a9fe"], false),
            (STAGING, "a.staging.example.com", 80, &["0.0.0.0"], false),
            (STAGING, "a.staging.example.com", 80, &["224.0.0.1"], false),
            (STAGING, "a.staging.example.com", 80, &["255.255.255.255"], false),
            (STAGING, "a.staging.example.com", 80, &["fe80::1"], false),
            (STAGING, "a.staging.example.com", 80, &["ff02::1"], false),
            (STAGING, "a.staging.example.com", 80, &["fd00:ec2::254"], false),
            (STAGING, "a.staging.example.com", 80, &["100.100.100.200"], false),
            (STAGING, "a.staging.example.com", 80, &[], false),
            // A wide network does not open what needs its own.
            (OPEN, "203.0.113.5", 80, &[], true),
            (OPEN, "2001:db8::1", 80, &[], true),
            (OPEN, "127.0.0.1", 80, &[], false),
            (OPEN, "0.0.0.0", 80, &[], false),
            (OPEN, "169.254.169.254", 80, &[], false),
            (OPEN, "::1", 80, &[], false),
            (OPEN, "::", 80, &[], false),
            (OPEN, "fd00:ec2::254", 80, &[], false),
            (OPEN, "localhost", 80, &["127.0.0.1"], false),
            // A network that says just that does.
            (LOCAL, "127.0.0.1", 80, &[], true),
            (LOCAL, "127.8.8.8", 80, &[], true),
            (LOCAL, "::ffff:127.0.0.1", 80, &[], true),
            (LOCAL, "localhost", 80, &["127.0.0.1", "::1"], true),
            (LOCAL, "169.254.10.7", 80, &[], true),
            (LOCAL, "169.254.169.254", 80, &[], false),
            (&["169.254.0.0/16"], "169.254.169.254", 80, &[], false),
            (&["169.254.169.254"], "169.254.169.254", 80, &[], true),
            (&["127.0.0.1:9000"], "127.0.0.1", 9000, &[], true),
            (&["127.0.0.1:9000"], "127.0.0.1", 9001, &[], false),
        ]);
    }

    #[test]
    fn a_profile_without_load_allows_none() {
        let policy = policy_with("recipes: []");
        let asked = LoadAsked {
            origins: vec![("10.0.0.5".to_owned(), 80)],
            users: 1,
            rate: None,
            duration: Span::seconds(1),
        };
        let denied = policy.profiles[0].allow_load_at(&asked, &Pins::new()).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "refused by policy: profile `one` does not allow load on `10.0.0.5:80` (profiles[0].load.targets: no load at all)"
        );
    }

    #[test]
    fn a_refusal_names_the_rule_and_the_way_out() {
        let denied = ask(&["10.20.0.0/16"], "shop.local", 80, &["10.0.0.5"]).unwrap_err();
        assert_eq!(
            crate::error::Error::from(denied).to_string(),
            "error: refused by policy: profile `one` does not allow load on `shop.local:80` \
             (profiles[0].load.targets: it resolves to `10.0.0.5`; allowed: `10.20.0.0/16`)\n\
             hint: ask the platform team to change profiles[0].load.targets in dyno.yaml"
        );
        let denied = ask(&["**"], "shop.local", 80, &["127.0.0.1"]).unwrap_err();
        assert_eq!(
            denied.allowed,
            "`127.0.0.1` is a loopback address, which needs a network of its own such as `127.0.0.0/8`; allowed: `**`"
        );
    }

    #[test]
    fn users_rate_and_duration_have_a_limit_that_is_still_allowed() {
        let policy = profile(&["10.20.0.0/16"]);
        let check = |users, rate: Option<f64>, seconds| {
            let asked = LoadAsked {
                origins: vec![("10.20.0.1".to_owned(), 80)],
                users,
                rate: rate.map(Rate),
                duration: Span::seconds(seconds),
            };
            policy.profiles[0].allow_load_at(&asked, &Pins::new()).map_err(|denied| denied.rule)
        };
        let over = |key: &str| Err(format!("profiles[0].load.{key}"));
        assert_eq!(check(100, Some(50.0), 300), Ok(()));
        assert_eq!(check(101, None, 1), over("users"));
        assert_eq!(check(1, Some(50.1), 1), over("rate"));
        assert_eq!(check(1, None, 301), over("duration"));
        // What nobody asked for is lowered to what is allowed; what a plan says is refused.
        let open = |more: &str| {
            let mut plan = planned(more, "");
            let is_lowered = plan.model.fit(100);
            let denied =
                policy.profiles[0].allow_lookup(&plan).map_err(|denied| denied.to_string());
            (is_lowered, plan.n_users(), denied)
        };
        assert_eq!(open("arrivals: 50/s, duration: 1s"), (true, 100, Ok(())));
        assert_eq!(open("arrivals: 5/s, duration: 1s"), (false, 100, Ok(())));
        let (is_lowered, n_users, denied) = open("arrivals: 50/s, duration: 1s, max-users: 101");
        assert_eq!((is_lowered, n_users), (false, 101));
        let says = "does not allow 101 users at a time (`max-users`) (profiles[0].load.users: at most 100)";
        assert!(denied.unwrap_err().contains(says));
    }

    const ONE: &str = "users: 1, duration: 1s";

    /// A plan at an allowed target, with keys below `load:` and beside it.
    fn planned(load: &str, more: &str) -> Plan {
        let text = format!("target: http://10.20.0.1\nload: {{ {load} }}\n{more}");
        let vars = std::collections::BTreeMap::<String, String>::new();
        let read = |_: &std::path::Path| Ok(text.clone().into());
        let sheet = crate::policy::plan::read_by("plan.yaml".as_ref(), &read, &vars).unwrap();
        Plan::build(&sheet.written("p".to_owned()), &crate::load::Overrides::default(), &vars)
            .unwrap()
    }

    #[test]
    fn a_proxy_must_not_look_names_up_itself() {
        let policy = profile(&["10.20.0.0/16"]);
        let asks = |http: &str| {
            policy.profiles[0]
                .allow_lookup(&planned(ONE, http))
                .map_err(|denied| denied.to_string())
        };
        assert_eq!(asks("http: { proxy: \"http://10.20.0.9:3128\" }"), Ok(()));
        assert_eq!(
            asks("http: { proxy: \"http://10.20.0.9:3128\", forward: true }").unwrap_err(),
            "refused by policy: profile `one` does not allow a proxy that looks names up itself \
             (`http.forward`) (profiles[0].load.targets: proxies are asked for tunnels to the \
             addresses that it allows)"
        );
    }

    #[test]
    fn figures_are_pushed_only_to_sinks_that_the_profile_grants() {
        let plan = planned(&format!("{ONE}, push: [own]"), "");
        let denied = profile(&["10.20.0.0/16"]).profiles[0].allow_sinks(&plan);
        assert_eq!(
            denied.unwrap_err().to_string(),
            "refused by policy: profile `one` does not allow pushing to sink `own` \
             (profiles[0].load.sinks: no sink)"
        );
    }

    #[test]
    fn every_origin_of_a_plan_counts() {
        let asked = LoadAsked {
            origins: vec![("10.20.0.1".to_owned(), 80), ("10.21.0.1".to_owned(), 80)],
            users: 1,
            rate: None,
            duration: Span::seconds(1),
        };
        let policy = profile(&["10.20.0.0/16"]);
        assert!(policy.profiles[0].allow_load_at(&asked, &Pins::new()).is_err());
    }

    proptest! {
        #[test]
        fn an_address_outside_every_network_without_a_name_is_never_allowed(
            bits in any::<u32>(), long in any::<u128>(), network in any::<u32>(), length in 0_u8..=32,
            port in 1_u16..,
        ) {
            let network = ipnet::Ipv4Net::new(network.into(), length).unwrap().trunc();
            let targets = [network.to_string(), "*.example.com".to_owned()];
            let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
            for address in [IpAddr::from(std::net::Ipv4Addr::from(bits)), IpAddr::from(std::net::Ipv6Addr::from(long))] {
                let is_inside = match plain(address) {
                    IpAddr::V4(short) => network.contains(&short),
                    IpAddr::V6(_) => false,
                };
                let text = address.to_string();
                let by_address = ask(&targets, &text, port, &[]);
                let by_name = ask(&targets, "other.org", port, &[&text]);
                if !is_inside {
                    prop_assert!(by_address.is_err() && by_name.is_err(), "{text} {network}");
                }
                prop_assert_eq!(by_address.is_ok(), by_name.is_ok());
            }
        }
    }
}
