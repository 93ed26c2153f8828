//! Redis by TLS, as a user who may do what we do and nothing else.

use std::{
    collections::BTreeSet,
    error::Error as _,
    time::{Duration, Instant},
};

use flashsale_core::{SaleConfig, Sku, UserId};
use flashsale_lua::{Config, Error, HotState};
use flashsale_testkit::{Authority, Private, TLS_PASSWORD, private_redis_tls, wait_until};
use redis::{TlsCertificates, aio::MultiplexedConnection};

use crate::{attempt, fence::sold_out, sale};

const PREFIX: &str = "shop:";
const HOST: &str = "127.0.0.1";
const ACL: &str = include_str!("../../../deploy/redis/users.acl");

async fn server() -> (Authority, Private) {
    let authority = Authority::new(&[HOST]);
    let server = private_redis_tls(&authority, HOST, PREFIX).await;
    (authority, server)
}

fn config(authority: &Authority, server: &Private) -> Config {
    Config {
        ca_file: Some(authority.ca_file()),
        key_prefix: PREFIX.into(),
        response_timeout: Duration::from_secs(10),
        ..Config::new(server.url())
    }
}

/// A connection without our code, as `user`.
async fn raw(config: &Config, user: &str) -> MultiplexedConnection {
    let url = config.url.replacen("flashsale:", &format!("{user}:"), 1);
    let root_cert = Some(std::fs::read(config.ca_file.as_ref().unwrap()).unwrap());
    let client = redis::Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert }).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_acl_permits_all_that_we_do_and_nothing_else() {
    let (authority, server) = server().await;
    let config = config(&authority, &server);
    redis::cmd("CONFIG").arg("RESETSTAT").exec_async(&mut raw(&config, "admin").await).await.unwrap();
    use_everything(&config).await;

    let mut admin = raw(&config, "admin").await;
    let denied: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query_async(&mut admin).await.unwrap();
    assert_eq!(denied, [], "refused although we need it");
    let counted: String = redis::cmd("INFO").arg("commandstats").query_async(&mut admin).await.unwrap();
    let called = counted.lines().filter(|line| !line.contains(":calls=0,"));
    let mut used: BTreeSet<&str> = called.filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next()).collect();
    for not_ours in ["auth", "config|resetstat", "acl|log"] {
        used.remove(not_ours);
    }
    let rule = ACL.lines().find(|line| line.starts_with("user flashsale ")).unwrap();
    let permitted: BTreeSet<&str> = rule.split(' ').filter_map(|word| word.strip_prefix('+')).collect();
    assert_eq!(used, permitted);

    let mut ours = raw(&config, "flashsale").await;
    for words in [&["SET", "other", "1"][..], &["FLUSHALL"], &["KEYS", "*"], &["CONFIG", "GET", "*"]] {
        let mut command = redis::cmd(words[0]);
        let refused = command.arg(&words[1..]).exec_async(&mut ours).await.unwrap_err();
        assert_eq!(refused.code(), Some("NOPERM"), "{words:?}: {refused}");
    }
}

/// Calls everything that a service, a recovery or a tool calls.
async fn use_everything(config: &Config) {
    let hot = HotState::connect(config).await.unwrap();
    hot.open_new("test").await.unwrap();
    let edge = HotState::connect(config).await.unwrap();
    assert!(edge.is_open(), "connected to a verified server");
    hot.ping().await.unwrap();

    let later = SaleConfig { sku: Sku::new("LATER").unwrap(), ..sale(&hot, 9, 3_600_000, 7_200_000).await };
    hot.create(&later).await.unwrap();
    hot.update(&later).await.unwrap();
    hot.pause(&later.sku, &later.sale_id, true).await.unwrap();
    hot.transition(&later.sku).await.unwrap();
    hot.delete(&later.sku, &later.sale_id).await.unwrap();
    let ids: Vec<String> = hot.outbox(&later.sku, 100).await.unwrap().into_iter().map(|entry| entry.id).collect();
    assert_eq!(hot.settle(&later.sku, &ids).await.unwrap(), ids.len() as u64);
    hot.unwatch(&later.sku).await.unwrap();

    let (status, before, batches) = sold_out(&edge).await;
    let (sku, sale_id) = (&status.config.sku, &status.config.sale_id);
    let a = UserId::new("a").unwrap();
    edge.decide(sku, sale_id, "i", &[attempt("a", "1"), attempt("d", "4")]).await.unwrap();
    assert!(hot.receipt(sku, &a).await.unwrap().is_some());
    assert!(hot.unit_of(sku, sale_id, &a).await.unwrap().is_some());
    assert_eq!(hot.open_sales().await.unwrap(), std::slice::from_ref(sku));
    assert!(hot.outbox_len(sku).await.unwrap() > 0);

    let claim = hot.claim("recovery").await.unwrap().unwrap();
    claim.close().await.unwrap();
    wait_until(Duration::from_secs(5), "the edge to be cut off", async || {
        matches!(edge.decide(sku, sale_id, "i", &[attempt("a", "1")]).await, Err(Error::Closed))
    })
    .await;
    claim.renew().await.unwrap();
    claim.forget(sku, &[a]).await.unwrap();
    claim.forget_sale(sku).await.unwrap();
    claim.restore(sku, &batches).await.unwrap();
    claim.repair(&status).await.unwrap();
    claim.open().await.unwrap();
    hot.claim("again").await.unwrap().unwrap().abandon().await.unwrap();
    wait_until(Duration::from_secs(5), "the edge to go on", async || {
        edge.decide(sku, sale_id, "i", &[attempt("a", "1")]).await.is_ok()
    })
    .await;
    assert_eq!(hot.whole(sku).await.unwrap().unwrap().buyers, before.buyers);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_let_in_is_told_why_within_seconds_and_without_the_password() {
    let (authority, server) = server().await;
    let good = config(&authority, &server);
    let url = |from: &str, to: &str| Config { url: good.url.replacen(from, to, 1), ..good.clone() };
    let login = format!("flashsale:{TLS_PASSWORD}@");
    let stranger = Authority::new(&[HOST]);
    for (wrong, named) in [
        (Config { ca_file: Some(stranger.ca_file()), ..good.clone() }, "nobody in redis_ca_file has signed"),
        (Config { ca_file: None, ..good.clone() }, "nobody in redis_ca_file has signed"),
        (url(HOST, "localhost"), "for another name"),
        (url(TLS_PASSWORD, "guessed"), "correct user and password"),
        (url(&login, ""), "correct user and password"),
        (url("rediss:", "redis:"), "correct redis_url, and redis_ca_file"),
        (Config { ca_file: None, ..url("rediss:", "redis:") }, "begins with rediss://?"),
        (Config { ca_file: None, ..url(&format!("rediss://{login}"), "redis://") }, "begins with rediss://?"),
        (Config { key_prefix: "other:".into(), ..good.clone() }, "deploy/redis/users.acl"),
    ] {
        let began = Instant::now();
        let error = HotState::connect(&wrong).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5), "{named}: took {:?}", began.elapsed());
        let told = format!("{error}: {:?} {error:?} {wrong:?}", error.source());
        assert!(told.contains(named), "{named}: {told}");
        assert!(!told.contains(TLS_PASSWORD) && !told.contains("guessed"), "{told}");
        assert_eq!(error.is_final(), !named.ends_with('?'), "{told}");
    }
}
