//! A whole installation whose three servers speak TLS only and ask for a login.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Output},
};

use flashsale_testkit::{
    Authority, TLS_PASSWORD, TLS_USERNAME, private_kafka_tls, private_postgres_tls, private_redis_tls, wait_until,
};

use crate::{
    http::Http,
    process::{ADMIN_KEY, PATIENCE, flashsale, free_port},
};

const HOST: &str = "localhost";

/// A service that writes all it says into a file; killed when dropped.
struct Running {
    child: Child,
    url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What everybody needs to know.
struct Environment(Vec<(&'static str, String)>);

impl Environment {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = flashsale();
        command.args(arguments).envs(self.0.clone());
        command
    }

    fn start(&self, arguments: &[&str], folder: &Path) -> Running {
        let address = format!("127.0.0.1:{}", free_port());
        let said = File::create(folder.join(arguments.join("-"))).unwrap();
        let mut command = self.command(arguments);
        command.env("FLASHSALE_HTTP_ADDRESS", &address).stdout(said.try_clone().unwrap()).stderr(said);
        Running { child: command.spawn().unwrap(), url: format!("http://{address}") }
    }
}

/// The exit code, and everything that was said.
async fn run(mut command: Command) -> (i32, String) {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let Output { status, stdout, stderr } = output;
    let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    assert!(!said.contains(TLS_PASSWORD) && !said.contains("guessed"), "a password: {said}");
    (status.code().unwrap_or(-1), said.into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_installation_works_by_tls_and_says_no_password() {
    let (authority, stranger) = (Authority::new(&[HOST, "127.0.0.1"]), Authority::new(&[HOST]));
    let (kafka, redis, postgres) = tokio::join!(
        private_kafka_tls(&authority, HOST, false),
        private_redis_tls(&authority, HOST, ""),
        private_postgres_tls(&authority, HOST),
    );
    let ca_file = authority.ca_file().display().to_string();
    let environment = Environment(vec![
        ("FLASHSALE_BROKERS", kafka.url().to_owned()),
        ("FLASHSALE_KAFKA__SECURITY", "sasl_ssl".to_owned()),
        ("FLASHSALE_KAFKA__USERNAME", TLS_USERNAME.to_owned()),
        ("FLASHSALE_KAFKA__PASSWORD", TLS_PASSWORD.to_owned()),
        ("FLASHSALE_KAFKA__CA_FILE", ca_file.clone()),
        ("FLASHSALE_REDIS_URL", redis.url().to_owned()),
        ("FLASHSALE_REDIS_CA_FILE", ca_file),
        ("FLASHSALE_DATABASE_URL", postgres.url().to_owned()),
        ("FLASHSALE_ADMIN_KEY", ADMIN_KEY.to_owned()),
        ("FLASHSALE_INGEST__USER_INTERVAL_MS", "0".to_owned()),
        ("RUST_LOG", "info".to_owned()),
    ]);
    let mut migrate = environment.command(&["migrate"]);
    migrate.env("RUST_LOG", "debug");
    let (code, said) = run(migrate).await;
    assert_eq!(code, 0, "{said}");
    tokio::join!(buy_one(&environment), refusals_say_why(&environment, &stranger));
}

async fn buy_one(environment: &Environment) {
    let folder = tempfile::tempdir().unwrap();
    let services: Vec<Running> = [&["ingest"][..], &["processor"], &["sink", "postgres"], &["sink", "sse"], &["api"]]
        .map(|arguments| environment.start(arguments, folder.path()))
        .into();
    let http = Http::new();
    for service in &services {
        let ready = format!("{}/health/ready", service.url);
        wait_until(PATIENCE, &ready, async || http.get(&ready).await.is_ok_and(|answer| answer.status == 200)).await;
    }
    let (edge, api) = (&services[0].url, &services[4].url);
    let sale = ["sale", "--url", api, "--admin-key", ADMIN_KEY, "create", "TLS", "--name", "Phone", "--stock", "3"];
    let (code, said) = run(environment.command(&sale)).await;
    assert_eq!(code, 0, "{said}");
    wait_until(PATIENCE, "a purchase", async || {
        let answer = http.buy(edge, "alice", None, "TLS").await?;
        // 202: the log was slow on a busy machine.
        if [200, 202].contains(&answer.status) { Ok(answer) } else { Err(format!("{answer:?}")) }
    })
    .await;
    let receipt = format!("{api}/api/v1/purchases?sku=TLS");
    let mine = [("x-user-id", "alice")];
    wait_until(PATIENCE, "the receipt", async || {
        let answer = http.send(axum::http::Method::GET, &receipt, &mine, None).await?;
        if answer.status == 200 { Ok(answer) } else { Err(format!("{answer:?}")) }
    })
    .await;
    let verified = wait_until(PATIENCE, "a clean verify", async || {
        let (code, said) = run(environment.command(&["verify", "--sku", "TLS", "--json"])).await;
        if code == 0 { Ok(said) } else { Err(said) }
    });
    assert!(verified.await.contains("\"accepted\": 1"));
    let (code, said) = run(environment.command(&["ops", "consumers"])).await;
    assert!(code == 0 && said.contains("flashsale-sink-postgres"), "{said}");

    drop(services);
    for file in std::fs::read_dir(&folder).unwrap() {
        let file = file.unwrap().path();
        let said = std::fs::read_to_string(&file).unwrap();
        assert!(!said.contains(TLS_PASSWORD), "{} has the password: {said}", file.display());
    }
}

async fn refusals_say_why(environment: &Environment, stranger: &Authority) {
    let mut wrong_ca = environment.command(&["verify", "--sku", "TLS"]);
    wrong_ca.env("FLASHSALE_REDIS_CA_FILE", stranger.ca_file());
    let mut wrong_login = environment.command(&["ops", "topics"]);
    wrong_login.env("FLASHSALE_KAFKA__PASSWORD", "guessed");
    let url = environment.0.iter().find(|(name, _)| *name == "FLASHSALE_DATABASE_URL").unwrap();
    let mut wrong_password = environment.command(&["migrate"]);
    wrong_password.env("FLASHSALE_DATABASE_URL", url.1.replace(TLS_PASSWORD, "guessed"));
    let began = std::time::Instant::now();
    let told = tokio::join!(run(wrong_ca), run(wrong_login), run(wrong_password));
    for ((code, said), named) in [
        (told.0, "nobody in redis_ca_file has signed"),
        (told.1, "correct `kafka.username` and `kafka.password`"),
        (told.2, "correct user and password in database_url"),
    ] {
        assert!(code == 69 && said.contains(named), "{code} {named}: {said}");
    }
    // Brokers get ten seconds to answer; nobody is waited for that never will.
    assert!(began.elapsed().as_secs() < 40, "{:?}", began.elapsed());
}
