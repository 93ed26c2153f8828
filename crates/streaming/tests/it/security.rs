//! A live broker that speaks TLS only, and asks for a login and a certificate.

use std::{path::Path, time::Duration};

use flashsale_streaming::{
    Config, Error, Mechanism, Observer, Producer, ProducerConfig, Protocol, Security, View, ViewConfig, read_all,
    topics,
};
use flashsale_testkit::{Authority, TLS_PASSWORD, TLS_USERNAME, private_kafka_tls, wait_until};
use tokio_util::sync::CancellationToken;

use crate::{
    contract::{Live, Log, Member, PATIENCE, texts},
    memory::Memory,
};

const HOST: &str = "127.0.0.1";

fn text(file: impl AsRef<Path>) -> String {
    file.as_ref().display().to_string()
}

fn secured(brokers: &str, authority: &Authority) -> Config {
    let (certificate, key) = authority.client_files();
    let mut config = Config::new(brokers, "test");
    config.security = Security {
        protocol: Protocol::SaslSsl,
        mechanism: Mechanism::ScramSha512,
        username: TLS_USERNAME.into(),
        password: TLS_PASSWORD.into(),
        ca_file: text(authority.ca_file()),
        certificate_file: text(certificate),
        key_file: text(key),
    };
    config
}

/// The same with a difference, and without what the clients of `config` heard.
fn but(config: &Config, change: impl FnOnce(&mut Config)) -> Config {
    let mut other = Config::new(&config.brokers, "test");
    other.security = config.security.clone();
    change(&mut other);
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_comes_by_tls_and_login_and_whoever_may_not_is_told_why() {
    let (authority, stranger) = (Authority::new(&[HOST]), Authority::new(&[HOST]));
    let server = private_kafka_tls(&authority, HOST, true).await;
    let config = secured(server.url(), &authority);
    assert_eq!(config.security.check(), Ok(()));
    tokio::join!(every_client_works(&config), the_others_are_told_why(&config, &stranger));
}

async fn every_client_works(config: &Config) {
    // Creates a topic, writes, and reads in a group.
    let live = Live::at(config.clone()).await;
    live.append(&texts(0, 20)).await;
    let memory = Memory::default();
    let member = Member::start(live.join().await, &memory, live.dead_letters());
    wait_until(PATIENCE, "a member of a group to read", async || memory.len() == 20).await;
    member.stop().await;
    assert_eq!(topics(config, Some(&live.topic)).await.unwrap()[0].partitions.len(), 2);
    let view = ViewConfig { name: "tls".into(), topics: vec![live.topic.clone()] };
    let view = View::start(config, view, |_| ()).unwrap();
    tokio::time::timeout(PATIENCE, view.caught_up()).await.unwrap();

    let (config, topic) = (config.clone(), live.topic.clone());
    let blocking = tokio::task::spawn_blocking(move || {
        let mut read = 0;
        read_all(&config, &topic, &CancellationToken::new(), &mut |_| read += 1).unwrap();
        assert_eq!(read, 20);
        let groups = Observer::new(&config).unwrap().groups().unwrap();
        assert!(groups.iter().any(|group| group.name == format!("{topic}-group")), "{groups:?}");
        for mechanism in [Mechanism::ScramSha256, Mechanism::Plain] {
            let config = but(&config, |config| config.security.mechanism = mechanism);
            let producer = Producer::new(&config, &ProducerConfig::default()).unwrap();
            producer.ping(PATIENCE).unwrap_or_else(|error| panic!("{mechanism:?}: {error}"));
        }
    });
    blocking.await.unwrap();
}

async fn the_others_are_told_why(config: &Config, stranger: &Authority) {
    let wrong = [
        (but(config, |wrong| wrong.security.ca_file = text(stranger.ca_file())), "`kafka.ca_file`"),
        (but(config, |wrong| wrong.security.ca_file.clear()), "`kafka.ca_file`"),
        (but(config, |wrong| wrong.brokers = wrong.brokers.replace(HOST, "localhost")), "another name"),
        (but(config, |wrong| wrong.security.password = "guessed".into()), "`kafka.password`"),
        (
            but(config, |wrong| {
                wrong.security.certificate_file.clear();
                wrong.security.key_file.clear();
            }),
            "`kafka.certificate_file`",
        ),
        (but(config, |wrong| wrong.security.protocol = Protocol::SaslPlaintext), "`kafka.security`"),
        (but(config, |wrong| wrong.security = Security::default()), "`kafka.security`"),
    ];
    let asked = wrong.map(|(config, named)| {
        tokio::task::spawn_blocking(move || {
            let producer = Producer::new(&config, &ProducerConfig::default()).unwrap();
            let error = producer.ping(Duration::from_secs(5)).unwrap_err();
            (format!("{error} {error:?} {config:?}"), matches!(error, Error::Shut { .. }), named)
        })
    });
    for asked in asked {
        let (told, is_shut, named) = asked.await.unwrap();
        assert!(is_shut && told.contains(named), "{named}: {told}");
        assert!(!told.contains(TLS_PASSWORD) && !told.contains("guessed"), "{told}");
    }
}
