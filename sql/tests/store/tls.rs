//! Postgres by TLS, with a login.

use std::{
    error::Error as _,
    io::{Read, Write},
    net::TcpListener,
    time::{Duration, Instant},
};

use flashsale_sql::{Config, Store};
use flashsale_testkit::{Authority, TLS_PASSWORD, private_postgres_tls};

const HOST: &str = "127.0.0.1";

#[tokio::test(flavor = "multi_thread")]
async fn only_a_verified_server_and_the_right_login_lead_to_the_store() {
    let (authority, stranger) = (Authority::new(&[HOST]), Authority::new(&[HOST]));
    let server = private_postgres_tls(&authority, HOST).await;
    let url = server.url().to_owned();
    assert!(url.contains("sslmode=verify-full&sslrootcert="), "{url}");
    let store = Store::connect(&Config::new(&url)).await.unwrap();
    store.migrate().await.unwrap();

    let trusted = |file: &std::path::Path| format!("sslrootcert={}", file.display());
    let (ours, theirs) = (trusted(&authority.ca_file()), trusted(&stranger.ca_file()));
    let unnamed = format!("&{ours}");
    for (from, to, told, is_final) in [
        (ours.as_str(), theirs.as_str(), "nobody in sslrootcert has signed its certificate", true),
        (unnamed.as_str(), "", "nobody in sslrootcert has signed its certificate", true),
        (ours.as_str(), "sslrootcert=/nowhere.pem", "is a file (sslrootcert, sslcert, sslkey)", false),
        (HOST, "localhost", "for another name", true),
        (TLS_PASSWORD, "guessed", "correct user and password in database_url", true),
        ("verify-full", "disable", "add sslmode=verify-full", true),
    ] {
        let config = Config::new(url.replacen(from, to, 1));
        let began = Instant::now();
        let error = Store::connect(&config).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5), "{told}: took {:?}", began.elapsed());
        let text = format!("{} {:?} {error:?} {config:?}", error.chain(), error.source());
        assert!(text.contains(told), "{told}: {text}");
        assert!(!text.contains(TLS_PASSWORD) && !text.contains("guessed"), "{text}");
        assert_eq!(error.is_final(), is_final, "{text}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_nothing_when_tls_is_wanted() {
    let server = TcpListener::bind((HOST, 0)).unwrap();
    let url = format!("postgres://u:p@{}/d?sslmode=require", server.local_addr().unwrap());
    let heard = std::thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        let mut heard = vec![0; 8];
        client.read_exact(&mut heard).unwrap();
        // As Postgres says that it has no TLS.
        client.write_all(b"N").unwrap();
        client.read_to_end(&mut heard).unwrap();
        heard.len()
    });
    let error = Store::connect(&Config::new(url)).await.unwrap_err();
    assert!(error.is_final() && error.chain().contains("it offers no TLS"), "{}", error.chain());
    assert_eq!(heard.join().unwrap(), 8, "nothing but the question for TLS");
}
