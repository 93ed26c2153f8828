//! Real servers for tests: started once a run, shared by all tests, with names that keep the tests apart.
//!
//! [`redis`], [`postgres`] and [`kafka`] start on first use and give the server that is named by the environment
//! (`TEST_REDIS_URL`, `TEST_DATABASE_URL`, `TEST_BROKERS`), else one in a container when a Docker engine answers, else
//! a child process. A test keeps to itself by [`unique`] prefixes and by a [`database`] of its own; one that breaks
//! servers takes a [`Private`] one. The binary `with-servers` shares them among the processes of a whole run.
//!
//! [`figures`] keeps what benchmarks measure.
//!
//! [`Issuer`] signs shoppers' tokens, as an identity provider would. [`Authority`] signs certificates, for servers that
//! speak TLS only.

mod authority;
mod docker;
pub mod figures;
mod issuer;
mod private;
mod scratch;
mod servers;
mod wait_until;

pub use authority::{Authority, TLS_PASSWORD, TLS_USERNAME};
pub use flashsale_localstack::Kind;
pub use issuer::{Issuer, jwks, unsigned};
pub use private::{
    Private, private_kafka, private_kafka_tls, private_postgres, private_postgres_tls, private_redis, private_redis_tls,
};
pub use servers::{Running, database, kafka, postgres, redis};
pub use wait_until::{Observation, wait_until};

/// A name that no other test has: `base`, an underscore and ten hex digits. Fit for a key prefix, a topic, a consumer
/// group and, if `base` is, for a database.
pub fn unique(base: &str) -> String {
    // The tail of a version 7 UUID is random; its head is the time.
    let random = uuid::Uuid::now_v7().as_u128() & 0xff_ffff_ffff;
    format!("{base}_{random:010x}")
}
