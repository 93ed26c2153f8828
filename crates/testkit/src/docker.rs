//! Servers in containers.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use flashsale_localstack::{Kind, psql};
use testcontainers::{
    ContainerAsync, GenericImage, ImageExt,
    core::{IntoContainerPort, WaitFor, client::docker_client_instance},
    runners::AsyncRunner,
};
use tokio::{net::TcpListener, sync::OnceCell, time::timeout};

/// An engine that is there answers a ping at once.
const PING_MAX: Duration = Duration::from_secs(2);
/// Includes the pull of an image.
const START_MAX: Duration = Duration::from_secs(180);

/// Removes its container when it is dropped, and when this process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Container {
    /// A shell that removes the container when its standard input closes.
    reaper: Child,
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(self.reaper.stdin.take());
        if let Err(error) = self.reaper.wait() {
            eprintln!("testkit: a container may be left over: {error}");
        }
    }
}

/// True when there is an engine, and the command line client that removes the containers in the end.
pub(crate) async fn answers() -> bool {
    static ANSWERS: OnceCell<bool> = OnceCell::const_new();
    let ask = async || {
        let ping = async { Ok::<_, anyhow::Error>(docker_client_instance().await?.ping().await?) };
        matches!(timeout(PING_MAX, ping).await, Ok(Ok(_)))
            && Command::new("docker").arg("--version").stdout(Stdio::null()).status().is_ok_and(|end| end.success())
    };
    *ANSWERS.get_or_init(ask).await
}

/// Starts a container and waits until it serves. Returns where.
pub(crate) async fn start(kind: Kind) -> Result<(String, Container)> {
    let started = async {
        match kind {
            Kind::Kafka => redpanda().await,
            Kind::Redis => redis().await,
            Kind::Postgres => postgres().await,
        }
    };
    timeout(START_MAX, started).await.context("the container does not start in time")?
}

async fn redis() -> Result<(String, Container)> {
    let container = GenericImage::new("redis", "7.2-alpine")
        .with_exposed_port(6379.tcp())
        .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"))
        .with_cmd(["redis-server", "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"])
        .start()
        .await?;
    let url = format!("redis://{}:{}", container.get_host().await?, container.get_host_port_ipv4(6379).await?);
    Ok((url, kept(container)?))
}

async fn postgres() -> Result<(String, Container)> {
    let container = GenericImage::new("postgres", "17-alpine")
        .with_exposed_port(5432.tcp())
        .with_wait_for(WaitFor::message_on_stdout("PostgreSQL init process complete"))
        .with_env_var("POSTGRES_USER", "flashsale")
        .with_env_var("POSTGRES_HOST_AUTH_METHOD", "trust")
        .with_cmd(["postgres", "-c", "fsync=off", "-c", "max_connections=300"])
        .start()
        .await?;
    let (host, port) = (container.get_host().await?, container.get_host_port_ipv4(5432).await?);
    let url = format!("postgres://flashsale@{host}:{port}/flashsale");
    let kept = kept(container)?;
    // After its first set-up the image restarts the server.
    while tokio::task::spawn_blocking({
        let url = url.clone();
        move || psql(&url, "SELECT 1")
    })
    .await?
    .is_err()
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((url, kept))
}

async fn redpanda() -> Result<(String, Container)> {
    // The broker must advertise the port that clients outside see, so that port is chosen first.
    let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let advertised = format!("PLAINTEXT://127.0.0.1:{port}");
    let container = GenericImage::new("redpandadata/redpanda", "v25.2.1")
        .with_wait_for(WaitFor::message_on_stderr("Successfully started Redpanda!"))
        .with_mapped_port(port, 9092.tcp())
        .with_cmd(
            ["redpanda", "start", "--mode", "dev-container", "--smp", "1", "--memory", "2G"]
                .map(String::from)
                .into_iter()
                .chain([
                    "--kafka-addr".into(),
                    "PLAINTEXT://0.0.0.0:9092".into(),
                    "--advertise-kafka-addr".into(),
                    advertised,
                    "--set".into(),
                    "redpanda.auto_create_topics_enabled=false".into(),
                    // Each test has topics of its own, and they stay: thousands of partitions.
                    "--set".into(),
                    "redpanda.topic_memory_per_partition=4096".into(),
                    "--set".into(),
                    "redpanda.topic_partitions_per_shard=10000".into(),
                ]),
        )
        .start()
        .await?;
    Ok((format!("127.0.0.1:{port}"), kept(container)?))
}

/// Hands the container to a process of its own: a container in a static is never dropped.
fn kept(container: ContainerAsync<GenericImage>) -> Result<Container> {
    let reaper = Command::new("sh")
        .args(["-c", "read -r _; exec docker rm --force --volumes \"$0\" >/dev/null 2>&1", container.id()])
        .stdin(Stdio::piped())
        .process_group(0) // a Ctrl-C is not for it
        .spawn()
        .context("watch over the container")?;
    // Its own drop would remove it by the runtime of the test that came first.
    std::mem::forget(container);
    Ok(Container { reaper })
}
