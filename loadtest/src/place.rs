//! Where the load goes.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result, ensure};
use hyper::Uri;

use crate::failure::{Failure, usage};

/// The admin key of a local stack, known to everybody.
const LOCAL_ADMIN_KEY: &str = "dev-admin-key-12345678";

/// The servers under load.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// As they were named.
    pub(crate) urls: Vec<String>,
    /// One for each.
    pub(crate) servers: Vec<SocketAddr>,
    /// What the first is called in a `Host` header.
    pub(crate) host: String,
}

impl Place {
    /// Looks the servers up.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what is no address of ours, [`Failure::Unreachable`] for a name that leads nowhere.
    pub(crate) fn of(urls: &[String]) -> Result<Self> {
        let urls: Vec<String> = urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        let (mut servers, mut host) = (Vec::with_capacity(urls.len()), None);
        for url in &urls {
            let (name, port) = host_and_port(url).map_err(usage)?;
            host.get_or_insert_with(|| format!("{name}:{port}"));
            servers.push(resolve(&name, port).with_context(|| Failure::Unreachable(url.clone()))?);
        }
        Ok(Self { urls, servers, host: host.context("there is no --url")? })
    }

    /// Whether all of it is on this machine.
    pub(crate) fn is_here(&self) -> bool {
        self.servers.iter().all(|server| server.ip().is_loopback())
    }

    /// The key for its administration: the one that was given, else on this machine the one everybody knows.
    pub(crate) fn admin_key(&self, given: Option<&str>) -> Option<String> {
        let local = self.is_here().then_some(LOCAL_ADMIN_KEY);
        given.or(local).map(str::to_owned)
    }
}

/// The host, in brackets where it is an address with colons, and the port.
fn host_and_port(url: &str) -> Result<(String, u16)> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is no address"))?;
    ensure!(uri.scheme_str() == Some("http"), "{url} does not begin with http://, the only way that this tool speaks");
    ensure!(uri.path() == "/" && uri.query().is_none(), "{url} has something behind the host");
    let host = uri.host().filter(|host| !host.is_empty()).with_context(|| format!("{url} names no host"))?;
    Ok((host.to_owned(), uri.port_u16().unwrap_or(80)))
}

/// The address of a host; of several the first of IPv4, where the local stack listens.
fn resolve(host: &str, port: u16) -> Result<SocketAddr> {
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let mut addresses: Vec<SocketAddr> = (plain, port).to_socket_addrs()?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.into_iter().next().context("the name has no address")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<Place> {
        Place::of(&[url.to_owned()])
    }

    #[test]
    fn addresses_are_looked_up() {
        let here = place("http://127.0.0.1:8080/").unwrap();
        assert_eq!((here.host.as_str(), here.is_here()), ("127.0.0.1:8080", true));
        assert_eq!(here.servers, [SocketAddr::from(([127, 0, 0, 1], 8080))]);
        assert_eq!(here.admin_key(None).as_deref(), Some(LOCAL_ADMIN_KEY));
        assert_eq!(here.admin_key(Some("another")).as_deref(), Some("another"));
        let six = place("http://[::1]").unwrap();
        assert_eq!((six.host.as_str(), six.is_here()), ("[::1]:80", true));
        let elsewhere = place("http://192.0.2.1:80").unwrap();
        assert!(!elsewhere.is_here() && elsewhere.admin_key(None).is_none());
    }

    #[test]
    fn what_is_no_address_is_wrong_usage() {
        for url in ["127.0.0.1:8080", "https://127.0.0.1", "http://127.0.0.1/shop", "http://", "shop"] {
            let error = place(url).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(Failure::Usage(_))), "{url}: {error:#}");
        }
    }
}
