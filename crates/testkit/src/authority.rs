//! Certificates for one test.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use flashsale_localstack::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

use crate::unique;

/// The login to servers with TLS.
pub const TLS_USERNAME: &str = "flashsale";
/// Its password, which must turn up nowhere.
pub const TLS_PASSWORD: &str = "correct-horse-battery";

/// A certificate authority and what it has signed: a certificate for servers and one for clients.
///
/// The files are gone when it is dropped, so it must outlive the servers.
#[derive(Debug)]
pub struct Authority {
    dir: TempDir,
}

impl Authority {
    /// A new one, that nobody else trusts. Its servers have these names and addresses.
    pub fn new(names: &[&str]) -> Self {
        Self::make(names).unwrap_or_else(|error| panic!("no certificates: {error:#}"))
    }

    fn make(names: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir().context("make a temporary directory")?;
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).context("write a certificate");
        let key = KeyPair::generate()?;
        let mut ca = params(&[], &unique("ca"))?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        write("ca.pem", ca.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(ca, key);
        for (name, names, purpose) in [
            ("server", names, ExtendedKeyUsagePurpose::ServerAuth),
            ("client", &[][..], ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let key = KeyPair::generate()?;
            let mut params = params(names, name)?;
            params.extended_key_usages = vec![purpose];
            params.use_authority_key_identifier_extension = true;
            write(&format!("{name}.pem"), params.signed_by(&key, &issuer)?.pem())?;
            write(&format!("{name}.key"), key.serialize_pem())?;
        }
        Ok(Self { dir })
    }

    /// The certificate of the authority.
    pub fn ca_file(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// A certificate for a client, and its key.
    pub fn client_files(&self) -> (PathBuf, PathBuf) {
        (self.file("client.pem"), self.file("client.key"))
    }

    /// How servers use it that are reached as `host`.
    pub(crate) fn tls(&self, host: &str) -> Tls {
        Tls {
            ca_file: self.ca_file(),
            certificate_file: self.file("server.pem"),
            key_file: self.file("server.key"),
            host: host.to_owned(),
            username: TLS_USERNAME.to_owned(),
            password: TLS_PASSWORD.to_owned(),
            kafka_client_certificates: false,
            redis_acl_file: None,
        }
    }

    /// Writes a file beside the certificates.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.file(name);
        fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        file
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn params(names: &[&str], common_name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}
