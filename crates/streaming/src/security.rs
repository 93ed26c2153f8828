//! Who we are to the brokers, and whether the way to them is encrypted.

use rdkafka::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// How the brokers are spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// No login, and everybody on the way can read along.
    #[default]
    Plaintext,
    /// TLS. The login is our certificate, if the brokers want one.
    Ssl,
    /// A login, and everybody on the way can read along: of `PLAIN` even the password.
    SaslPlaintext,
    /// TLS and a login.
    SaslSsl,
}

impl Protocol {
    /// Its name, in the settings and for the client.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn has_login(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How a login is proved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    /// By telling the password: for `sasl_ssl` only.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Without telling it.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with the longer hash.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    /// Its name, in the settings and for the client.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// The section `[kafka]` of the settings. The password is never shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// How the brokers are spoken to.
    #[serde(rename = "security")]
    pub protocol: Protocol,
    /// How the login is proved.
    #[serde(rename = "sasl_mechanism")]
    pub mechanism: Mechanism,
    /// Name of the login.
    pub username: String,
    /// Password of the login.
    #[serde(serialize_with = "blacked_out")]
    pub password: SecretString,
    /// Those who may have signed the brokers' certificates (PEM). Empty: those that the system trusts.
    pub ca_file: String,
    /// Our certificate (PEM), for brokers that want one; empty for none.
    pub certificate_file: String,
    /// Its private key (PEM, without a password).
    pub key_file: String,
}

fn blacked_out<S: Serializer>(password: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if password.expose_secret().is_empty() { "" } else { "[redacted]" })
}

impl Security {
    /// An error that names what cannot be, and the setting that puts it right.
    pub fn check(&self) -> Result<(), String> {
        let (protocol, password) = (self.protocol.as_str(), self.password.expose_secret());
        for (key, value) in [("username", self.username.as_str()), ("password", password)] {
            let variable = format!("FLASHSALE_KAFKA__{}", key.to_uppercase());
            if self.protocol.has_login() && value.is_empty() {
                return Err(format!("`kafka.{key}` is empty, but `kafka.security` is {protocol}; set {variable}"));
            }
            if !self.protocol.has_login() && !value.is_empty() {
                return Err(format!(
                    "`kafka.{key}` is set, but `kafka.security` is {protocol}, which sends no login; set \
                     FLASHSALE_KAFKA__SECURITY to sasl_ssl, or take {variable} out"
                ));
            }
        }
        for (key, file) in self.files() {
            let variable = format!("FLASHSALE_KAFKA__{}", key.to_uppercase());
            if !self.protocol.has_tls() {
                return Err(format!(
                    "`kafka.{key}` is set, but `kafka.security` is {protocol}, which is not encrypted; set \
                     FLASHSALE_KAFKA__SECURITY to ssl or sasl_ssl, or take {variable} out"
                ));
            }
            if let Err(error) = std::fs::File::open(file) {
                return Err(format!("`kafka.{key}`: cannot read {file}: {error}; correct {variable}"));
            }
        }
        if self.certificate_file.is_empty() != self.key_file.is_empty() {
            return Err("`kafka.certificate_file` and `kafka.key_file` belong together; set both \
                        FLASHSALE_KAFKA__CERTIFICATE_FILE and FLASHSALE_KAFKA__KEY_FILE, or neither"
                .into());
        }
        Ok(())
    }

    /// The files that are named, with the keys that name them.
    fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let files = [
            ("ca_file", self.ca_file.as_str()),
            ("certificate_file", self.certificate_file.as_str()),
            ("key_file", self.key_file.as_str()),
        ];
        files.into_iter().filter(|(_, file)| !file.is_empty())
    }

    /// The names of the brokers are compared with those in their certificates: that is the client's default.
    pub(crate) fn apply(&self, client: &mut ClientConfig) {
        client.set("security.protocol", self.protocol.as_str());
        if self.protocol.has_login() {
            client
                .set("sasl.mechanism", self.mechanism.as_str())
                .set("sasl.username", &self.username)
                .set("sasl.password", self.password.expose_secret());
        }
        if self.protocol.has_tls() {
            for (key, file) in self.files() {
                let property = match key {
                    "ca_file" => "ssl.ca.location",
                    "certificate_file" => "ssl.certificate.location",
                    _ => "ssl.key.location",
                };
                client.set(property, file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Security {
        Security {
            protocol: Protocol::SaslSsl,
            username: "shop".into(),
            password: "hunter2".into(),
            // Any file that is there.
            ca_file: "Cargo.toml".into(),
            ..Security::default()
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_key_and_fix() {
        assert_eq!(Security::default().check(), Ok(()));
        assert_eq!(login().check(), Ok(()));
        let cases = [
            (Security { username: String::new(), ..login() }, "FLASHSALE_KAFKA__USERNAME"),
            (Security { password: "".into(), ..login() }, "FLASHSALE_KAFKA__PASSWORD"),
            (Security { protocol: Protocol::Ssl, ..login() }, "sends no login"),
            (Security { protocol: Protocol::SaslPlaintext, ..login() }, "`kafka.ca_file`"),
            (Security { ca_file: "/nowhere.pem".into(), ..login() }, "/nowhere.pem"),
            (Security { certificate_file: login().ca_file, ..login() }, "FLASHSALE_KAFKA__KEY_FILE"),
        ];
        for (security, named) in cases {
            let error = security.check().unwrap_err();
            assert!(error.contains(named) && error.contains("`kafka.") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn every_part_reaches_the_client_and_only_what_the_protocol_uses() {
        let mut client = ClientConfig::new();
        let certificate = Security { certificate_file: "c".into(), key_file: "k".into(), ..login() };
        certificate.apply(&mut client);
        for (property, value) in [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "shop"),
            ("sasl.password", "hunter2"),
            ("ssl.ca.location", certificate.ca_file.as_str()),
            ("ssl.certificate.location", "c"),
            ("ssl.key.location", "k"),
        ] {
            assert_eq!(client.get(property), Some(value), "{property}");
        }
        let mut client = ClientConfig::new();
        Security { protocol: Protocol::Plaintext, ..certificate }.apply(&mut client);
        assert_eq!((client.get("security.protocol"), client.get("sasl.password")), (Some("plaintext"), None));
    }

    #[test]
    fn the_password_is_never_shown() {
        let config = crate::Config { security: login(), ..crate::Config::new("b", "c") };
        let shown = format!("{config:?}");
        assert!(shown.contains("shop") && !shown.contains("hunter2"), "{shown}");
    }
}
